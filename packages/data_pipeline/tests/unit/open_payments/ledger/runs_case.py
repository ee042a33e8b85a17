"""Runs in a lake, planned and committed."""

from datetime import timedelta
from typing import Any

from data_pipeline import lake_layout
from data_pipeline.open_payments.ledger.audits import Audits
from data_pipeline.open_payments.ledger.documents import Manifest, Plan, Release
from data_pipeline.runs import pointers
from data_pipeline.runs.plans import write_plan
from packages.data_pipeline.tests.unit.fakes import COMPANY, START, WorldCase, a_manifest, a_plan, a_release, a_slice


class RunsCase(WorldCase):
    def planned(self, run_id: str, *, minutes: float = 0, status: str | None = None, **selection: Any) -> Plan:
        """A run in the lake; with a status it is committed."""
        release: Release | None = selection.pop("release", None)
        plan = a_plan(run_id=run_id, created_at=START + timedelta(minutes=minutes), release=release, **selection)
        write_plan(self.store, plan)
        if status is not None:
            self.committed(a_manifest(run_id=run_id, status=status))
        return plan

    def committed(self, manifest: Manifest) -> None:
        pointers.write(self.store, pointers.of_manifest(manifest))
        self.store.put_new(lake_layout.runs.manifest(manifest.run_id), manifest.to_bytes())

    def close(self, company_id: str = COMPANY, records: int = 3) -> None:
        part = a_slice(company_id, records=records).parts
        Audits(self.store, a_release()).close_slice(company_id, part, records, START)
