"""JSON Schemas of the documents that readers of the lake may rely on, for docs/schemas."""

from __future__ import annotations

import json

from data_pipeline.agency_files.documents import AgencyFilesFact, AgencyFilesManifest, AgencyFilesPlan
from data_pipeline.customers.documents import CustomersAttempt, CustomersFact, CustomersManifest, CustomersPlan
from data_pipeline.fan_out.documents import FanOutPlan
from data_pipeline.fan_out.orchestrate import FanOutFact
from data_pipeline.lakehouse.contract import Contract
from data_pipeline.lakehouse.documents import BuildManifest, MartsManifest, StagedPart
from data_pipeline.lakehouse.facts import (
    BuildFact,
    CheckYearFact,
    CuratedFact,
    ExportFact,
    MartsFact,
    QuarantineFact,
    QueryFact,
    ReportFact,
    StageFact,
    TraceFact,
)
from data_pipeline.open_payments.facts import RunFact
from data_pipeline.open_payments.ledger.documents import PUBLISHED
from data_pipeline.open_payments.ledger.summaries import SummaryAudit
from etl_core.documents import Document

MODELS: tuple[type[Document], ...] = (
    *PUBLISHED,
    SummaryAudit,
    FanOutPlan,
    RunFact,
    FanOutFact,
    Contract,
    StagedPart,
    StageFact,
    BuildManifest,
    CuratedFact,
    MartsManifest,
    MartsFact,
    ReportFact,
    CheckYearFact,
    BuildFact,
    QueryFact,
    ExportFact,
    TraceFact,
    QuarantineFact,
    AgencyFilesPlan,
    AgencyFilesManifest,
    AgencyFilesFact,
    CustomersPlan,
    CustomersAttempt,
    CustomersManifest,
    CustomersFact,
)


def files() -> dict[str, str]:
    """Path below the root, and text."""
    return {
        f"docs/schemas/{model.__name__.lower()}.v1.json": json.dumps(
            model.model_json_schema(mode="serialization"), indent=2, ensure_ascii=False
        )
        + "\n"
        for model in MODELS
    }
