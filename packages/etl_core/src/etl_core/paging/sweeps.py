"""Which answers make up a list: the sum of a sweep, of all pages once, is its proof; no page is one. Pure.

An offset moves when a row is added or removed meanwhile, and a page may lack rows with status 200. So rows must be as
many as the total, every answer must state the same total, and no id may come twice, which the caller looks for.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from etl_core.paging.pages import last_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from etl_core.paging.pages import Page


@dataclass(frozen=True)
class Choice:
    """An answer for each page, in the order of the pages."""

    pages: tuple[Page, ...]

    @property
    def rows(self) -> int:
        """Of all pages."""
        return sum(page.rows for page in self.pages)

    @property
    def totals(self) -> frozenset[int]:
        """Those that the answers state."""
        return frozenset(page.said.total for page in self.pages if page.said.total is not None)

    @property
    def content(self) -> tuple[int, int]:
        """The same for the same rows in any order."""
        return self.rows, sum(int(page.content, 16) for page in self.pages) % (1 << 256)

    @property
    def is_whole(self) -> bool:
        """Whether no page is missing, by what the last one says."""
        numbers = [page.number for page in self.pages]
        last = last_of(self.pages[-1].said) or len(numbers) if numbers else 0
        return bool(numbers) and numbers == list(range(1, len(numbers) + 1)) and last <= len(numbers)


def proved(pages: Sequence[Page]) -> Iterator[Choice]:
    """The choices that add up, the best first: the newest sweep, older ones, then of each page the fullest answer.

    Where no answer states a total, a sweep adds up if another one has the same rows; so does one without any rows.
    """
    by_sweep = groupby(sorted(pages, key=lambda one: (-one.sweep, one.number)), key=lambda one: one.sweep)
    alone = [choice for choice in (Choice(tuple(own)) for _, own in by_sweep) if choice.is_whole]
    # That there is nothing at all, a single answer says, and proves itself: another sweep must say it, too.
    is_empty = sum(choice.totals == {0} for choice in alone) > 1
    for choice in (*alone, fullest(_comparable(pages))):
        if choice.is_whole and choice.totals == {choice.rows} and (choice.rows or is_empty):
            yield choice
    if not any(page.said.total is not None for page in pages):
        contents = [choice.content for choice in alone]
        yield from (choice for choice in alone if contents.count(choice.content) > 1)


def _comparable(pages: Sequence[Page]) -> Iterator[Page]:
    """The answers that state the total and the size of the newest one."""
    newest = max(pages, key=_age).said if pages else None
    return (one for one in pages if newest and (one.said.total, one.said.per_page) == (newest.total, newest.per_page))


def _age(page: Page) -> tuple[int, int]:
    return page.sweep, page.number


def fullest(pages: Iterable[Page]) -> Choice:
    """Of each page the answer with most rows, and of equal ones the newest."""
    best: dict[int, Page] = {}
    for page in sorted(pages, key=lambda one: (one.rows, one.sweep)):
        best |= {page.number: page}
    return Choice(tuple(best[number] for number in sorted(best)))


def total_of(pages: Sequence[Page]) -> int | None:
    """As the newest answer states it."""
    return max(pages, key=_age).said.total if pages else None


def note(choice: Choice, pages: Sequence[Page], rows: int, dead: int, *, is_proved: bool) -> str:
    """How the list is proved, or by how much it is not. ``rows`` are those with different ids."""
    total = total_of(pages)
    if is_proved:
        return "as many as the API states" if choice.totals else "two sweeps are equal; the API states no total"
    stated = sorted({page.said.total for page in pages if page.said.total is not None})
    said = [f"{dead} pages could not be fetched"] if dead else []
    if len(stated) > 1:
        said += [f"the total moved between {stated[0]:,} and {stated[-1]:,}"]
    if total is None:
        said += [f"{rows:,} rows, no total to compare them with, and no two sweeps are equal"]
    else:
        said += [f"{rows:,} rows of the {total:,} that the API states: {rows - total:+,}"]
    if choice.rows != rows:
        said += [f"{choice.rows - rows:,} more repeat an id"]
    return "; ".join(said)
