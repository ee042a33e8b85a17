"""Open Payments into a data lake, every slice proved complete."""

__version__ = "0.1.0"
