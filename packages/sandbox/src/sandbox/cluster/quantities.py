"""Quantities such as 500m, 2k, 16Mi: their size, and the one form in which Kubernetes writes them."""

from __future__ import annotations

from decimal import Decimal

_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_SCALES = {name: Decimal(10) ** power for name, power in _DECIMAL.items()} | {
    name: Decimal(2**power) for name, power in _BINARY.items()
}


def size(text: str) -> Decimal:
    """The number that a quantity is: 2k is 2000."""
    suffix = text.lstrip("+-.0123456789")
    return Decimal(text.removesuffix(suffix)) * _SCALES[suffix]


def canonical(text: str) -> str:
    """The form in which the API server gives a quantity back: 2000 is 2k, 1000m is 1, 1024Mi is 1Gi."""
    number, names = size(text), _BINARY if text.endswith("i") else _DECIMAL
    whole = [name for name in names if number % _SCALES[name] == 0]
    suffix = max(whole, key=lambda name: _SCALES[name], default="") if number else ""
    return f"{int(number / _SCALES[suffix])}{suffix}"
