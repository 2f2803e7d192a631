"""A clone is found from any folder inside it; its table of contents and its profiles agree."""

import pytest

from hspec.book.errors import BookError
from hspec.book.repository import Repository


def test_is_found_from_any_folder_inside(toy):
    assert Repository.find(toy.book / "_static") == Repository.find(toy.root) == toy


def test_outside_a_clone_says_so(tmp_path):
    with pytest.raises(BookError, match="not inside a clone"):
        Repository.find(tmp_path)


def test_chapters_come_in_reading_order(toy):
    assert toy.chapters() == ["one", "two"]


def test_a_listed_notebook_must_exist(toy):
    toy.source("two").unlink()
    with pytest.raises(BookError, match="lists notebooks/two"):
        toy.chapters()


def test_an_empty_entry_of_a_profile_means_the_defaults(toy):
    (toy.book / "profiles" / "smoke.yaml").write_text("one:\ntwo: {}\n")
    assert toy.profile("smoke") == {"one": {}, "two": {}}


@pytest.mark.parametrize(
    ("text", "told"), [("one: {}", "missing ['two']"), ("one: {}\ntwo: {}\n3: {}", "unknown [3]")]
)
def test_a_profile_names_each_chapter_and_no_other(toy, text, told):
    (toy.book / "profiles" / "smoke.yaml").write_text(text)
    with pytest.raises(BookError) as refusal:
        toy.profile("smoke")
    assert told in str(refusal.value)


def test_an_unknown_profile_names_the_known_ones(toy):
    with pytest.raises(BookError, match="smoke, laptop, paper"):
        toy.profile("huge")


BROKEN = {
    "cut": b"one: [",
    "not UTF-8": b"one: \xff\xfe",
    "a list": b"[]",
    "a number": b"3",
    "empty": b"",
    "an object": b"one: !!python/object/apply:os.getcwd []",
    "nested too deeply": b"[" * 100_000,
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("name", ["profiles/smoke.yaml", "_toc.yml"])
def test_broken_yaml_is_named(toy, name, content):
    (toy.book / name).write_bytes(content)
    with pytest.raises(
        BookError, match=rf"{name.split('/')[-1]} (cannot be read as YAML|must hold names)"
    ):
        toy.profile("smoke")


@pytest.mark.parametrize("entry", ["[1]", "text", "3"])
def test_a_chapters_entry_that_is_no_mapping_is_named(toy, entry):
    (toy.book / "profiles" / "smoke.yaml").write_text(f"one: {entry}\ntwo: {{}}\n")
    with pytest.raises(BookError, match=r"smoke\.yaml, one: write its parameters as name: value"):
        toy.profile("smoke")


@pytest.mark.parametrize("file", ["[notebooks/one]", "3", "''", "{a: b}"])
def test_a_table_of_contents_with_strange_entries_ends_in_one_sentence(toy, file):
    (toy.book / "_toc.yml").write_text(f"root: intro\nchapters:\n- file: {file}\n")
    with pytest.raises(BookError):
        toy.profile("smoke")
