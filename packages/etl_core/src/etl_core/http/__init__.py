"""HTTP: one client, driven by a policy that says how the answers of a source are to be read."""

from etl_core.http.client import Answer, HttpClient
from etl_core.http.policy import STANDARD_STATUSES, HttpPolicy, Meaning
from etl_core.http.session import HttpSettings, make_session, require_address

__all__ = [
    "STANDARD_STATUSES", "Answer", "HttpClient", "HttpPolicy", "HttpSettings", "Meaning", "make_session",
    "require_address",
]  # fmt: skip
