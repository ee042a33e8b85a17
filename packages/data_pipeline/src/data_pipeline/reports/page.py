"""From figures to one self-contained page: no script, nothing loaded from elsewhere. Pure.

Texts of the source are escaped by the template, and characters that a browser obeys without showing them are replaced.
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from data_pipeline.settings import extras
from etl_core.printable import printable

if TYPE_CHECKING:
    from decimal import Decimal

    from data_pipeline.lakehouse.documents import MartsInput, MartsManifest, Reconciled
    from data_pipeline.reports.figures import Figures
    from data_pipeline.reports.run_values import Checks, Fetching

TEMPLATE = "page.html.j2"
# The longest nature has 146 characters, names of companies have up to 200.
LONGEST_LABEL = 160
LONGEST_NOTE = 600


def render(figures: Figures, fetching: Fetching, checks: Checks, marts: MartsManifest) -> str:
    """The page; raises ``ConfigError`` if Jinja is not installed."""
    extras.require("jinja2", "report")
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    shown = (title, usd, signed_usd, count, signed, one_decimal, duration, share, percent, label, note)
    environment.filters |= {one.__name__: one for one in shown}
    text = resources.files(__package__).joinpath(TEMPLATE).read_text(encoding="utf-8")
    return environment.from_string(text).render(
        figures=figures,
        source=figures.source,
        run=fetching,
        checks=checks,
        marts=marts,
        reconciled=reconciled_of(marts, figures.source),
    )


def reconciled_of(marts: MartsManifest, source: MartsInput) -> list[Reconciled]:
    """How a dataset's year compares with CMS's own summaries, by kind of entity; nothing if the lake has none."""
    return [one for one in marts.reconciled if (one.dataset, one.year) == (source.dataset, source.year)]


def title(dataset: str) -> str:
    """As in General Payments."""
    return printable(dataset).replace("-", " ").title()


def usd(amount: Decimal) -> str:
    """As in 1,234,567.80."""
    return f"{amount:,.2f}"


def signed_usd(amount: Decimal) -> str:
    """As in +1,234.50, -0.01 or 0.00."""
    return f"{amount:+,.2f}" if amount else usd(amount)


def signed(number: int) -> str:
    """As in +1,234, -1 or 0."""
    return f"{number:+,}" if number else "0"


def count(number: int) -> str:
    """As in 1,234,567."""
    return f"{number:,}"


def one_decimal(number: float) -> str:
    """As in 1,234.5."""
    return f"{number:,.1f}"


def duration(seconds: float) -> str:
    """As in 2.7 s, 12 min or 3.5 h."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"


def share(part: float) -> str:
    """As in 12.3 %."""
    return f"{part:.1%}".replace("%", " %")


def percent(change: float) -> str:
    """As in +12.3 %."""
    return f"{change:+.1%}".replace("%", " %")


def label(text: str) -> str:
    """Printable, and no longer than a row bears."""
    shown = printable(text)
    return shown if len(shown) <= LONGEST_LABEL else shown[: LONGEST_LABEL - 1] + "…"


def note(text: str) -> str:
    """Printable, and no longer than a paragraph bears."""
    return printable(text, LONGEST_NOTE)
