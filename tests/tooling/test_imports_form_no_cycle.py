"""Imports run one way: also those that only type checkers follow."""

import graphlib

import grimp
import pytest

PACKAGES = ("etl_core", "data_pipeline", "sandbox")


@pytest.fixture(scope="module")
def graph():
    return grimp.build_graph(*PACKAGES, exclude_type_checking_imports=False, cache_dir=None)


def test_no_module_imports_itself_through_others(graph):
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}

    assert len(imports) > 100
    try:
        graphlib.TopologicalSorter(imports).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))
