"""Every key this repository reads or writes. Keys are built here and nowhere else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from etl_core.errors import UsageError

DATASET_IDS_CACHE = "metadata/dataset_ids_cache.json"
RUNS = "metadata/runs/"
RAW = "raw/"
AUDITS = "metadata/audits/"
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}(-[0-9]{1,3})?")  # the number is ours: write_plan
_COMPANY_ID = re.compile(r"[0-9]{1,38}")  # CMS's data dictionary: up to 38 digits


def checked_run_id(run_id: str) -> str:
    """``run_id`` if it can be part of a key."""
    if not _RUN_ID.fullmatch(run_id):
        raise UsageError(
            f"{run_id!r} is no run id: up to 100 letters, digits, '-', '_' and '.', a letter or digit first."
        )
    return run_id


def checked_company_id(company_id: str) -> str:
    """``company_id`` if it is one."""
    if not _COMPANY_ID.fullmatch(company_id):
        raise UsageError(f"{company_id!r} is no company id: digits only, such as 100000000053.")
    return company_id


@dataclass(frozen=True)
class SliceKeys:
    """The keys of one slice: (dataset, year, release, company)."""

    dataset: str
    year: int
    release: str
    company_id: str

    @property
    def _path(self) -> str:
        company_id = checked_company_id(self.company_id)
        return f"{_release_path(self.dataset, self.year, self.release)}/company_id={company_id}"

    def part(self, number: int, of: int, generation: int = 1) -> str:
        """The raw part, exactly as the source sent it."""
        return f"raw/{self._path}/part-{number}-of-{of}{_later(generation)}.csv"

    def part_audit(self, number: int, of: int, generation: int = 1) -> str:
        """The proof of a part."""
        return f"metadata/audits/{self._path}/part-{number}-of-{of}{_later(generation)}.json"

    @property
    def slice_audit(self) -> str:
        """The first proof of the whole slice."""
        return self.slice_audit_of(1)

    def slice_audit_of(self, generation: int) -> str:
        """The proof of the whole slice that a count moved under the release has made necessary."""
        return f"metadata/audits/{self._path}/slice{_later(generation)}.json"


def release_parts(dataset: str, year: int, release: str) -> str:
    """Prefix of all raw parts of one release."""
    return f"raw/{_release_path(dataset, year, release)}/"


def release_audits(dataset: str, year: int, release: str) -> str:
    """Prefix of all audits of one release."""
    return f"metadata/audits/{_release_path(dataset, year, release)}/"


def company_of_slice_audit(key: str) -> str | None:
    """The company whose ``slice.json``, of any generation, lies under ``key``; None for any other key."""
    match = re.search(r"/company_id=([0-9]+)/slice(?:\.[0-9]+)?\.json$", key)
    return match.group(1) if match else None


def generation_of(key: str) -> int:
    """Which of several proofs of one slice or part under one release lies under ``key``."""
    match = re.search(r"\.([0-9]+)\.[a-z]+$", key)
    return int(match[1]) if match else 1


def first_of(key: str) -> str:
    """The key of the first generation of the same part or proof."""
    return re.sub(r"(/(?:part-[0-9]+-of-[0-9]+|slice))\.[0-9]+(\.[a-z]+)$", r"\1\2", key)


def audit_of_part(key: str) -> str | None:
    """Where the proof of the raw part ``key`` belongs; None for any other key."""
    match = re.fullmatch(r"raw/(dataset=.+/company_id=[0-9]+/part-[0-9]+-of-[0-9]+(?:\.[0-9]+)?)\.csv", key)
    return f"metadata/audits/{match[1]}.json" if match else None


def company_of(key: str) -> str | None:
    """The company whose folder ``key`` lies in, or None."""
    match = re.search(r"/company_id=([0-9]+)/", key)
    return match[1] if match else None


def run_of(key: str) -> str | None:
    """The run that ``key`` is the plan or the manifest of, or None."""
    match = re.fullmatch(r"metadata/runs/run_id=([^/]+)/(plan|manifest)\.json", key)
    return match[1] if match else None


def plan(run_id: str) -> str:
    """What a run set out to do."""
    return f"{_run(run_id)}/plan.json"


def fan_out(run_id: str, shape: str) -> str:
    """Which pod of a run works on what."""
    return f"{_run(run_id)}/fan_out_{shape}.json"


def claims(run_id: str) -> str:
    """Prefix of what the pods of a packed run have taken in hand."""
    return f"{_run(run_id)}/claims/"


def claim(run_id: str, company_id: str, number: int, of: int) -> str:
    """One window taken in hand by a pod."""
    return f"{claims(run_id)}company_id={checked_company_id(company_id)}/part-{number}-of-{of}.json"


def not_before(source: str) -> str:
    """Until when nobody may ask a source, by any pod's experience; ``source`` is its host and port."""
    return f"metadata/sources/{re.sub(r'[^a-z0-9.]+', '-', source.lower())}/not_before.json"


def manifest(run_id: str) -> str:
    """What a run did: its commit."""
    return f"{_run(run_id)}/manifest.json"


def file_audits(run_id: str) -> str:
    """All part audits of a run, a line each."""
    return f"{_run(run_id)}/file_audits.jsonl"


def report(run_id: str, year: int) -> str:
    """A line per slice, for people and spreadsheets."""
    return f"{_run(run_id)}/download_report_{year}.csv"


def failure(run_id: str, company_id: str, attempt_id: str) -> str:
    """One attempt that proved nothing."""
    return f"{failures(run_id, company_id)}attempt-{attempt_id}.json"


def failures(run_id: str, company_id: str | None = None) -> str:
    """Prefix of a run's failed attempts, of all companies or of one."""
    one = "" if company_id is None else f"company_id={checked_company_id(company_id)}/"
    return f"{_run(run_id)}/failures/{one}"


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


def schema(dataset: str, year: int, release: str) -> str:
    """The columns of a release as the source describes them."""
    return f"metadata/schemas/{_release_path(dataset, year, release)}/schema.json"


def diff(dataset: str, year: int, older: str, newer: str, company_id: str | None = None, number: int = 1) -> str:
    """What changed between two releases, of all companies or of one; ``number`` counts reports that differ."""
    one = "" if company_id is None else f"_company_id={checked_company_id(company_id)}"
    return f"metadata/diffs/dataset={dataset}/year={year}/{older}_to_{newer}{one}{_later(number)}.csv"


def log(run_id: str, number: int) -> str:
    """The log of a run; a run that went on after a break has several."""
    return f"metadata/logs/run_id={checked_run_id(run_id)}{_later(number)}.log"


def metrics(run_id: str, number: int) -> str:
    """The metrics of a run in Prometheus text form, beside its log."""
    return log(run_id, number).removesuffix(".log") + ".prom"


def source_report(moment: str) -> str:
    """What ``doctor`` found of the source at a moment in UTC."""
    return f"metadata/doctor/source-{moment}.json"


def lake_probe(name: str) -> str:
    """What ``doctor`` writes to try a lake, and deletes again."""
    return f"metadata/doctor/probe-{name}"


def _later(number: int) -> str:
    """What the second and later ones of a name have in it."""
    return f".{number}" if number > 1 else ""


def _run(run_id: str) -> str:
    return f"{RUNS}run_id={checked_run_id(run_id)}"


def _release_path(dataset: str, year: int, release: str) -> str:
    return f"dataset={dataset}/year={year}/release={release}"
