"""An agency's files: listed in a database, copied between buckets create-only, each with a status."""
