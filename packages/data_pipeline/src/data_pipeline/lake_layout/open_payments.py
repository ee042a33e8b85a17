"""The keys of Open Payments: raw parts and their proofs, totals, schemas, reports."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from data_pipeline.lake_layout.ids import ENCODED_COMPANY, decoded_company, encoded_company, numbered
from data_pipeline.lake_layout.runs import folder

DATASET_IDS_CACHE = "metadata/dataset_ids_cache.json"
RAW = "raw/"
AUDITS = "metadata/audits/"
SUMMARY_ROWS = f"{RAW}summary="
SUMMARY_AUDITS = f"{AUDITS}summary="
_COMPANY = rf"company_id=(?P<company>{ENCODED_COMPANY})"
_SLICE_AUDIT = re.compile(rf"/{_COMPANY}/slice(?:\.[0-9]+)?\.jsonl$")
_PART = re.compile(
    rf"raw/(dataset=.+/{_COMPANY}/part-[0-9]+-of-[0-9]+(?:\.[0-9]+)?|summary=.+/content=[0-9a-f]+/rows)\.csv"
)
_FOLDER = re.compile(rf"/{_COMPANY}/")


def company(company_id: str) -> str:
    """The folder of one company, wherever there is one."""
    return f"company_id={encoded_company(company_id)}"


@dataclass(frozen=True)
class SliceKeys:
    """The keys of one slice: (dataset, year, release, company)."""

    dataset: str
    year: int
    release: str
    company_id: str

    @property
    def _path(self) -> str:
        return f"{scope(self.dataset, self.year, self.release)}/{company(self.company_id)}"

    def part(self, number: int, of: int, generation: int = 1) -> str:
        """The raw part, exactly as the source sent it."""
        return f"{RAW}{self._path}/part-{number}-of-{of}{numbered(generation)}.csv"

    def part_audit(self, number: int, of: int, generation: int = 1) -> str:
        """The proof of a part."""
        return f"{AUDITS}{self._path}/part-{number}-of-{of}{numbered(generation)}.json"

    def slice_audit(self, generation: int = 1) -> str:
        """The proof of the whole slice; a later generation where its count moved under the release."""
        return f"{AUDITS}{self._path}/slice{numbered(generation)}.jsonl"


def summary_rows(summary: str, year: int, release: str, sha256: str) -> str:
    """The rows of a year in one of CMS's summaries, exactly as the source sent them; the key contains their hash."""
    return f"{SUMMARY_ROWS}{summary}/year={year}/release={release}/content={sha256[:8]}/rows.csv"


def summary_audits(summary: str, year: int) -> str:
    """Prefix of the proofs of a summary's rows of a year, of all releases."""
    return f"{SUMMARY_AUDITS}{summary}/year={year}/"


def release_parts(dataset: str, year: int, release: str) -> str:
    """Prefix of all raw parts of one release."""
    return f"{RAW}{scope(dataset, year, release)}/"


def release_audits(dataset: str, year: int, release: str) -> str:
    """Prefix of all audits of one release."""
    return f"{AUDITS}{scope(dataset, year, release)}/"


def company_of_slice_audit(key: str) -> str | None:
    """The company whose slice proof, of any generation, lies under ``key``; None for any other key."""
    match = _SLICE_AUDIT.search(key)
    return decoded_company(match["company"]) if match else None


def generation_of(key: str) -> int:
    """Which of several proofs of one slice or part under one release lies under ``key``."""
    match = re.search(r"\.([0-9]+)\.[a-z]+$", key)
    return int(match[1]) if match else 1


def first_generation_of(key: str) -> str:
    """The key of the first generation of the same part or proof."""
    return re.sub(r"(/(?:part-[0-9]+-of-[0-9]+|slice))\.[0-9]+(\.[a-z]+)$", r"\1\2", key)


def audit_of_part(key: str) -> str | None:
    """Where the proof of the raw part or summary ``key`` belongs; None for any other key."""
    match = _PART.fullmatch(key)
    return f"{AUDITS}{match[1]}.json" if match else None


def company_of(key: str) -> str | None:
    """The company whose folder ``key`` lies in, or None."""
    match = _FOLDER.search(key)
    return decoded_company(match["company"]) if match else None


