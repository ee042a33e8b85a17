"""What is asked of the source: the API, its query language, the catalogue, totals and the reference count."""
