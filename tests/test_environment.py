"""pyproject.toml is the one source of dependencies;
constraints.txt and environment.yml agree with it.
"""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from hspec.cli import parser

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
DIRECT = [*PROJECT["dependencies"], *(line for lines in EXTRAS.values() for line in lines)]
SETUP_EXTRAS = {"book", "test"}  # what the two commands install


def pins():
    """{package: [versions]} of constraints.txt;
    a package may have one pin for each Python version.
    """
    found = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if pin := re.match(r"([A-Za-z0-9._-]+)==([^\s;]+)", line):
            found.setdefault(normalised(pin[1]), []).append(pin[2])
    return found


def normalised(name):
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("line", DIRECT)
def test_every_direct_dependency_is_locked_at_a_version_that_fits(line):
    requirement = Requirement(line)
    versions = pins().get(normalised(requirement.name), [])
    assert versions, f"{requirement.name} is not in constraints.txt"
    for version in versions:
        assert requirement.specifier.contains(version), (
            f"{requirement.name} {version} is not {requirement.specifier}"
        )


def test_the_lock_holds_no_addresses():
    assert not re.search(
        r"https?://|file:|--index|--find-links", (ROOT / "constraints.txt").read_text()
    )


def test_environment_yml_delegates():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    conda = [line for line in environment["dependencies"] if isinstance(line, str)]
    (pip,) = [line["pip"] for line in environment["dependencies"] if isinstance(line, dict)]
    assert conda == [f"python{PROJECT['requires-python']}", "pip"]
    assert pip == ["-c constraints.txt", f"-e .[{','.join(sorted(SETUP_EXTRAS))}]"]


def test_the_makefile_installs_the_same_extras_under_the_lock():
    (line,) = [
        line
        for line in (ROOT / "Makefile").read_text().splitlines()
        if "pip install" in line and "-e" in line
    ]
    assert "-c constraints.txt" in line
    assert set(re.search(r"\.\[([\w,]+)\]", line)[1].split(",")) == SETUP_EXTRAS


def test_the_makefile_checks_for_the_same_python():
    lowest, beyond = re.findall(r"3\.(\d+)", PROJECT["requires-python"])
    assert (
        f"(3, {lowest}) <= sys.version_info[:2] < (3, {beyond})" in (ROOT / "Makefile").read_text()
    )


def test_setup_extras_exist():
    assert EXTRAS.keys() >= SETUP_EXTRAS


WORKFLOW = ROOT / ".github" / "workflows" / "book.yml"


def steps():
    """Every line that the workflow runs."""
    jobs = yaml.safe_load(WORKFLOW.read_text())["jobs"].values()
    return [step["run"] for job in jobs for step in job["steps"] if "run" in step]


def test_the_workflow_runs_commands_that_there_are():
    called = [line.split() for line in steps() if line.startswith("hspec ")]
    assert {words[1] for words in called} >= {"book", "verify"}
    for words in called:
        parser(words[1:]).parse_args(words[1:])  # ends the test where an option is unknown


def test_the_workflow_installs_under_the_lock_and_tests_the_lowest_and_the_highest_python():
    workflow = yaml.safe_load(WORKFLOW.read_text())
    assert workflow["env"]["INSTALL"].count("-c constraints.txt") == 1
    assert 'eval "$INSTALL"' in steps()
    lowest, beyond = re.findall(r"3\.(\d+)", PROJECT["requires-python"])
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == [
        f"3.{lowest}",
        f"3.{int(beyond) - 1}",
    ]
