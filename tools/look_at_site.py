"""Open every page of a site in Chromium: ``look_at_site.py SITE FOLDER [PAGE …]`` prints what is wrong, as JSON.

Runs on the Python of the isolated tool ``playwright``. Wrong is what the console says, an address outside the site,
what is wider than the window, and a diagram that is not drawn. Of each PAGE there are pictures in FOLDER.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Error, Page, sync_playwright

WIDTHS = {"phone": 390, "desktop": 1280}


def wrong_with(tab: Page, site: Path, page: Path, folder: Path | None) -> list[str]:
    """What is wrong with a page at every width; its pictures go into the folder."""
    said: list[str] = []
    tab.on("console", lambda message: said.append(f"console: {message.text}"))
    tab.on("pageerror", lambda error: said.append(f"error: {error}"))
    tab.on("request", lambda request: said.extend(_outside(request.url, site)))
    drawn = "() => document.querySelectorAll('pre.mermaid').length === 0"
    for name, width in WIDTHS.items():
        tab.set_viewport_size({"width": width, "height": 900})
        if name == "phone":
            tab.goto(page.as_uri())
            try:
                tab.wait_for_function(drawn, timeout=20_000)
            except Error:
                said.append("a diagram is not drawn")
        wide = tab.evaluate("document.documentElement.scrollWidth")
        if wide > width:
            said.append(f"{wide} pixels wide in a window of {width}")
        if folder:
            tab.screenshot(path=folder / f"{page.stem}-{name}.png", full_page=True)
    return said


def _outside(address: str, site: Path) -> list[str]:
    inside = address.startswith((site.as_uri(), "data:", "blob:"))
    return [] if inside else [f"asks for {address}"]


def main() -> None:
    site, folder, shown = Path(sys.argv[1]).resolve(), Path(sys.argv[2]), sys.argv[3:]
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    with sync_playwright() as playwright:
        # --no-sandbox: in a container, as root; the pages are our own.
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for page in sorted(site.rglob("*.html")):
            name = page.relative_to(site).as_posix()
            if name == "404.html":  # only a server shows it; its addresses begin at the root
                continue
            tab = chromium.new_page()
            if said := wrong_with(tab, site, page, folder if name in shown else None):
                found[name] = said
            tab.close()
        chromium.close()
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
