"""A lake in a directory among several processes, killed ones, and a system that refuses."""

import hashlib
import re
import signal

import pytest

from etl_core.files import PERMISSION_ADVICE
from etl_core.lake.directory import DirectoryStore
from packages.etl_core.tests.integration.lake.conftest import sha256
from packages.etl_core.tests.support.children import child, line, run, say, start
from packages.etl_core.tests.support.file_systems import folder_elsewhere
from packages.etl_core.tests.support.refusing import (
    files_of_at_most_4_kb,
    linux_only,
    no_hard_links,
    no_right_to_ignore_permissions,
    no_space_left,
)

OPEN = """
    import sys, os, hashlib, signal
    from pathlib import Path
    from etl_core.errors import PipelineError
    from etl_core.lake.directory import DirectoryStore
    store = DirectoryStore(Path(sys.argv[1]))
    def attempt(action):
        try:
            print(action())
        except PipelineError as error:
            print(type(error).__name__, "|", error)
"""


@pytest.fixture
def root(tmp_path):
    return tmp_path / "lake"


@pytest.fixture
def store(root):
    opened = DirectoryStore(root)
    yield opened
    opened.close()


def everything(root):
    files = [path for path in root.rglob("*") if path.is_file() and path.name != "lock"]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


# ---------------------------------------------------------------------------------------------------- racing

RACE = (
    OPEN
    + """
    number, keys = sys.argv[2], int(sys.argv[3])
    print("ready", flush=True)
    sys.stdin.readline()
    for index in range(keys):
        body = f"{number} wrote {index}".encode()
        if index % 2:
            result = store.put_new(f"raw/{index}", body)
        else:
            path = store.scratch_file()
            path.write_bytes(body)
            result = store.put_new(f"raw/{index}", path)
        print(result.created, result.sha256)
    store.close()
"""
)


