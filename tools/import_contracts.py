"""Import contracts that import-linter does not bring; named in the root pyproject.toml."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importlinter import Contract, ContractCheck, fields, output

if TYPE_CHECKING:
    from grimp import ImportGraph


class JobsAreStrangers(Contract):
    """No job is imported by another job, nor by the package of jobs itself; what begins with ``_`` may be.

    The jobs are whatever modules lie in the package: a new one is covered without being listed.
    """

    jobs = fields.StringField()

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002 - the library's
        found = strangers_who_met(graph, str(self.jobs))
        return ContractCheck(kept=not found, metadata={"found": found})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for importer, imported in check.metadata["found"]:
            output.print_error(f"{importer} imports the job {imported}: call the domain's function instead.")


def strangers_who_met(graph: ImportGraph, package: str) -> list[tuple[str, str]]:
    """Pairs (importer, imported) within the package of jobs, where the imported one is another job."""
    everything = {package} | graph.find_descendants(package)
    return sorted(
        (importer, imported)
        for importer in everything
        for imported in graph.find_modules_directly_imported_by(importer)
        if imported in everything
        and is_job(imported, package)
        and job_of(importer, package) != job_of(imported, package)
    )


def is_job(module: str, package: str) -> bool:
    return module != package and not job_of(module, package).startswith("_")


def job_of(module: str, package: str) -> str:
    """The name right below the package: ``a`` for ``jobs.a`` and for ``jobs.a.b``, empty for ``jobs``."""
    return module.removeprefix(package).lstrip(".").split(".")[0]
