"""Checkov's policy scan of a folder."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tools import isolated


def scan(folder: Path, *frameworks: str) -> dict[str, list[dict[str, Any]]]:
    """All results, as ``passed_checks``, ``failed_checks`` and ``skipped_checks``.

    Raises:
        UnavailableError: checkov cannot be installed.

    """
    # From inside the folder: checkov ignores folders whose path has a name that begins with a dot.
    command = [str(isolated.program("checkov")), "-d", ".", "--framework", *frameworks, "--skip-download", "-o", "json"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    try:
        output = json.loads(result.stdout)
    except ValueError:
        raise RuntimeError(f"checkov printed no JSON: {result.stderr.strip()[-500:]}") from None
    reports = output if isinstance(output, list) else [output]
    if missing := set(frameworks) - {report.get("check_type") for report in reports}:
        raise RuntimeError(f"checkov found nothing to check in {folder} for {', '.join(missing)}")
    kinds = ("passed_checks", "failed_checks", "skipped_checks")
    return {kind: [check for report in reports for check in report["results"][kind]] for kind in kinds}
