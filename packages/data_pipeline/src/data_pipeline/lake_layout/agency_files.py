"""The keys of an agency's files: the copies, and beside them what is known of each."""

from __future__ import annotations

from datetime import datetime


def scope(agency_id: int) -> str:
    """The folder of an agency, in every zone."""
    return f"agency_files/agency_id={agency_id}"


def files(agency_id: int) -> str:
    """Prefix of the copies."""
    return f"raw/{scope(agency_id)}/files/"


def metadata(agency_id: int, planned_at: datetime, sha256: str) -> str:
    """A line per file that the database listed; the key contains its hash."""
    name = f"agency_files_{planned_at:%Y%m%d_%H%M%S}-{sha256[:8]}"
    return f"raw/{scope(agency_id)}/date={planned_at:%Y-%m-%d}/{name}.csv"


def batch_manifest(metadata_key: str) -> str:
    """The copies as S3 Batch Operations take a list of objects."""
    return f"{metadata_key.removesuffix('.csv')}_s3_batch.csv"
