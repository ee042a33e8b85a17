"""The simulator as a Python object."""

from __future__ import annotations

from typing import Self

from sandbox.open_payments.server import Server
from sandbox.open_payments.settings import Settings
from sandbox.open_payments.source import Source


class Sandbox:
    """A source that listens from its construction until `close`, or for the length of a `with` block."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._source = source = Source(settings or Settings())
        self._server = Server(source)
        self.url = self._server.url  # "http://127.0.0.1:43210"
        self.switch = source.switch  # run-time settings: switch(dialect="A", bytes_per_second=30e6)
        self.fault = source.faults.add  # fault("http_500", probability=0.05 or count=3, match=, after=, params=)
        self.faults, self.clear_faults = source.faults.listed, source.faults.clear
        self.ledger, self.clear_ledger, self.summary = source.ledger.listed, source.ledger.clear, source.ledger.summary
        self.truth = source.world.truth  # truth(2024, "100000000053", dataset="research", ids=True)
        self.warm = source.world.warm
        self.republish = source.world.republish  # dataset=, removed=, added=, changed=, keep_old=, imported_share=
        self.finish_import = source.world.finish_import
        self.close = self._server.close
        self._server.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._source.settings
