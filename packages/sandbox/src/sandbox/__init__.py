"""A truthful simulator of the CMS Open Payments public API, served on loopback.

from sandbox import Sandbox, Settings

    with Sandbox(Settings(years=(2024,), first_companies=20)) as sandbox:
        print(sandbox.url)
"""

from sandbox.api import Sandbox
from sandbox.settings import Settings

__all__ = ["Sandbox", "Settings"]
