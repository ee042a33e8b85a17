"""Clients and low-level tools for data jobs; neutral about sources, datasets and commands."""

__version__ = "0.1.0"
