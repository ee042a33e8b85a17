"""CSV as a stream of records in bounded memory: width, key, byte hash, order-independent content hash."""
