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

PHONE, DESKTOP = 390, 1280  # pixels


def wrong_with(tab: Page, page: Path, width: int, picture: Path | None) -> list[str]:
    """What a page has too wide or not drawn in a window of this width."""
    tab.set_viewport_size({"width": width, "height": 900})
    tab.goto(page.as_uri())
    said = []
    try:
        tab.wait_for_function("() => document.querySelectorAll('pre.mermaid').length === 0", timeout=20_000)
    except Error:
        said.append("a diagram is not drawn")
    wide = tab.evaluate("document.documentElement.scrollWidth")
    if wide > width:
        said.append(f"{wide} pixels wide in a window of {width}")
    if picture:
        tab.screenshot(path=picture, full_page=True)
    return said


def _outside(address: str, site: Path) -> list[str]:
    inside = address.startswith((site.as_uri(), "data:", "blob:"))
    return [] if inside else [f"asks for {address}"]


def main() -> None:
    site, folder, shown = Path(sys.argv[1]).resolve(), Path(sys.argv[2]), sys.argv[3:]
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[str]] = {}
    said: list[str] = []
    with sync_playwright() as playwright:
        # --no-sandbox: in a container, as root; the pages are our own.
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        tab = chromium.new_page()
        tab.on("console", lambda message: said.append(f"console: {message.text}"))
        tab.on("pageerror", lambda error: said.append(f"error: {error}"))
        tab.on("request", lambda request: said.extend(_outside(request.url, site)))
        for page in sorted(site.rglob("*.html")):
            name = page.relative_to(site).as_posix()
            if name == "404.html":  # only a server shows it; its addresses begin at the root
                continue
            said.clear()
            widths = {"phone": PHONE, "desktop": DESKTOP} if name in shown else {"phone": PHONE}
            for look, width in widths.items():
                said += wrong_with(tab, page, width, folder / f"{page.stem}-{look}.png" if name in shown else None)
            if said:
                found[name] = list(said)
        chromium.close()
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