def download_report(run_id: str, year: int) -> str:
    """A line per slice, for people and spreadsheets."""
    return f"{folder(run_id)}download_report_{year}.csv"


def totals(dataset: str, day: date) -> str:
    """Rows per company and year, by the day they were built."""
    return f"{totals_prefix(dataset)}openpayments_companies_totals_by_year_{day:%d-%m-%Y}.json"


def totals_prefix(dataset: str) -> str:
    """Prefix of a dataset's totals."""
    return f"metadata/totals/dataset={dataset}/"


def day_of_totals(key: str) -> date | None:
    """The day of a totals file; None for any other key."""
    match = re.search(r"openpayments_companies_totals_by_year_(\d\d)-(\d\d)-(\d{4})\.json$", key)
    try:
        return date(int(match[3]), int(match[2]), int(match[1])) if match else None
    except ValueError:  # 31-02-2026
        return None


def commits(dataset: str, year: int, release: str) -> str:
    """Folder of the pointers to the committed runs of one release."""
    return f"metadata/commits/{scope(dataset, year, release)}/all/"


def pointers_to_commits(dataset: str, year: int, release: str) -> str:
    """Prefix of all pointers to the committed runs of one release."""
    return f"metadata/commits/{scope(dataset, year, release)}/"


def recounts(dataset: str, year: int, release: str) -> str:
    """Folder of the pointers to the committed runs that found payers at another count at their end."""
    return f"metadata/commits/{scope(dataset, year, release)}/recounts/"


def confirmed(dataset: str, year: int, release: str) -> str:
    """Folder of the pointers to the committed runs of a release whose table a reference count confirmed."""
    return f"metadata/commits/{scope(dataset, year, release)}/confirmed/"


def reference_counts(dataset: str, year: int, release: str) -> str:
    """Prefix of the reference counts that plans of a release were made with."""
    return f"metadata/selections/reference_counts/{scope(dataset, year, release)}/"


def reference_count(dataset: str, year: int, release: str, rows: int) -> str:
    """A reference count that a plan was made with: an empty object, the number is its name."""
    return f"{reference_counts(dataset, year, release)}{rows}"


def rows_of_reference_count(key: str) -> int | None:
    """The rows of a reference count under ``key``; None for any other key."""
    match = re.search(r"/reference_counts/dataset=[^/]+/year=[^/]+/release=[^/]+/([1-9][0-9]{0,17})$", key)
    return int(match[1]) if match else None


SCHEMAS = "metadata/schemas/"


def schemas(dataset: str, year: int) -> str:
    """Prefix of the schemas of all releases of a year."""
    return f"{SCHEMAS}{year_scope(dataset, year)}/"


def is_named_release(key: str) -> bool:
    """Whether the name of a release lies under ``key``."""
    return key.startswith(SCHEMAS) and "/distribution_id=" in key


def named_release(dataset: str, year: int, distribution_id: str) -> str:
    """The release of a distribution, under the name that the lake gave it first."""
    return f"{schemas(dataset, year)}distribution_id={distribution_id}.json"


def release_of_schema(key: str) -> str | None:
    """The release whose schema lies under ``key``; None for any other key."""
    match = re.search(r"/release=([^/]+)/schema\.json$", key)
    return match[1] if match else None


def schema(dataset: str, year: int, release: str) -> str:
    """The columns of a release as the source describes them."""
    return f"metadata/schemas/{scope(dataset, year, release)}/schema.json"


def diff(dataset: str, year: int, older: str, newer: str, company_id: str | None = None, number: int = 1) -> str:
    """What changed between two releases, of all companies or of one; ``number`` counts reports that differ."""
    one = "" if company_id is None else f"_{company(company_id)}"
    return f"metadata/diffs/dataset={dataset}/year={year}/{older}_to_{newer}{one}{numbered(number)}.csv"


def scope(dataset: str, year: int, release: str) -> str:
    """The folder of one release, in every zone."""
    return f"{year_scope(dataset, year)}/release={release}"


def is_scope(text: str) -> bool:
    """Whether it is the folder of a release."""
    return re.fullmatch(r"dataset=[^/]+/year=[0-9]{4}/release=[^/]+", text) is not None


def year_scope(dataset: str, year: int) -> str:
    """The folder of a program year, in every zone."""
    return f"dataset={dataset}/year={year}"
