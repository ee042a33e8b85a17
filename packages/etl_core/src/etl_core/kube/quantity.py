"""Quantities of the API: "500m", "2k", "16Mi". A server gives each back in its own form: "2000" as "2k"."""

from __future__ import annotations

from decimal import Decimal

from etl_core.errors import DataError


def parse_quantity(text: object) -> Decimal:
    """The number that a quantity is, in units, cores or bytes.

    Raises:
        DataError: it is none.

    """
    from kubernetes.utils.quantity import parse_quantity as parse

    try:
        found = Decimal(parse(text))  # type: ignore[no-untyped-call]
    except (ValueError, TypeError) as error:
        raise DataError(f"{str(text)[:60]!r} is no Kubernetes quantity.") from error
    if not found.is_finite():
        raise DataError(f"{str(text)[:60]!r} is no finite quantity.")
    return found
