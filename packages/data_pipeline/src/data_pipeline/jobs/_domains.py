"""The domains whose runs a lake may hold, as parts of keys; that of Open Payments is empty."""

from data_pipeline.agency_files.documents import DOMAIN as AGENCY_FILES
from data_pipeline.customers.documents import DATASET as CUSTOMERS

DOMAINS = ("", CUSTOMERS, AGENCY_FILES)
