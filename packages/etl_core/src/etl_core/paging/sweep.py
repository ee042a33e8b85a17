"""One sweep in progress: its answers so far, and which page is to be asked for next, at the same cost for each page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl_core.paging.pages import WrongPageError, content_of, last_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from etl_core.paging.pages import Metadata, Page, Record

# Six digits of a key.
MOST_PAGES = 999_999


class Sweep:
    """The answers of a sweep, ``pages`` by their numbers.

    ``size`` is the rows per page as answered, which may be fewer than were asked for; None if no answer says so.
    """

    def __init__(self) -> None:
        self.pages: dict[int, Page] = {}
        self.size: int | None = None
        self._newest: Page | None = None
        self._last: int | None = None
        self._states_total = False
        self._next = 1

    def add(self, page: Page) -> None:
        """Take an answer; what it says of the number of pages replaces what those before it say."""
        last = last_of(page.said)
        self.pages[page.number] = self._newest = page
        self.size = self.size or page.said.per_page or None
        self._last = self._last if last is None else last
        self._states_total |= page.said.total is not None

    def require_expected(self, said: Metadata, rows: Sequence[Record], number: int) -> None:
        """Raise ``WrongPageError`` if an answer is another page, or says less or otherwise than those before it."""
        if said.page not in (None, number):
            raise WrongPageError(f"page {said.page} in place of page {number}")
        if self.size is not None and said.per_page not in (None, self.size):
            raise WrongPageError(f"{said.per_page} rows per page, those before it have {self.size}")
        if self._states_total and said.total is None:
            raise WrongPageError("no total, which pages before it state")
        # Who hands out one page for ever, whatever is asked for, would never come to the last one.
        newest = self._newest
        if self._last is None and newest and newest.rows and newest.content == content_of(rows):
            raise WrongPageError(f"the rows of page {newest.number}")

    def next_page(self, given_up: Collection[int]) -> int | None:
        """The first page that is neither there nor given up, which it stays then; None if the sweep is over.

        Where nothing says how many pages there are, two empty ones in a row end it.
        """
        while self._next in self.pages or self._next in given_up:
            self._next += 1
        if self._last is None:
            before = [self.pages[one].rows for one in (self._next - 2, self._next - 1) if one in self.pages]
            is_over = len(before) == 2 and not any(before)
        else:
            is_over = self._next > self._last
        if not is_over and self._next > MOST_PAGES:
            raise WrongPageError(f"more than {MOST_PAGES} pages")
        return None if is_over else self._next
