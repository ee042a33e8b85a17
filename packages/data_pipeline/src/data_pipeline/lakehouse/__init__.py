"""From committed parts to tables: contract → staged and quarantined → builds. Knows no domain.

A job passes in a table's name, its contract and the committed parts. DuckDB does the work; it is an extra.
"""
