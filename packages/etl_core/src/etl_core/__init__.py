"""Clients and ground-floor tools shared by every job; knows nothing of any data source."""

__version__ = "0.1.0"
