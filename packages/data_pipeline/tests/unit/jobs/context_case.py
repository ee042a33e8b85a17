"""A job's context between a site and a lake in memory."""

from data_pipeline.job import Context
from data_pipeline.settings import Settings
from etl_core import logs
from packages.data_pipeline.tests.unit.fakes import COMPANY, OTHER, WorldCase, payments
from packages.data_pipeline.tests.unit.folder_case import FolderCase


class ContextCase(WorldCase, FolderCase):
    """The site has a table of 2024 with two companies and five rows."""

    def setUp(self) -> None:
        FolderCase.setUp(self)
        WorldCase.setUp(self)
        self.enterContext(logs.configure_logging("json", "error"))
        self.table = self.site.publish(2024, payments(COMPANY, 3) + payments(OTHER, 2))
        self.site.summarise(y2024=5)

    def context(self, run_id: str = "") -> Context:
        log = self.folder / "log.jsonl"
        log.touch()
        context = Context("a_job", Settings(run_id=run_id), self.world.stop, log)
        for name in ("source", "store", "pipeline", "telemetry"):
            setattr(context, name, getattr(self.world, name))
        return context
