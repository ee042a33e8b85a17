"""``make job NAME=my_job``: write a job and its test under that name, then all that follows from them.

The template is the second example of docs/adding_a_job.md, whose tests run it.
"""

from __future__ import annotations

import keyword
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = "docs/adding_a_job.md"
TEMPLATE = "count_objects"
JOBS = "packages/data_pipeline/src/data_pipeline/jobs"
TESTS = "packages/data_pipeline/tests/unit/jobs"
# S4.2: a module of these names is no job.
NO_JOB = ("registry",)


def checked(name: str) -> str:
    """``name`` if a job can have it; ValueError with what to write if not."""
    if not name:
        raise ValueError("Which job? Name it: `make job NAME=my_job`.")
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or keyword.iskeyword(name) or name in NO_JOB:
        raise ValueError(f"{name!r} cannot be a job's name: lower-case words joined by _, such as my_job.")
    return name


def files(name: str, page: str) -> dict[str, str]:
    """Path below the root, and text, of a job of that name and its test."""
    job, test = (
        text.replace(TEMPLATE, name).replace(class_name(TEMPLATE), class_name(name))
        for text in re.findall(r"```python\n(.*?)```", page, re.DOTALL)[-2:]
    )
    return {f"{JOBS}/{name}.py": job, f"{TESTS}/test_{name}.py": test}


def class_name(name: str) -> str:
    return "".join(map(str.capitalize, name.split("_")))


def write(root: Path, made: dict[str, str]) -> None:
    """Create the files; ValueError if one is there, and then none is written."""
    if there := [path for path in made if (root / path).exists()]:
        raise ValueError(f"{there[0]} is there already: choose another name.")
    for path, text in made.items():
        with (root / path).open("x", encoding="utf-8") as stream:
            stream.write(text)


def main() -> int:
    try:
        made = files(checked(os.environ.get("NAME", "").strip()), (ROOT / PAGE).read_text(encoding="utf-8"))
        write(ROOT, made)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    # In a process of its own, which imports the new job.
    subprocess.run([sys.executable, ROOT / "tools" / "generate.py"], check=True)
    print(*(f"wrote {path}" for path in made), sep="\n")
    print(f"Now write what the job does, and try it: data-pipeline run {Path(next(iter(made))).stem} -- --help")
    print(f"If it uses the lake on AWS, say what its policy allows: {PAGE}. Then `make check`.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
