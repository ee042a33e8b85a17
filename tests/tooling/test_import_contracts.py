"""tools/import_contracts.py: jobs do not know each other, whatever jobs there are."""

import grimp
import pytest

from tools import import_contracts


def graph(*imports):
    built = grimp.ImportGraph()
    for module in ("p", "p.jobs", "p.jobs.a", "p.jobs.a.inner", "p.jobs.b", "p.jobs._shared", "p.wiring"):
        built.add_module(module)
    for importer, imported in imports:
        built.add_import(importer=importer, imported=imported)
    return built


@pytest.mark.parametrize(
    "allowed",
    [
        ("p.jobs.a", "p.wiring"),
        ("p.jobs.a", "p.jobs._shared"),
        ("p.jobs.a", "p.jobs.a.inner"),
        ("p.jobs.a.inner", "p.jobs.a"),
        ("p.jobs.a", "p.jobs"),
    ],
)
def test_a_job_may_import_what_is_no_other_job(allowed):
    assert import_contracts.strangers_who_met(graph(allowed), "p.jobs") == []


@pytest.mark.parametrize(
    "forbidden",
    [
        ("p.jobs.a", "p.jobs.b"),
        ("p.jobs.b", "p.jobs.a.inner"),
        ("p.jobs.a.inner", "p.jobs.b"),
        ("p.jobs._shared", "p.jobs.a"),
        ("p.jobs", "p.jobs.a"),
    ],
)
def test_a_job_is_imported_by_no_neighbour(forbidden):
    assert import_contracts.strangers_who_met(graph(forbidden), "p.jobs") == [forbidden]
