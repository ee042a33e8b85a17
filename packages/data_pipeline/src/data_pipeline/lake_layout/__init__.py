"""Every key this repository reads or writes, a module per zone or domain. Keys are built here and nowhere else."""

from data_pipeline.lake_layout import (
    agency_files,
    customers,
    doctor,
    fan_out,
    ids,
    lakehouse,
    logs,
    open_payments,
    runs,
)

__all__ = ["agency_files", "customers", "doctor", "fan_out", "ids", "lakehouse", "logs", "open_payments", "runs"]
