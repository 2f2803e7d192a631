"""A page depends on what its notebook loads, and on little else."""

import ast
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from hspec.book.dependencies import dependencies, imported

ROOT = Path(__file__).parents[2]
FILES = """
loaded = [module for name, module in sys.modules.items() if name.partition(".")[0] == "hspec"]
print(*(module.__file__ for module in loaded), sep="\\n")
"""


def sources(name):
    return set(dependencies(ROOT, ROOT / "notebooks" / f"{name}.ipynb"))


@pytest.mark.parametrize("name", ["primer_means", "hierarchy"])
def test_what_a_notebook_loads_is_found_without_loading_it(name):
    cells = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4).cells
    code = ast.parse("\n".join(cell.source for cell in cells if cell.cell_type == "code"))
    imports = [ast.unparse(node) for node in code.body if isinstance(node, ast.ImportFrom)]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(["import sys", *imports, FILES])],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {Path(line) for line in done.stdout.split()}
    assert ROOT / "hspec" / "plotting" / "notebook.py" in loaded
    assert loaded <= sources(name)


def test_a_chapter_depends_on_no_other_and_on_the_records_of_its_own_measures():
    found = sources("upper_tail")
    assert {p.parts[-2] for p in found if "chapters" in p.parts} == {"chapters", "upper_tail"}
    records = {p.relative_to(ROOT / "data").parts[1] for p in found if p.name == "meta.json"}
    assert records == {"upper_tail"}


def test_a_record_that_one_chapter_draws_is_of_no_other_page():
    """Those with the papers' nets import every measure, and show the nets that they name."""
    with_papers = ["averaging", "end_of_training", "hierarchy", "outlier_ownership"]
    of = {
        name: {p.parts[-3] for p in sources(name) if p.name == "meta.json"} for name in with_papers
    }
    assert not any({"layer_curvature", "layer_structure"} & measures for measures in of.values())
    assert {"ownership", "training_spectrum"} <= of["outlier_ownership"] | of["end_of_training"]
    assert {"class_geometry", "level_spectra"} <= of["hierarchy"] and "averaging" in of["averaging"]
    assert "averaging" in of["outlier_ownership"]  # the table of growth has ResNet18's


def test_names_taken_from_the_whole_package_depend_on_all_of_it(toy, write_chapter):
    (toy.root / "hspec" / "other.py").write_text("x = 1\n")
    write_chapter(toy, "one", last_line="import hspec")
    assert dependencies(toy.root, toy.source("one")) == [toy.root / "hspec" / "other.py"]


def test_imports_are_read_with_the_modules_that_names_may_be():
    tree = ast.parse("import torch\nimport hspec.files\nfrom hspec.a import b, c\nfrom . import d")
    assert set(imported(tree)) == {"hspec.files", "hspec.a", "hspec.a.b", "hspec.a.c"}
