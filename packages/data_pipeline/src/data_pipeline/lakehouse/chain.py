"""A chain of numbered documents, of which the highest number is what readers see.

What a document names is written first, the document last and create-only. Of two writers one gets the next number; the
other reads the chain again. Readers take one document when they open, so they see the old state or the new one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from data_pipeline.lake_layout.lakehouse import number_of_build, numbered
from data_pipeline.lakehouse.documents import NumberedManifest
from etl_core.documents import read
from etl_core.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from etl_core.lake import ObjectInfo, ObjectStore

# Writers of one chain at once are few; each attempt that is lost means that another document was committed.
MOST_ATTEMPTS = 20
D = TypeVar("D", bound=NumberedManifest)


@dataclass(frozen=True)
class Chain(Generic[D]):
    """The documents of a kind directly below ``prefix``."""

    store: ObjectStore
    kind: type[D]
    prefix: str

    def entries(self) -> list[ObjectInfo]:
        """Those that are there, by ascending number."""
        found = self.store.list(self.prefix)
        return [one for one in found if one.key == numbered(self.prefix, number_of_build(one.key) or 0)]

    def current(self) -> D | None:
        """What readers see: pin it once, and read only the files it names. None if nothing was committed.

        Raises:
            DataError: a newer version wrote it, or it is damaged.

        """
        there = self.entries()
        return read(self.kind, self.store, there[-1].key) if there else None

    def commit(self, document: D, *, replaces: Callable[[D | None], bool]) -> D:
        """Give a document the next number, unless it does not replace the current one; what stands then.

        ``replaces`` is asked again after each number that another writer took; it raises if this one may not.

        Raises:
            UnavailableError: others committed all the while.

        """
        for _ in range(MOST_ATTEMPTS):
            current = self.current()
            if not replaces(current) and current is not None:
                return current
            parent = None if current is None else current.number
            next_one = document.model_copy(update={"number": (parent or 0) + 1, "parent": parent})
            if self.store.put_new(numbered(self.prefix, next_one.number), next_one.to_bytes()).created:
                return next_one
        raise UnavailableError(f"{MOST_ATTEMPTS} others were committed below {self.prefix} meanwhile.")
