"""`make run`: turn YEAR, MAX, COMPANY and ARGS into ``data-pipeline run build -- …`` and run it."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

COMMAND = Path(sys.executable).parent / "data-pipeline"


def words(given: Mapping[str, str]) -> list[str]:
    """The command's arguments; ValueError if the year or how much of it is missing."""
    year, limit, company = (given.get(name, "").strip() for name in ("YEAR", "MAX", "COMPANY"))
    if not year:
        raise ValueError("Which year? Name it: `make run YEAR=2024 MAX=20`.")
    if not limit and not company:
        # A year is some 1,700 companies and 9 GB: nobody should get that by forgetting an argument.
        raise ValueError(
            f"How much of {year}? `MAX=20` is its first 20 companies, `COMPANY=…` some by id, `MAX=all` every one."
        )
    chosen = ["--year", year]
    if limit and limit != "all":
        chosen += ["--max-files", limit]
    if company:
        chosen += [word for one in company.split() for word in ("--company-id", one)]
    return ["run", "build", "--", *chosen, *shlex.split(given.get("ARGS", ""))]


def main() -> None:
    try:
        chosen = words(os.environ)
    except ValueError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    os.execv(COMMAND, [str(COMMAND), *chosen])  # noqa: S606 - without a shell is the point


if __name__ == "__main__":
    main()
