"""Side-by-side measurements with what a user would use instead."""
