"""A simulator of the CMS Open Payments public API, served on loopback.

from sandbox.open_payments import Sandbox, Settings

    with Sandbox(Settings(years=(2024,), first_companies=20)) as sandbox:
        print(sandbox.url)
"""

from sandbox.open_payments.api import Sandbox
from sandbox.open_payments.settings import Settings

__all__ = ["Sandbox", "Settings"]
