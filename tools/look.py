"""Look at a page in Chromium, as people do: ``look.py PAGE FOLDER`` writes pictures, and prints what is wrong as JSON.

Runs on the Python of the isolated tool ``playwright``. Each look is a width, a colour scheme and a medium; its picture
is FOLDER/NAME.png. Wrong is what the console says, what is wider than the window, and what axe-core finds.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright


@dataclass(frozen=True)
class Look:
    """How somebody sees a page; ``width`` in CSS pixels."""

    name: str
    width: int
    height: int
    scheme: Literal["light", "dark"] = "light"
    media: Literal["screen", "print"] = "screen"


LOOKS = (
    Look("phone", 390, 844),
    Look("phone-dark", 390, 844, "dark"),
    Look("desktop", 1280, 800),
    Look("desktop-dark", 1280, 800, "dark"),
    Look("print", 794, 1123, media="print"),  # A4
)


def looked(page: Path, folder: Path) -> dict[str, list[str]]:
    """What is wrong, by look; nothing, for a good page."""
    with sync_playwright() as playwright:
        # --no-sandbox: in a container, as root; the page is our own.
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        found = {one.name: _seen(chromium, page, one, folder) + _inaccessible(chromium, page, one) for one in LOOKS}
        chromium.close()
    return found


def _open(chromium: Browser, page: Path, look: Look, **options: bool) -> tuple[Page, list[str]]:
    """The page as this look has it, and what the console says of it."""
    said: list[str] = []
    tab = chromium.new_page(viewport={"width": look.width, "height": look.height}, **options)
    tab.on("console", lambda message: said.append(f"console: {message.text}"))
    tab.on("pageerror", lambda error: said.append(f"error: {error}"))
    tab.emulate_media(color_scheme=look.scheme, media=look.media)
    tab.goto(page.resolve().as_uri())
    return tab, said


def _seen(chromium: Browser, page: Path, look: Look, folder: Path) -> list[str]:
    tab, said = _open(chromium, page, look)
    tab.screenshot(path=folder / f"{look.name}.png")
    tab.screenshot(path=folder / f"{look.name}-whole.png", full_page=True)
    width = tab.evaluate("document.documentElement.scrollWidth")
    if width > look.width:
        said.append(f"{width} pixels wide in a window of {look.width}")
    tab.close()
    return said


def _inaccessible(chromium: Browser, page: Path, look: Look) -> list[str]:
    tab, _ = _open(chromium, page, look, bypass_csp=True)  # the page lets no script in, and axe-core is one
    violations = Axe().run(tab).response["violations"]
    tab.close()
    return [f"{one['id']}: {one['help']}: {[node['target'] for node in one['nodes'][:3]]}" for one in violations]


if __name__ == "__main__":
    Path(sys.argv[2]).mkdir(parents=True, exist_ok=True)
    print(json.dumps(looked(Path(sys.argv[1]), Path(sys.argv[2]))))
