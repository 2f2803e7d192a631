"""A clone is found from any folder inside it; its table of contents and its profiles agree."""

import pytest

from hspec.book import BookError, Repository


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


def test_broken_yaml_is_named(toy):
    (toy.book / "profiles" / "smoke.yaml").write_text("one: [")
    with pytest.raises(BookError, match=r"smoke\.yaml is not valid YAML"):
        toy.profile("smoke")
