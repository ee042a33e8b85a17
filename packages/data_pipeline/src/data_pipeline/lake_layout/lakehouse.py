"""The keys behind the raw zone: contracts, staged and quarantined parts, builds. Whatever the domain.

A *scope* is the folder of the parts that are staged together, such as a release; a *unit* is a part's name in it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from etl_core.errors import DataError

STAGING = "staging/"
QUARANTINE = "staging/quarantine/"
STAGING_DOCUMENTS = "metadata/staging/"
STAGED_ZONES = (STAGING_DOCUMENTS, STAGING)
CURATED = "curated/"
BUILDS = "metadata/curated/"
MARTS = "marts/"
MARTS_BUILDS = "metadata/marts/"
CATALOGUE = "metadata/catalogue/"
_RAW = re.compile(r"raw/(?P<scope>.+)/(?P<unit>[^/]+/[^/]+)\.csv")
_STAGED = re.compile(
    r"(?:metadata/staging/|staging/(?:quarantine/)?)(?P<scope>.+)/contract=(?P<contract>[^/]+)/(?P<unit>[^/]+/[^/]+)"
    r"\.(?:json|parquet)"
)


def contract(contract_hash: str) -> str:
    """The columns and rules that a stage used."""
    return f"metadata/contracts/{contract_hash}.json"


@dataclass(frozen=True)
class StagedKeys:
    """The keys of one part under one contract."""

    scope: str
    contract: str
    unit: str

    @classmethod
    def of_part(cls, part: str, contract_hash: str) -> StagedKeys:
        """Those of a raw part; raises ``DataError`` if the key is of none."""
        match = _RAW.fullmatch(part)
        if match is None:
            raise DataError(f"{part} is not the key of a raw part.")
        return cls(match["scope"], contract_hash, match["unit"])

    @classmethod
    def of(cls, key: str) -> StagedKeys | None:
        """Those of the part that a staged object is of; None if the key is of none."""
        match = _STAGED.fullmatch(key)
        return cls(**match.groupdict()) if match else None

    @property
    def staged(self) -> str:
        """The typed records."""
        return f"{STAGING}{self._path}.parquet"

    @property
    def quarantine(self) -> str:
        """The other records, as text, with the reasons."""
        return f"{QUARANTINE}{self._path}.parquet"

    @property
    def document(self) -> str:
        """What became of the records of the part: its commit."""
        return f"{STAGING_DOCUMENTS}{self._path}.json"

    @property
    def _path(self) -> str:
        return f"{self.scope}/contract={self.contract}/{self.unit}"


def staged_zones(scope: str, contract_hash: str) -> tuple[str, ...]:
    """Prefixes of the documents, the staged and the quarantined records of a scope under a contract."""
    return tuple(f"{zone}{scope}/contract={contract_hash}/" for zone in (STAGING_DOCUMENTS, STAGING, QUARANTINE))


def build_files(scope: str, build: str) -> str:
    """Prefix of all files of a build."""
    return f"{CURATED}{scope}/build={build}/"


def build_file(scope: str, build: str, table: str, number: int, sha256: str) -> str:
    """One file of a build; its name contains its hash."""
    return f"{build_files(scope, build)}{table}-{number:04d}-{sha256[:8]}.parquet"


def scope_of_build_file(key: str) -> str | None:
    """The scope of the build that a file of a curated table is of; None for any other key."""
    match = re.fullmatch(r"curated/(.+)/build=[^/]+/[^/]+\.parquet", key)
    return match[1] if match else None


def builds(scope: str) -> str:
    """Prefix of the manifests of all builds of a scope, such as a dataset's year."""
    return f"{BUILDS}{scope}/"


def build_manifest(scope: str, number: int) -> str:
    """A build's manifest: its commit. The highest number wins."""
    return numbered(builds(scope), number)


def published_files(scope: str, number: int, table: str) -> str:
    """Folder of the list of a table's files, as a catalogue has it; it holds nothing else."""
    return f"{CATALOGUE}{scope}/{number:08d}/{table}"


def marts_files(build: str) -> str:
    """Prefix of what belongs to a build of the marts."""
    return f"{MARTS}build={build}/"


def marts_file(build: str, sha256: str) -> str:
    """The database of a build of the marts; its name contains its hash."""
    return f"{marts_files(build)}open_payments-{sha256[:8]}.duckdb"


def reports(scope: str, number: int) -> str:
    """Prefix of the pages about a scope from the marts of that number."""
    return f"metadata/reports/{scope}/{number:08d}-"


def report(scope: str, number: int, sha256: str) -> str:
    """A page about a scope from the marts of that number; its name contains its hash."""
    return f"{reports(scope, number)}{sha256[:8]}.html"


def numbered(prefix: str, number: int) -> str:
    """The document of that number in a chain."""
    return f"{prefix}{number:08d}.json"


def number_of_build(key: str) -> int | None:
    """The number of the manifest under ``key``; None for any other key."""
    match = re.search(r"/(\d{8})\.json$", key)
    return int(match[1]) if match else None
