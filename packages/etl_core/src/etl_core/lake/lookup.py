"""Many objects of a store looked up by their keys: by one listing as far as that is cheaper, else one by one."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from etl_core.errors import AccessError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from etl_core.lake.port import ObjectInfo, ObjectStore

# To read a page of a listing, 1,000 names, costs a client of S3 as much as some 30 requests for single objects.
MOST_LISTED_PER_KEY, LEAST_LISTED = 30, 1000


@dataclass(frozen=True)
class Lookup:
    """What was found; ``may_list`` says whether the store may be listed."""

    store: ObjectStore
    listed: Mapping[str, ObjectInfo] = field(default_factory=dict)
    listed_to: str = ""
    may_list: bool = True

    @classmethod
    def of(cls, store: ObjectStore, keys: Iterable[str]) -> Lookup:
        """List what begins as all the keys do; the listing ends where it names too much else."""
        wanted = set(keys)
        if not wanted:
            return cls(store)
        last, left = max(wanted), max(LEAST_LISTED, MOST_LISTED_PER_KEY * len(wanted))
        listed, listed_to = {}, ""
        try:
            prefix = os.path.commonprefix([min(wanted), last])  # noqa: RUF071 - keys are no paths
            for one in store.list(prefix):
                if left == 0 or one.key > last:
                    break
                left, listed_to = left - 1, one.key
                if one.key in wanted:
                    listed[one.key] = one
        except AccessError:
            return cls(store, may_list=False)
        return cls(store, listed, last if left else listed_to)

    def find(self, key: str) -> ObjectInfo | None:
        """An object, or None.

        Raises:
            AccessError: it may not be read; or, where the store may not be listed, it may be missing.

        """
        return self.listed.get(key) if key <= self.listed_to else self.store.head(key)
