"""What every run has, whatever it fetches: names, plan, attempts, list of audits, manifest as commit, status.

A domain extends the documents with its own units and calls these functions; nothing here knows a domain.
``committed`` is the entry point for everything downstream of a run.
"""
