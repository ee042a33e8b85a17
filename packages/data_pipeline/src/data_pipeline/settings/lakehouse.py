"""Settings of the jobs that make tables."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class LakehouseSettings(BaseModel):
    """How much of this machine those jobs may use."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    lakehouse_memory_mb: int = Field(
        # Two databases, each of which can sort 60,000 research records.
        1536,
        ge=64,
        description="memory of all databases together, in MB; the process itself takes some 200 more",
    )
    lakehouse_workers: int = Field(2, ge=1, le=64, description="databases running at once, each on one thread")
    warehouse_url: SecretStr = Field(
        SecretStr(""),
        description="where load_warehouse loads: postgresql://user:password@host/database, or redshift://workgroup/database",
    )
    warehouse_schema: str = Field(
        "lake", pattern="^[a-z_][a-z0-9_]{0,62}$", description="the schema of its tables and views there"
    )
    catalogue_database: str = Field(
        "", pattern="^[a-z0-9_]{0,255}$", description="the Glue database that publish_catalogue writes to"
    )
    spark_scratch_url: str = Field(
        "",
        description="where Spark's executors write and this process reads, such as s3://bucket/scratch; default: a "
        "folder of the lake, where that is one",
    )
    spark_submitted: bool = Field(
        default=False, description="the job was submitted to a Spark: that one is used, with its resources"
    )
    dbt_python: str = Field(
        "", description="the Python of an environment with dbt; default: `dbt/bin/python` in ours, else our own"
    )
