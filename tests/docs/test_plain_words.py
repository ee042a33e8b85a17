"""Readers in a hurry, many of them not native speakers, meet no word they must look up."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# What is avoided, and what is written instead.
AVOIDED = {
    r"anew": "again",
    r"heed(s|ed)?": "obey, consider",
    r"who(m|so)?ever": "any process that",
    r"of whom": "a sentence of its own",
    r"there(of|in|upon)|where(in|of|upon)|hitherto|henceforth": "a sentence of its own",
    r"as good as": "the same as, almost",
    r"witness(es)?": "reference count",
    r"vouch(es|ed)?": "proves, records",
    r"(held|hold|holds|holding) against": "compared with",
    r"taken? in hand": "claimed",
    r"(is|are|be) told": "gets, learns",
    r"reckon(s|ed)?": "calculate",
    r"mend(s|ed|ing)?": "fix",
    r"(hung|hang) up": "published",
    r"goes on|went on": "continues, continued",
    r"at work": "running",
    r"gone again|got round": "deleted, bypassed",
}
FILES = [
    path
    for pattern in (
        "*.md",
        "docs/**/*.md",
        "packages/*/README.md",
        "packages/*/src/**/*.py",
        "tools/*.py",
        "benchmarks/*",
        "docker/*",
        "k8s/**/*.yaml",
        "terraform/**/*.tf",
        "Makefile",
    )
    for path in sorted(ROOT.glob(pattern))
    if path.is_file()
]


@pytest.mark.parametrize(("word", "instead"), AVOIDED.items(), ids=lambda text: text)
def test_no_text_uses_a_word_that_readers_stumble_over(word, instead):
    assert len(FILES) > 150
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:90]}"
        for path in FILES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(rf"\b({word})\b", line, re.IGNORECASE)
    ]
    assert found == [], f"write instead: {instead}"
