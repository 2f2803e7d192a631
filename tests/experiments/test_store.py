"""The store finds what is sound, tells of what is not, and lets processes share the work."""

import dataclasses
import threading
from multiprocessing import get_context

import pytest

from hspec.experiments import Store, measure
from hspec.experiments.store import Held


@measure(version=1)
def toy(task): ...


KEY = "57eddb19acef9b756872"


def test_absent_is_none(store):
    assert store.get(toy, "absent") is None
    assert store.published_records(toy) == []
    assert store.largest_published(toy) is None


def test_published_records_are_found(store, tmp_path, record):
    Store(tmp_path / "results", tmp_path / "nowhere").put(record(5.0))
    assert store.get(toy, KEY)["x"][0] == 5.0
    assert [r.meta["key"] for r in store.published_records(toy)] == [KEY]
    assert store.published_records(toy, besides=[record()]) == []


def test_fresh_store_does_not_answer_from_what_is_published(store, tmp_path, monkeypatch, record):
    Store(tmp_path / "results", tmp_path / "nowhere").put(record())
    monkeypatch.setenv("HSPEC_FRESH", "1")
    fresh = Store(store.root, store.published)
    assert fresh.get(toy, KEY) is None
    assert len(fresh.published_records(toy)) == 1


def test_laptop_records_answer_and_are_not_shown_among_the_published(store, tmp_path, record):
    Store(tmp_path / "laptop", tmp_path / "nowhere").put(record(5.0))
    assert store.get(toy, KEY)["x"][0] == 5.0
    assert store.published_records(toy) == []
    assert [r.meta["key"] for r in store.laptop_records(toy)] == [KEY]
    assert Store(store.root, store.published, fresh=True).get(toy, KEY) is None


def test_a_record_in_both_folders_of_the_book_is_one_record(store, tmp_path, record):
    for place, found in (("results", record()), ("laptop", record()), ("laptop", record(epoch=1))):
        Store(tmp_path / place, tmp_path / "nowhere").put(found)
    assert len(store.laptop_records(toy)) == 2
    keys = [found.meta["key"] for found in store.records_of_the_book(toy)]
    assert keys[0] == KEY and len(keys) == len(set(keys)) == 2


def test_records_of_an_older_version_are_not_shown_nor_published(store, tmp_path, record):
    later = dataclasses.replace(toy, version=toy.version + 1)
    for place in ("results", "laptop"):
        Store(tmp_path / place, tmp_path / "nowhere").put(record())
    store.put(record(epoch=1))
    assert len(store.published_records(toy)) == len(store.laptop_records(toy)) == 1
    assert store.published_records(later) == store.laptop_records(later) == []
    assert store.publish(later) == [] and len(store.publish(toy)) == 1


def test_publishing_copies_what_is_new(store, record):
    store.put(record())
    assert [folder.name for folder in store.publish(toy)] == [KEY]
    assert store.publish(toy) == []
    assert len(store.published_records(toy)) == 1


def test_a_damaged_record_is_told_and_counts_as_absent(store, tmp_path, damage, record):
    damage(store.put(record()))
    damage(Store(store.published, tmp_path / "nowhere").put(record()))
    with pytest.warns(UserWarning, match=f"damaged record .*{KEY}: .*; it will be computed again"):
        assert store.get(toy, KEY) is None
    with pytest.warns(UserWarning, match=f"damaged record .*{KEY}: .*; it is left out"):
        assert store.published_records(toy) == []
    store.put(record(2.0))
    assert store.get(toy, KEY)["x"][0] == 2.0


def test_a_damaged_record_does_not_keep_the_others_from_being_published(store, record):
    (store.put(record(epoch=1)) / "meta.json").write_text("")
    store.put(record())
    with pytest.warns(UserWarning, match="it is not published"):
        assert [folder.name for folder in store.publish(toy)] == [KEY]


@pytest.mark.parametrize(
    "place", [(), ("below",), ("x" * 300,)], ids=["a file", "below a file", "too long"]
)
def test_an_unwritable_store_is_refused_with_the_remedy(tmp_path, place):
    root = tmp_path / "file"
    if place != ("x" * 300,):
        root.write_text("not a folder")
    store = Store(root.joinpath(*place))
    assert store.get(toy, KEY) is None
    with pytest.raises(PermissionError, match="set HSPEC_STORE to a folder that is"):
        store.require_room_for(toy, KEY)


@pytest.mark.parametrize("at", ["toy", f"toy/{KEY}"])
def test_a_file_in_a_records_place_is_told_before_the_work(store, at):
    (store.root / at).parent.mkdir(parents=True)
    (store.root / at).write_text("")
    assert store.get(toy, KEY) is None
    with pytest.raises(
        FileExistsError, match="is a file where records belong in a folder: remove it"
    ):
        store.require_room_for(toy, KEY)


def hold(root, pipe):
    with Store(root).claimed("one"):
        pipe.send("in")
        pipe.recv()


@pytest.fixture
def holder(store):
    """Another process at "one", until it is sent something."""
    processes = get_context("fork")
    ours, theirs = processes.Pipe()
    process = processes.Process(target=hold, args=(store.root, theirs))
    process.start()
    assert ours.recv() == "in"
    process.finish = lambda: ours.send("go")
    yield process
    process.kill()
    process.join()


def test_what_another_process_is_at_is_held(store, holder):
    with pytest.raises(Held, match="another process is at one"), store.claimed("one", wait=False):
        pass
    with store.claimed("two", wait=False):
        pass
    holder.finish()
    with store.claimed("one"):
        pass
    assert list((store.root / "claims").iterdir()) == []


def test_the_claim_of_a_killed_process_is_taken_over(store, holder):
    holder.kill()
    holder.join()
    with store.claimed("one"):
        pass


def test_a_claim_may_be_entered_again_and_is_left_with_an_exception(store):
    with pytest.raises(KeyError), store.claimed("one"), store.claimed("one", wait=False):
        raise KeyError
    assert list((store.root / "claims").iterdir()) == []


def test_threads_hold_claims_against_each_other(store):
    seen = []

    def attempt():
        try:
            with store.claimed("one", wait=False):
                seen.append("taken")
        except Held:
            seen.append("held")

    with store.claimed("one"):
        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join()
    assert seen == ["held"]
