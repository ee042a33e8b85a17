"""The site of `make docs`: every page is in it, its links lead somewhere, and it looks right without a network."""

import json
import re
import shutil
import subprocess

import pytest

from tools import isolated, site
from tools.site_hooks import ELSEWHERE, explanations, relinked

# Kept, so that they can be looked at after a run of CI.
PICTURES = site.ROOT / ".cache" / "pictures" / "site"
LOOKED_AT = ("index.html", "tutorial.html", "architecture.html", "reference/jobs.html")


def pages():
    docs = site.ROOT / "docs"
    return {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")} | set(ELSEWHERE.values())


def test_every_page_has_a_place_in_the_navigation():
    text = (site.ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    named = set(re.findall(r"^ +- .*: (\S+\.md)$", text, re.MULTILINE))
    missing = {one for one in pages() - named if not re.fullmatch(r"decisions/0\d+.*", one)}
    assert missing == set(), "add a line to nav in mkdocs.yml"
    assert named <= pages()


@pytest.mark.parametrize(
    ("path", "link", "becomes"),
    [
        ("README.md", "docs/marts.md", "marts.md"),
        ("README.md", "docs/images/run.svg", "images/run.svg"),
        ("docs/data_path.md", "decisions/0002-windows.md", "decisions/0002-windows.md"),
        ("docs/decisions/0008-fan-out.md", "../../benchmarks/README.md", "../benchmarks.md"),
        ("docs/faq.md", "../packages/sandbox/README.md", "packages/sandbox.md"),
        ("packages/etl_core/README.md", "../../README.md", "../index.md"),
        ("docs/faq.md", "https://example.org/README.md", "https://example.org/README.md"),
    ],
)
def test_a_link_between_files_is_a_link_between_pages(path, link, becomes):
    assert relinked(f"[a]({link}) [b]({link}#part)", path) == f"[a]({becomes}) [b]({becomes}#part)"


def test_a_word_with_a_special_meaning_is_explained_on_every_page_as_in_the_glossary():
    said = explanations()
    assert "*[slices]: All rows of one company in one release. The unit that is proved complete.\n" in said
    assert not re.search(r"[`*]|\]\(", re.sub(r"^\*\[.+?\]", "", said, flags=re.MULTILINE))


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_site_is_built_without_warnings_and_its_pages_load_nothing_from_outside_and_fit_a_phone(tmp_path):
    try:
        built = site.build(tmp_path / "site")
    except isolated.UnavailableError as reason:
        pytest.skip(f"the site was not built: {reason}")
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    if shutil.which("chromium") is None:
        pytest.skip("the pages were not looked at: there is no chromium")
    python = isolated.program("playwright").with_name("python")
    words = [str(python), str(site.ROOT / "tools/look_at_site.py"), str(tmp_path / "site"), str(PICTURES), *LOOKED_AT]
    looked = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    assert json.loads(looked.stdout) == {}
