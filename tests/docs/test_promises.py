"""The page of promises knows every word that verify may say."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_finding_of_verify_is_explained():
    packages = ROOT / "packages"
    source = (packages / "data_pipeline/src/data_pipeline/open_payments/operations/verify.py").read_text(
        encoding="utf-8"
    )
    reader = (packages / "etl_core/src/etl_core/csv_stream/reader.py").read_text(encoding="utf-8")
    findings = set(re.findall(r'(?:Fault|_note)\(\s*"([a-z_]+)"', source))
    findings |= set(re.findall(r'RecordError\(\s*"([a-z_]+)"', reader))
    assert {"changed", "misplaced", "release_moved", "repeated_key"} <= findings
    page = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
    section = page.partition("## What verify finds")[2].partition("\n## ")[0]
    assert {one for one in findings if f"`{one}`" not in section} == set()
