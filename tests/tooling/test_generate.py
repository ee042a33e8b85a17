"""tools/generate.py: what follows from the code is committed as the code has it now."""

from tools import generate


def test_the_generated_files_are_current():
    assert generate.outdated(generate.ROOT, generate.files()) == [], "run `make generate`"


def test_a_missing_a_changed_and_a_leftover_file_are_found_and_corrected(tmp_path):
    wanted = {"docs/reference/a.md": "text", "docs/schemas/a.json": "{}", "k8s/examples/b.yaml": "b"}
    generate.write(tmp_path, wanted)
    assert generate.outdated(tmp_path, wanted) == []

    (tmp_path / "docs/reference/a.md").write_text("changed")
    (tmp_path / "docs/schemas/a.json").unlink()
    (tmp_path / "k8s/examples/leftover.yaml").write_text("")

    assert generate.outdated(tmp_path, wanted) == [
        "docs/reference/a.md",
        "docs/schemas/a.json",
        "k8s/examples/leftover.yaml",
    ]
    generate.write(tmp_path, wanted)
    assert generate.outdated(tmp_path, wanted) == []
