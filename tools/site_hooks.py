"""What MkDocs does beside building docs/: pages from elsewhere in the repository become pages of the site.

Runs on the Python of the isolated tool ``mkdocs``; `mkdocs.yml` names it. Pages link to each other as files of the
repository, so that they work on a forge; here those links are turned into links of the site.
"""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
# Pages outside docs/, by their path in the repository.
ELSEWHERE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/README.md": "benchmarks.md",
    **{
        f"packages/{name}/README.md": f"packages/{name}.md"
        for name in ("analytics", "data_pipeline", "etl_core", "sandbox")
    },
}
LINK = re.compile(r"(\]\()([^)#\s]+)((?:#[^)\s]*)?\))")
# Words that are explained where they occur, as the glossary explains them: no page needs another one first.
EXPLAINED = (
    *("slice", "release", "generation", "closure", "content hash", "distribution id", "reference count", "manifest"),
    *("audit", "create-only", "orphan", "quarantine", "reconciliation", "dead letter", "lake id"),
)
DRAWS = re.compile(r'<script src="[^"]*mermaid[^"]*"></script>')


def relinked(text: str, path: str) -> str:
    """The Markdown of the page at ``path`` of the repository, with links of the site."""
    here = posixpath.dirname(_uri(path))

    def link(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), found[2]))
        if "://" in found[2] or not (ROOT / target).is_file():
            return found[0]
        return f"{found[1]}{posixpath.relpath(_uri(target), here or '.')}{found[3]}"

    return LINK.sub(link, text)


def _uri(path: str) -> str:
    """Where a file of the repository is in the site, below its root; what is not in it leads out of it."""
    return ELSEWHERE.get(path) or posixpath.relpath(path, "docs")


def explanations() -> str:
    """The glossary's meaning of each word that is explained, and of its plural, for the extension ``abbr``."""
    rows = re.findall(
        r"^\| \*\*(.+?)\*\* \| (.+) \|$", (ROOT / "docs/glossary.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    meanings = {word: re.sub(r"\[(.+?)\]\(.+?\)|[*`]", r"\1", meaning) for word, meaning in rows}
    return "\n".join(f"*[{word}{s}]: {meanings[word]}" for word in EXPLAINED for s in ("", "s"))


def on_files(files: Files, config: MkDocsConfig) -> Files:
    from mkdocs.structure.files import File

    for path, uri in ELSEWHERE.items():
        files.append(File.generated(config, uri, content=relinked((ROOT / path).read_text(encoding="utf-8"), path)))
    for asset in (ROOT / "tools/site.css", *Path(os.environ["SCRIPTS"]).glob("*.js")):
        files.append(File.generated(config, f"assets/{asset.name}", abs_src_path=str(asset)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    text = markdown if page.file.generated_by else relinked(markdown, f"docs/{page.file.src_uri}")
    return text if page.file.src_uri == "glossary.md" else f"{text}\n\n{explanations()}\n"


def on_post_page(output: str, **_: object) -> str:
    """Only pages with a diagram load what draws it, 3.5 MB."""
    return output if 'class="mermaid"' in output else DRAWS.sub("", output)
