"""What is published keeps its name: a changed key would orphan every stored result."""

import inspect
import json
from dataclasses import fields
from pathlib import Path

import pytest

from hspec.chapters.measures import MEASURES
from hspec.experiments import Experiment, Recipe, Setting
from hspec.experiments.store import REPOSITORY
from hspec.keys import births, completed, digest

PUBLISHED = sorted((REPOSITORY / "data" / "results").glob("*/*/meta.json"))
PINNED = json.loads((Path(__file__).parent / "pinned_keys.json").read_text(encoding="utf-8"))


CONFIGURATION = ("measure", "version", "setting", "options")


def experiment_of(meta):
    setting = meta["setting"] and Setting.from_canonical(meta["setting"])
    measure = MEASURES[meta["measure"]]
    return Experiment(measure, setting, completed(measure.function, meta["options"]))


def key_of(meta):
    """As computed today, but for the measure's version, which is raised on purpose."""
    return digest(experiment_of(meta).configuration | {"version": meta["version"]})


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: "/".join(path.parts[-3:-1]))
def test_every_published_record_is_found_under_its_folders_name(path):
    meta = json.loads(path.read_text(encoding="utf-8"))
    assert digest({name: meta[name] for name in CONFIGURATION}) == path.parent.name == meta["key"]
    assert key_of(meta) == meta["key"]


@pytest.mark.parametrize("pinned", PINNED["records"], ids=lambda pinned: pinned["measure"])
def test_one_configuration_of_every_measure_has_the_key_it_always_had(pinned):
    setting = experiment_of(pinned).setting
    assert key_of(pinned) == pinned["key"]
    assert (setting and setting.training_key) == pinned["training_key"]


def test_every_measure_is_pinned():
    assert {pinned["measure"] for pinned in PINNED["records"]} == set(MEASURES)


@pytest.mark.parametrize(
    "owner", [Setting, Recipe, *MEASURES.values()], ids=lambda owner: owner.__name__
)
def test_whatever_was_added_since_says_what_it_was_at_birth(owner):
    """hspec/keys.py tells how to add a field; a forgotten mark would change every key."""
    if isinstance(owner, type):
        name, names = owner.__name__, {f.name for f in fields(owner)}
    else:
        owner = owner.function
        parameters = inspect.signature(owner).parameters.values()
        name, names = owner.__name__, {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
    first = set(PINNED["first fields"].get(name, names))
    assert names - first == set(births(owner))
