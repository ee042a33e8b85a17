"""What every lake promises: one suite for the store in memory, in a directory and on S3."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from etl_core.errors import ConflictError, DataError, NotFoundError
from etl_core.lake import PutResult, content_of, put_or_agree
from etl_core.testing import MemoryStore
from packages.etl_core.tests.integration.lake.conftest import DirectoryLake, sha256

ONE, TWO = b"one\n", b"the other content\n"
BAD_KEYS = [
    "",
    "/",
    "/a",
    "a/",
    "a//b",
    ".",
    "..",
    "../a",
    "a/..",
    "a/../b",
    "./a",
    "a/.",
    "a/./b",
    "a\\b",
    "..\\a",
    "a\nb",
    "a\x00b",
    "a\x1bb",
    "a\x7fb",
    "a\u2028b",
    "a\u202eb",
    "a\ud800b",
]


def sizes(infos):
    return {info.key: info.size for info in infos}


# ------------------------------------------------------------------------------------------------- creating


def test_a_new_object_has_its_hash_and_size(store, lake):
    assert store.put_new("a/b.csv", ONE) == PutResult(created=True, sha256=sha256(ONE))
    assert store.get("a/b.csv") == ONE
    assert sizes([store.head("a/b.csv")]) == {"a/b.csv": len(ONE)}
    assert lake.everything() == {"a/b.csv": ONE}


@pytest.mark.parametrize("second", [ONE, TWO], ids=["same", "other"])
def test_put_new_keeps_an_existing_object_and_gives_its_hash(store, lake, second):
    store.put_new("a/b", ONE)
    assert lake.open().put_new("a/b", second) == PutResult(created=False, sha256=sha256(ONE))
    assert lake.everything() == {"a/b": ONE}


def test_put_new_gives_the_hash_of_a_replaced_object(store):
    store.put_new("a", ONE)
    store.put("a", TWO)
    assert store.put_new("a", ONE) == PutResult(created=False, sha256=sha256(TWO))


@pytest.mark.parametrize("key", ["a", "a/b/c/d/e", "year=2024/é x, (1).csv", "a b/#+%20&?*", ".hidden/x", "日本/語"])
def test_unusual_keys_work(store, key):
    assert store.put_new(key, ONE).created
    assert not store.put_new(key, TWO).created
    assert store.get(key) == ONE
    assert sizes(store.list("")) == {key: len(ONE)}
    store.delete(key)
    assert store.head(key) is None


@pytest.mark.parametrize("size", [0, 1, 3 * 1024 * 1024 + 17])
def test_objects_of_any_size_are_read_back(store, size):
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    assert store.put_new("a", body) == PutResult(created=True, sha256=sha256(body))
    chunks = list(store.read("a"))
    assert b"".join(chunks) == body
    assert max(map(len, chunks), default=0) <= 1024 * 1024 or type(store) is MemoryStore
    assert store.get("a") == body
    assert store.put_new("a", ONE) == PutResult(created=False, sha256=sha256(body))


# ------------------------------------------------------------------------------------------- bodies in files


def test_a_file_becomes_an_object_and_is_removed(store, lake):
    path = store.scratch_file()
    path.write_bytes(ONE)
    assert store.put_new("a/b", path) == PutResult(created=True, sha256=sha256(ONE))
    assert not path.exists()
    assert lake.everything() == {"a/b": ONE}


@pytest.mark.parametrize("content", [ONE, TWO], ids=["same", "other"])
def test_a_file_for_an_existing_key_is_removed_too(store, lake, content):
    store.put_new("a/b", ONE)
    path = store.scratch_file()
    path.write_bytes(content)
    assert store.put_new("a/b", path) == PutResult(created=False, sha256=sha256(ONE))
    assert not path.exists()
    assert lake.everything() == {"a/b": ONE}


def test_a_known_hash_is_not_computed_again(store, tmp_path):
    path = tmp_path / "elsewhere"
    path.write_bytes(ONE)
    assert store.put_new("a", path, sha256=sha256(ONE)) == PutResult(created=True, sha256=sha256(ONE))
    assert content_of(ONE) == sha256(ONE)
    path.write_bytes(TWO)
    assert content_of(path) == sha256(TWO)


def test_scratch_files_are_new_paths_in_an_existing_folder(store):
    paths = [store.scratch_file() for _ in range(5)]
    assert len(set(paths)) == 5
    assert all(path.parent.is_dir() and not path.exists() for path in paths)


def test_closing_leaves_no_scratch(lake):
    store = lake.make()
    paths = [store.scratch_file() for _ in range(3)]
    for path in paths:
        path.write_bytes(b"half of it")
    store.put_new("a", ONE)
    store.close()
    assert not any(path.exists() or path.parent.exists() for path in paths)
    assert lake.everything() == {"a": ONE}
    store.close()


# ----------------------------------------------------------------------------------- replacing and removing


def test_put_creates_and_replaces(store, lake):
    store.put("a/b", ONE)
    assert store.get("a/b") == ONE
    lake.open().put("a/b", TWO)
    assert store.get("a/b") == TWO
    assert lake.everything() == {"a/b": TWO}


def test_put_replaces_by_a_file_and_removes_it(store, lake):
    store.put("a/b", ONE)
    path = store.scratch_file()
    path.write_bytes(TWO)
    store.put("a/b", path)
    assert not path.exists()
    assert lake.everything() == {"a/b": TWO}


def test_a_deleted_object_can_be_created_again(store):
    store.put_new("a/b", ONE)
    store.delete("a/b")
    assert store.get("a/b") is None
    assert store.put_new("a/b", TWO).created
    assert store.get("a/b") == TWO


def test_deleting_a_missing_object_does_nothing(store, lake):
    store.put_new("a/b", ONE)
    for key in ("x", "a", "a/b/c", "a/x"):
        store.delete(key)
    assert lake.everything() == {"a/b": ONE}


@pytest.mark.parametrize("key", ["x", "a", "a/x", "a/b/c"])
def test_a_missing_object_is_none_or_not_found(store, key):
    store.put_new("a/b", ONE)
    assert store.get(key) is None
    assert key == "a" or store.head(key) is None
    with pytest.raises(NotFoundError, match=key):
        list(store.read(key))


# -------------------------------------------------------------------------------------------------- listing


def test_a_list_is_in_order_and_below_its_prefix(store):
    keys = ["b", "a/2", "a/10", "a/1/x", "a/1-x", "ab/c", "a.b", "A", "é", "z", "日", "\U0001f600", "\ufffd"]
    for number, key in enumerate(keys):
        store.put_new(key, b"x" * number)
    expected = sorted(keys, key=str.encode)
    for prefix in ["", "a", "a/", "a/1", "a/1/", "a/1/x", "ab", "b", "A", "é", "x", "a/9", "a/1/x/", "no/such/folder/"]:
        found = list(store.list(prefix))
        assert [info.key for info in found] == [key for key in expected if key.startswith(prefix)], prefix
        assert [info.size for info in found] == [keys.index(info.key) for info in found]


def test_an_object_has_the_time_of_its_last_write(store):
    before = datetime.now(UTC).replace(microsecond=0)
    store.put_new("a/b", ONE)
    (listed,) = store.list("a/")
    found = store.head("a/b")
    assert found == listed
    assert found.modified.utcoffset() == timedelta(0)
    assert before <= found.modified <= datetime.now(UTC)


def test_a_list_of_an_empty_lake_is_empty(store):
    assert list(store.list("")) == []
    assert list(store.list("a/")) == []


def test_unfinished_files_are_in_no_list(store):
    store.scratch_file().write_bytes(b"half of it")
    store.put_new("a", ONE)
    assert [info.key for info in store.list("")] == ["a"]
    assert [info.key for info in store.list(".")] == []


def test_objects_can_change_while_a_list_is_made(lake):
    store = lake.open()
    store.put_new("a", ONE)
    ended = threading.Event()

    def come_and_go() -> None:
        while not ended.is_set():
            other = lake.make()
            other.scratch_file().write_bytes(b"half of it")
            other.put("b/c", ONE)
            other.delete("b/c")
            other.close()

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        for _ in range(200 if isinstance(lake, DirectoryLake) else 20):
            found = {info.key for info in store.list("")}
            assert {"a"} <= found <= {"a", "b/c"}
    finally:
        ended.set()
        thread.join()


# ---------------------------------------------------------------------------------------------------- keys


@pytest.mark.parametrize("key", BAD_KEYS, ids=ascii)
def test_a_bad_key_is_refused_and_nothing_is_written(store, lake, tmp_path, key):
    before = sorted(tmp_path.rglob("*"))
    path = tmp_path / "body"
    for action in (
        lambda: store.put_new(key, ONE),
        lambda: store.put_new(key, path),
        lambda: store.put(key, ONE),
        lambda: store.get(key),
        lambda: list(store.read(key)),
        lambda: store.head(key),
        lambda: store.delete(key),
        lambda: store.uri(key),
    ):
        path.write_bytes(ONE)
        with pytest.raises(DataError, match="is not a valid key"):
            action()
    path.unlink(missing_ok=True)
    assert lake.everything() == {}
    assert sorted(tmp_path.rglob("*")) == before


def test_the_uri_of_an_object_is_the_url_of_its_store_and_its_key(store):
    assert store.uri("a/b.csv").startswith(store.url)
    assert store.uri("a/b.csv").removeprefix(store.url).lstrip("/") == "a/b.csv"


def test_the_message_on_a_bad_key_has_no_control_characters(store):
    with pytest.raises(DataError) as caught:
        store.get("a\x1b[2J\nb")
    assert str(caught.value) == "'a\\x1b[2J\\nb' is not a valid key"


# ------------------------------------------------------------------------------------------------ agreeing


def test_put_or_agree_creates_or_finds_the_same_content(store):
    assert put_or_agree(store, "a", ONE).created
    assert not put_or_agree(store, "a", ONE).created


def test_put_or_agree_names_key_and_hashes_of_a_conflict(store):
    store.put_new("a/b", ONE)
    with pytest.raises(ConflictError) as caught:
        put_or_agree(store, "a/b", TWO)
    message = str(caught.value)
    assert f"{store.url}/a/b already holds other content" in message
    assert f"there sha256 {sha256(ONE)}, here {sha256(TWO)}." in message
    assert "Nothing was overwritten." in message
    assert store.get("a/b") == ONE


# -------------------------------------------------------------------------------------------------- racing


def race(lake, writers, keys):
    """Every writer puts every key with content of its own; what each was told."""
    told: list[dict[str, PutResult]] = [{} for _ in range(writers)]
    barrier = threading.Barrier(writers)
    stores = [lake.make() for _ in range(writers)]

    def work(number) -> None:
        barrier.wait(30)
        for key in keys:
            body = f"{number} wrote {key}".encode()
            if number % 2:
                told[number][key] = stores[number].put_new(key, body)
            else:
                path = stores[number].scratch_file()
                path.write_bytes(body)
                told[number][key] = stores[number].put_new(key, path)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for store in stores:
        store.close()
    return told


def check_race(lake, writers, number_of_keys):
    keys = [f"raw/part-{number:03}.csv" for number in range(number_of_keys)]
    told = race(lake, writers, keys)
    there = lake.everything()
    assert sorted(there) == keys  # all of them, nothing half-made beside them
    for key in keys:
        winners = [number for number in range(writers) if told[number][key].created]
        assert len(winners) == 1
        body = f"{winners[0]} wrote {key}".encode()
        assert there[key] == body
        assert {told[number][key].sha256 for number in range(writers)} == {sha256(body)}


def test_of_twelve_racing_writers_exactly_one_creates(lake):
    check_race(lake, 12, 150 if not hasattr(lake, "bucket") else 12)


@pytest.mark.long
@pytest.mark.parametrize("lake", ["s3"], indirect=True)
def test_of_twelve_racing_writers_exactly_one_creates_each_of_150_keys(lake):
    check_race(lake, 12, 150)


def test_of_racing_threads_of_one_store_exactly_one_creates(lake):
    store = lake.open()
    results: list[PutResult] = []

    def work(number) -> None:
        path = store.scratch_file()
        path.write_bytes(b"%d" % number)
        results.append(store.put_new("a/b", path))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.created for result in results].count(True) == 1
    assert {result.sha256 for result in results} == {sha256(lake.everything()["a/b"])}
