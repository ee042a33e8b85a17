"""No committed file names a package index, a folder of somebody's machine, or a secret."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOT_COMMITTED = {".git", ".venv", ".cache", "data", "__pycache__"}

# Concatenated, so that this file does not match.
PRIVATE = {
    "a package index": (
        r"https?://[^\s/\"']*(py" + r"pi|python" + r"hosted|artifact" + r"ory|jf" + r"rog|nex" + r"us)",
        r"(index[-_]url|find[-_]links|trusted[-_]host)[\"']?\s*[= ]\s*[\"']?(https?|file)://",
    ),
    "a folder of a machine": (
        r"(?<![\w.~}\])-])/(wor" + r"k|ro" + r"ot)/[\w.]",
        r"/tmp/bash_" + r"jobs",
        r"(?<![\w.~}\])-])/(ho" + r"me|Us" + r"ers)/(?!me\b|app\b|user\b|runner\b)\w",
    ),
    "a secret": (
        r"-----BEGIN ([A-Z]+ )*PRIVATE " + r"KEY-----",
        r"\b(AKIA|ASIA)(?![0-9A-Z]*EXAMPLE)[0-9A-Z]{16}\b",
        r"\bgh[pousr]_[A-Za-z0-9]{36}\b",
    ),
}


def committed() -> list[Path]:
    """The files that git tracks or would add; without git every file outside the folders that are never committed."""
    answer = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode == 0 and answer.stdout:
        paths = [ROOT / name for name in answer.stdout.split("\0") if name]
    else:
        paths = [path for path in ROOT.rglob("*") if NOT_COMMITTED.isdisjoint(path.relative_to(ROOT).parts)]
    return [path for path in paths if path.is_file()]


def findings(text: str) -> list[str]:
    return [
        f"{kind}: {match[0]}"
        for kind, patterns in PRIVATE.items()
        for pattern in patterns
        for match in re.finditer(pattern, text)
    ]


def test_no_committed_file_holds_anything_private():
    found = [
        f"{path.relative_to(ROOT)} holds {finding}"
        for path in committed()
        for finding in findings(path.read_text(encoding="latin-1"))
    ]

    assert found == []


@pytest.mark.parametrize(
    ("parts", "kind"),
    [
        (("https://py", "pi.org/simple"), "a package index"),
        (("https://files.python", "hosted.org/x.whl"), "a package index"),
        (("extra-index-url = ", "https://mirror.example/"), "a package index"),
        (("see /wor", "k/main"), "a folder of a machine"),
        (("'/ro", "ot/.cache'"), "a folder of a machine"),
        (("-----BEGIN RSA PRIVATE ", "KEY-----"), "a secret"),
        (("AKIA", "Z" * 16), "a secret"),
    ],
)
def test_each_kind_of_private_text_is_found(parts, kind):
    assert [finding.split(":")[0] for finding in findings("".join(parts))] == [kind]


@pytest.mark.parametrize(
    "text",
    [
        "https://example.org/work/1",
        "docs/root/x",
        "AKIAIOSFODNN7EXAMPLE",
        "pip --index-url=$URL",
        "LAKE_URL=file:///data/lake",
    ],
)
def test_public_text_is_not_reported(text):
    assert findings(text) == []
