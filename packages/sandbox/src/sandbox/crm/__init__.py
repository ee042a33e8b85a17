"""A stand-in for a CRM whose API fails all the time, on loopback: the list of its customers, in pages.

from sandbox.crm import Crm, CrmSettings

    with Crm(CrmSettings(customers=1000)) as crm:
        crm.fault("http_500", probability=0.1)
        print(crm.url, crm.truth()["total"])
"""

from sandbox.crm.server import Crm
from sandbox.crm.settings import CrmSettings

__all__ = ["Crm", "CrmSettings"]