def check_race(root, writers, keys, before=None):
    processes = [start(RACE, root, number, keys, before=before) for number in range(writers)]
    try:
        for process in processes:
            assert line(process) == "ready"
        for process in processes:
            say(process)
        ended = [process.communicate(timeout=100) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert [err for _, err in ended] == [""] * writers
    told = [out.split("\n")[:-1] for out, _ in ended]
    assert {len(lines) for lines in told} == {keys}
    there = everything(root)
    assert sorted(there) == sorted(f"raw/{index}" for index in range(keys))
    for index in range(keys):
        created = [number for number in range(writers) if told[number][index].startswith("True ")]
        assert len(created) == 1
        body = f"{created[0]} wrote {index}".encode()
        assert there[f"raw/{index}"] == body
        assert {lines[index].partition(" ")[2] for lines in told} == {sha256(body)}
    assert [path.name for path in root.iterdir()] == ["raw"]


def test_of_twelve_racing_processes_exactly_one_creates(root):
    check_race(root, 12, 150)


@linux_only
def test_without_hard_links_exactly_one_of_racing_processes_creates(root):
    check_race(root, 12, 150, before=no_hard_links)


# ---------------------------------------------------------------------------------------------------- killed

BODY = b"0123456789abcdef" * 40_000  # 640 kB

PUT_FOR_EVER = (
    OPEN
    + """
    body = b"0123456789abcdef" * 40_000
    for number in range(100_000):
        print("putting", number, flush=True)
        store.put_new(f"raw/{number}", body)
"""
)


@pytest.mark.parametrize("before", [None, pytest.param(no_hard_links, marks=linux_only)])
def test_a_killed_writer_leaves_only_whole_objects(root, before):
    for puts in (1, 2, 7):
        with child(PUT_FOR_EVER, root, before=before) as process:
            for _ in range(puts):
                line(process)
            process.kill()
    there = everything(root)
    objects = {key: body for key, body in there.items() if not key.startswith(".scratch/")}
    assert all(body == BODY for body in objects.values())

    store = DirectoryStore(root)
    assert {info.key: info.size for info in store.list("")} == dict.fromkeys(objects, len(BODY))
    number = len(objects)
    assert store.put_new(f"raw/{number}", BODY).created
    assert sorted(everything(root)) == sorted([*objects, f"raw/{number}"])
    store.close()


# The kernel ends the child in the middle of its write: the file is at 4 kB of 640.
KILLED_WRITING = (
    OPEN
    + """
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    {action}
"""
)


@linux_only
@pytest.mark.parametrize(
    "action", ['store.put_new("raw/a", b"x" * 640_000)', 'store.put("raw/a", b"x" * 640_000)'], ids=["put_new", "put"]
)
def test_a_writer_killed_in_the_middle_of_a_write_leaves_no_object(root, store, action):
    status, _, err = run(KILLED_WRITING.format(action=action), root, before=files_of_at_most_4_kb)
    assert (status, err) == (-signal.SIGXFSZ, "")
    (unfinished,) = everything(root).items()
    assert re.match(r"\.scratch/\d+-\w+/\w+$", unfinished[0])
    assert len(unfinished[1]) == 4096

    assert list(store.list("")) == []
    assert store.get("raw/a") is None
    assert store.put_new("raw/a", b"whole").created
    assert everything(root) == {"raw/a": b"whole"}


@linux_only
def test_a_writer_killed_in_the_middle_of_a_copy_from_elsewhere_leaves_no_object(root, store, tmp_path):
    with folder_elsewhere(tmp_path) as elsewhere:
        path = elsewhere / "body"
        path.write_bytes(BODY)
        action = f'store.put_new("raw/a", Path({str(path)!r}))'
        status, _, err = run(KILLED_WRITING.format(action=action), root, before=files_of_at_most_4_kb)
    assert (status, err) == (-signal.SIGXFSZ, "")
    assert any(len(body) == 4096 for body in everything(root).values())
    assert list(store.list("")) == []
    assert store.put_new("raw/a", b"whole").created
    assert [info.key for info in store.list("")] == ["raw/a"]


@linux_only
def test_without_hard_links_a_killed_writer_blocks_nobody(root):
    code = (
        OPEN
        + """
    with store._scratch.exclusive():
        print("locked", flush=True)
        sys.stdin.read()
"""
    )
    put = (
        OPEN
        + """
    print("trying", flush=True)
    attempt(lambda: store.put_new("a", b"x"))
    store.close()
"""
    )
    with child(code, root) as dying:
        assert line(dying) == "locked"
        with child(put, root, before=no_hard_links) as waiting:
            assert line(waiting) == "trying"
            dying.kill()
            assert line(waiting).startswith("PutResult(created=True")
            assert waiting.communicate(timeout=30) == ("", "")
    assert everything(root) == {"a": b"x"}


# --------------------------------------------------------------------------------------------- a full disk


@linux_only
def test_a_full_disk_is_an_error_and_leaves_nothing(root, store):
    store.put_new("before", b"x")
    code = (
        OPEN
        + """
    attempt(lambda: store.put_new("raw/a", b"y" * 1000))
    attempt(lambda: store.put("before", b"y" * 1000))
    attempt(lambda: store.put_new("before", b"y" * 1000))
    store.close()
"""
    )
    status, out, err = run(code, root, before=no_space_left)
    assert (status, err) == (0, "")
    told = out.splitlines()
    for text, key in zip(told[:2], ("raw/a", "before"), strict=True):
        assert text == (
            f"AccessError | cannot write {root}/{key}: No space left on device. "
            "Free some space and run the same command again; work done is kept."
        )
    assert told[2].startswith(f"PutResult(created=False, sha256='{sha256(b'x')}'")
    assert everything(root) == {"before": b"x"}


@linux_only
def test_a_partial_write_leaves_nothing(root):
    code = (
        OPEN
        + """
    attempt(lambda: store.put_new("raw/a", b"y" * 10_000))
    attempt(lambda: store.put("raw/a", b"y" * 10_000))
    print([path for path in Path(sys.argv[1]).rglob("*") if path.is_file() and path.name != "lock"])
    store.close()
"""
    )
    status, out, err = run(code, root, before=files_of_at_most_4_kb)
    assert (status, err) == (0, "")
    assert out.splitlines() == [f"PermanentError | cannot write {root}/raw/a: File too large."] * 2 + ["[]"]


# --------------------------------------------------------------------------------------- permissions missing

ATTEMPTS = (
    OPEN
    + """
    attempt(lambda: store.put_new("raw/new", b"x"))
    attempt(lambda: store.put("raw/new", b"x"))
    attempt(lambda: store.delete("raw/a"))
    attempt(lambda: store.get("raw/a"))
    attempt(lambda: b"".join(store.read("raw/a")))
    attempt(lambda: store.head("raw/a").size)
    attempt(lambda: [info.key for info in store.list("")])
    attempt(lambda: store.scratch_file().name and "a scratch file")
    attempt(lambda: store.put_new("raw/a", b"y").created)
    store.close()
"""
)


def attempts(root, folder, mode):
    folder.chmod(mode)
    try:
        status, out, err = run(ATTEMPTS, root, before=no_right_to_ignore_permissions)
    finally:
        folder.chmod(0o755)
    assert (status, err) == (0, "")
    return out.splitlines()


@linux_only
def test_a_read_only_lake_can_be_read_and_not_written(root, store):
    store.put_new("raw/a", b"x")
    store.close()
    (root / "raw").chmod(0o555)
    found = attempts(root, root, 0o555)
    (root / "raw").chmod(0o755)
    denied = "AccessError | cannot {}: Permission denied. " + PERMISSION_ADVICE
    assert found == [
        denied.format(f"write {root}/raw/new"),
        denied.format(f"write {root}/raw/new"),
        denied.format(f"delete {root}/raw/a"),
        "b'x'",
        "b'x'",
        "1",
        "['raw/a']",
        denied.format(f"make a file in {root}"),
        "False",
    ]
    assert everything(root) == {"raw/a": b"x"}


@linux_only
def test_a_failed_write_leaves_nothing_in_scratch(root, store):
    store.put_new("raw/a", b"x")
    found = attempts(root, root / "raw", 0o555)
    assert found[0] == f"AccessError | cannot write {root}/raw/new: Permission denied. {PERMISSION_ADVICE}"
    assert found[1] == f"AccessError | cannot write {root}/raw/new: Permission denied. {PERMISSION_ADVICE}"
    assert found[7] == "a scratch file"
    assert everything(root) == {"raw/a": b"x"}


@linux_only
def test_an_unreadable_folder_is_an_error_not_an_empty_lake(root, store):
    store.put_new("raw/a", b"x")
    store.close()
    found = attempts(root, root / "raw", 0o000)
    for text in found[3:6]:
        assert text == f"AccessError | cannot read {root}/raw/a: Permission denied. {PERMISSION_ADVICE}"
    assert found[6] == f"AccessError | cannot list {root}: Permission denied. {PERMISSION_ADVICE}"
    assert found[8] == f"AccessError | cannot write {root}/raw/a: Permission denied. {PERMISSION_ADVICE}"


# ------------------------------------------------------------------------------------------------- the rest


def test_a_lake_in_a_directory_needs_no_boto3(root):
    code = """
        import sys
        from etl_core.lake import open_store
        store = open_store(sys.argv[1])
        store.put_new("a", b"x")
        store.close()
        print([name for name in sys.modules if name.split(".")[0] in ("boto3", "botocore", "requests")])
    """
    assert run(code, root) == (0, "[]\n", "")


def test_hashes_are_of_the_bytes_on_disk(root, store):
    store.put_new("a", b"x")
    (root / "a").write_bytes(b"changed by hand")
    assert store.put_new("a", b"x").sha256 == hashlib.sha256(b"changed by hand").hexdigest()
