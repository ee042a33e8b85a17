"""The entry point that Terraform gives to EMR Serverless and Glue, without a Spark."""

import os
import subprocess
import sys

from tests.infrastructure.sources import TERRAFORM

ENTRY = TERRAFORM / "modules" / "spark" / "entry.py"


def started(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, ENTRY, *words], env=os.environ, capture_output=True, text=True, check=False)


def test_a_command_in_one_argument_is_run_with_the_settings_of_another(tmp_path):
    done = started(
        "--JOB_NAME", "of Glue",
        "--settings", f"'LAKE_URL={tmp_path}/a lake' LOG_FORMAT=json",
        "--command", "run status -- --run-id r1",
    )  # fmt: skip

    assert done.returncode == 3
    assert "a%20lake has no run r1" in done.stdout


def test_a_job_that_succeeds_ends_without_an_exit_that_glue_takes_for_a_failure():
    done = started("--command", "describe stage")

    assert (done.returncode, done.stderr) == (0, "")
    assert "--engine" in done.stdout
