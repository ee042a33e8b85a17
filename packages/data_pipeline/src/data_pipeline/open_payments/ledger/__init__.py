"""What the lake records of runs: documents, audits, plans, selections and the commit."""
