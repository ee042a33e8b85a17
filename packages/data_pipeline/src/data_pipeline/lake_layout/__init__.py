"""Every key this repository reads or writes, a module per zone or domain. Keys are built here and nowhere else."""

from data_pipeline.lake_layout import customers, doctor, fan_out, ids, lakehouse, logs, open_payments, runs

__all__ = ["customers", "doctor", "fan_out", "ids", "lakehouse", "logs", "open_payments", "runs"]
