"""The entry point of a Spark job on EMR Serverless or Glue: ``--command "run stage -- --engine spark --year 2024"``.

Glue passes named arguments only, and sets no variables: ``--settings "LAKE_URL=s3://… SPARK_SCRATCH_URL=s3://…"`` are
those of data-pipeline. Further arguments are Glue's own.
"""

import os
import shlex
import sys


def words(name: str) -> list[str]:
    """The words of a named argument; none if it is not given."""
    return shlex.split(sys.argv[sys.argv.index(name) + 1]) if name in sys.argv[:-1] else []


if __name__ == "__main__":
    os.environ["SPARK_SUBMITTED"] = "true"
    os.environ.update(dict(one.split("=", 1) for one in words("--settings")))
    from data_pipeline.cli import exit_code_of  # its settings are read when it starts

    if status := exit_code_of(words("--command")):
        sys.exit(status)
