"""A lake of two committed runs of 16 records each, staged and built as a user does it."""

import contextlib
import hashlib
import io
import json
import shutil
from pathlib import Path
from typing import Any

from data_pipeline.cli import exit_code_of
from packages.data_pipeline.tests.unit.jobs.command_case import CommandCase

CLOSED = Path(__file__).parents[2] / "fixtures" / "lake_v1" / "closed"


class TablesCase(CommandCase):
    """``stage_and_build`` first, but ``damage`` before it."""

    def setUp(self) -> None:
        super().setUp()
        shutil.copytree(CLOSED, self.lake)

    def stage_and_build(self) -> None:
        for job in ("stage", "build_curated"):
            status, _, err = self.run_job(job, "--year", "2024")
            self.assertEqual(status, 0, err)

    def damage(self, old: bytes, new: bytes, run_id: str = "second") -> str:
        """Change the first such text in the parts of a run, and all proofs of them; the key of the part."""
        listed = self.lake / f"metadata/runs/run_id={run_id}/file_audits.jsonl"
        audits = [json.loads(line) for line in listed.read_bytes().splitlines()]
        changed = next(one for one in audits if old in (self.lake / one["key"]).read_bytes())
        part = self.lake / changed["key"]
        body = part.read_bytes().replace(old, new, 1)
        part.write_bytes(body)
        changed |= {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
        listed.write_text("".join(json.dumps(one) + "\n" for one in audits))
        manifest = listed.with_name("manifest.json")
        said = json.loads(manifest.read_bytes())
        said["file_audits_sha256"] = hashlib.sha256(listed.read_bytes()).hexdigest()
        manifest.write_text(json.dumps(said) + "\n")
        return str(changed["key"])

    def answer(self, *words: str) -> tuple[int, str, dict[str, Any]]:
        """Of a job that writes data to stdout: status, data, and the fact from stderr."""
        out, err = io.TextIOWrapper(io.BytesIO(), newline=""), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = exit_code_of(["run", words[0], "--", *words[1:], "--lake", str(self.lake)])
        out.flush()
        facts = [
            json.loads(line) for line in err.getvalue().splitlines() if line.startswith(('{"job"', '{"schema_version"'))
        ]
        self.assertEqual(len(facts), 1, err.getvalue())
        return status, out.buffer.getvalue().decode(), facts[0]
