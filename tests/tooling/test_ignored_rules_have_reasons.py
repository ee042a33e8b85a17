"""A linter rule that is switched off has its reason beside it."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_ignored_linter_rule_has_a_reason():
    text = (ROOT / "pyproject.toml").read_text()
    section = text[text.index("[tool.ruff.lint]") : text.index("[tool.ruff.lint.isort]")]

    rules = [line for line in section.splitlines() if re.match(r'\s+"[A-Z]+\d*",', line)]

    assert len(rules) > 20
    assert [rule for rule in rules if not re.search(r'",\s+# \S', rule)] == []
