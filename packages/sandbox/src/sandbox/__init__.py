"""Stand-ins for outside systems, on loopback: a package each, and what they share beside them."""
