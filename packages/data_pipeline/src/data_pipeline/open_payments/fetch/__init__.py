"""Fetching and proving: windows, slices, and the threads that work through them."""
