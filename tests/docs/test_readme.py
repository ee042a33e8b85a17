"""The documents say what the code says."""

import html
import re
import tomllib
from pathlib import Path

import pytest

from data_pipeline.registry import Registry
from tools import session

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "packages").glob("*/README.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file(page):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_make_target_that_a_page_names_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z0-9-]+):", makefile, re.MULTILINE))
    for page in PAGES:
        for name in re.findall(r"(?:^|`)make ([a-z0-9-]+)", page.read_text(encoding="utf-8"), re.MULTILINE):
            assert name in targets, f"{page.name} names make {name}"


def test_every_reason_of_a_failed_attempt_is_explained_in_operations():
    source = ROOT / "packages"
    text = "".join(
        path.read_text(encoding="utf-8")
        for path in (
            source / "etl_core/src/etl_core/csv_stream/reader.py",
            source / "data_pipeline/src/data_pipeline/open_payments/fetch/window.py",
            source / "data_pipeline/src/data_pipeline/open_payments/ledger/manifest.py",
        )
    )
    reasons = set(re.findall(r'(?:RecordError|NotProvedError)\(\s*"([a-z_]+)"', text))
    reasons |= set(re.findall(r'\(\w+Error, "([a-z_]+)"\)', text)) | {"not_tried"}
    explained = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    missing = {reason for reason in reasons - {"no_header"} if f"`{reason}`" not in explained}
    assert not missing


def test_every_decision_is_in_the_index():
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")
    assert all(path.name in index for path in folder.glob("0*.md"))


def test_every_test_that_the_proofs_name_exists():
    defined = set()
    for path in [*ROOT.glob("packages/*/tests/**/*.py"), *ROOT.glob("tests/**/*.py")]:
        defined |= set(re.findall(r"def (test_\w+)\(", path.read_text(encoding="utf-8")))
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "proofs.md").read_text(encoding="utf-8")))
    assert named
    assert named <= defined, sorted(named - defined)


def test_the_promises_and_the_proofs_have_the_same_sections():
    promises, proofs = (
        re.findall(r"^## (.+)$", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.MULTILINE)
        for page in ("promises.md", "proofs.md")
    )
    assert [one for one in promises if one not in ("What verify finds", "Not promised")] == proofs


def test_the_glossary_defines_every_word_once():
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    words = re.findall(r"^\| \*\*([a-z -]+)\*\* \|", text, re.MULTILINE)
    assert len(words) == len(set(words))
    assert {"slice", "window", "part", "generation", "release", "closure", "contract", "build"} <= set(words)


@pytest.mark.parametrize("picture", [session.PICTURE, session.RUN], ids=lambda picture: picture.name)
def test_a_picture_on_the_first_screen_is_there_and_small(picture):
    text = session.README.read_text(encoding="utf-8")
    assert str(picture.relative_to(ROOT)) in text.partition("<!-- session:begin -->")[0]
    assert picture.stat().st_size < 150_000


def test_the_moving_picture_ends_as_the_session_does():
    shown = html.unescape("\n".join(re.findall(r"<text[^>]*>(.*?)</text>", session.RUN.read_text(encoding="utf-8"))))
    companies = re.findall(r"\S.*\(\d{12}\)$", session.written()[1], re.MULTILINE)
    assert len(companies) == 10
    assert [one for one in companies if one not in shown] == []


def test_the_figures_of_the_comparison_are_those_that_were_measured():
    measured = (ROOT / "benchmarks/README.md").read_text(encoding="utf-8").partition("## Paging, as measured")[2]
    page = (ROOT / "docs/comparison.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (?:healthy)? ?\| (.+?) \| ([\d.]+) \|", measured, re.MULTILINE)[:3])
    for name, said in (("dlt, as documented",) * 2, ("dlt, with a sort",) * 2, ("ours", "`data-pipeline`")):
        assert f"| {said} | {rows[name]} |" in page
    assert "2,936 of 30,000" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert "| 30,000 | **2,936** | 2,936 |" in measured


def test_the_layers_of_the_architecture_are_those_that_are_checked():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    (layers,) = (one["layers"] for one in contracts if one["name"] == "the layers of data_pipeline")
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    said = page.partition("<!-- layers -->\n```\n")[2].partition("```")[0]
    assert " ".join(said.split()) == " → ".join(layers)


def test_every_job_that_a_diagram_names_exists():
    drawings = "".join(re.findall(r"```mermaid\n(.*?)```", "".join(map(Path.read_text, PAGES)), re.DOTALL))
    labels = " ".join(re.findall(r"\|\"?(.+?)\"?\|", drawings))
    named = set(re.findall(r"\b[a-z]+_[a-z]+\b", labels))
    assert {"build_curated", "run_pipeline"} <= named <= set(Registry().names())
