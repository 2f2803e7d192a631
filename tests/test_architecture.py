"""The layers of docs/architecture.md: who may import whom, nothing hidden in a function,
no cycles.
"""

import ast
import re
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "hspec").rglob("*.py"))
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in FILES
}

GROUND_FLOOR = {
    "batch_norm",
    "distributed",
    "errors",
    "extras",
    "fields",
    "files",
    "keys",
    "parameters",
    "statistics",
    "stopwatch",
    "words",
}  # single files that every layer may import
LOADERS = {"__import__", "import_module", "resolve_name"}
DOORS = {
    "hspec",
    "hspec.cli",
    "hspec.data.libraries",
    "hspec.yours.named",
}  # load what is asked for, when it is asked for; nothing else does

# layer: (hspec layers it may import, packages it may import)
LAYERS = {
    "batch_norm": (set(), {"torch"}),
    "distributed": (set(), {"torch"}),
    "errors": (set(), set()),
    "extras": (set(), set()),
    "fields": (set(), set()),
    "files": (set(), set()),
    "keys": (set(), set()),
    "parameters": (set(), set()),
    "statistics": (set(), {"numpy", "scipy"}),
    "stopwatch": (set(), set()),
    "words": (set(), set()),
    "linalg": (set(), {"torch", "numpy", "scipy"}),
    "curvature": ({"linalg"}, {"torch", "numpy"}),
    "plotting": ({"linalg"}, {"numpy", "matplotlib"}),
    "primer": ({"linalg", "curvature", "plotting"}, {"torch", "matplotlib"}),
    "yours": ({"linalg", "curvature", "plotting"}, {"torch", "numpy", "matplotlib", "tqdm"}),
    "data": (set(), {"torch", "torchvision", "numpy", "sklearn", "PIL"}),
    "models": (set(), {"torch", "torchvision", "numpy", "safetensors"}),
    "training": ({"data", "models"}, {"torch", "numpy", "tqdm"}),
    "experiments": (
        {"linalg", "curvature", "data", "models", "training"},
        {"torch", "numpy", "scipy", "filelock", "sklearn"},
    ),
    "figures": (
        {"linalg", "experiments", "plotting"},
        {"numpy", "pandas", "matplotlib", "seaborn", "IPython"},
    ),
    "chapters": (
        {"linalg", "curvature", "yours", "experiments", "figures", "training"},
        {"torch", "numpy", "scipy", "pandas", "matplotlib", "seaborn", "sklearn"},
    ),
    "papers": (
        {"experiments", "figures", "chapters", "training"},
        {"numpy", "pandas", "IPython"},
    ),
    "book": (
        {"linalg", "experiments", "figures", "chapters", "papers"},
        {
            *("papermill", "nbclient", "nbformat", "jupyter_client", "ipykernel"),
            *("yaml", "matplotlib"),
        },
    ),
    "commands": (
        {"book", "experiments", "figures", "chapters", "papers", "curvature", "yours"},
        {"torch", "yaml", "submitit"},
    ),
    "cli": ({"commands"}, set()),
    "__main__": ({"cli"}, set()),
}


# file of a chapter: (hspec layers it may import, packages it may import); files before it in the
# chapter too
ENGINE, DRAWING = {"curvature", "training", "yours"}, {"figures", "yours"}
CHAPTER_FILES = {
    "__init__": (set(), set()),
    "measure": (ENGINE | {"linalg", "experiments"}, {"torch", "numpy", "scipy", "sklearn"}),
    "verdict": ({"linalg", "experiments"}, {"numpy", "scipy"}),
    "figures": (DRAWING | {"linalg", "experiments"}, {"numpy", "pandas", "matplotlib", "seaborn"}),
}


def layer_of(module):
    return module.split(".")[1] if "." in module else None


class AtRunTime(ast.NodeTransformer):
    """A module as it runs: without the imports that only annotations need."""

    def visit_If(self, node):
        return None if ast.unparse(node.test) == "TYPE_CHECKING" else node


def imports(module, view=lambda tree: tree):
    """(imported module, imported name or None) of every import statement,
    relative ones resolved.
    """
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(view(ast.parse(path.read_text(encoding="utf-8")))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = (
                package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            )
            source = ".".join(base + ([node.module] if node.module else []))
            yield from ((source, alias.name) for alias in node.names)


def dependencies(module):
    """The hspec modules that must be loaded before this one."""
    for source, name in imports(module, AtRunTime().visit):
        submodule = f"{source}.{name}"
        if submodule in MODULES and module.startswith(source):
            yield submodule  # from . import sibling: the package itself is already being loaded
        elif source.startswith("hspec"):
            yield source


@pytest.mark.parametrize("module", [name for name in MODULES if name != "hspec"])
def test_a_layer_imports_only_what_the_table_allows(module):
    layer = layer_of(module)
    assert layer in LAYERS, f"{layer} is not in the table of docs/architecture.md"
    layers, packages = LAYERS[layer]
    for source, name in imports(module):
        top = source.split(".")[0]
        if top == "hspec":
            target = layer_of(source) or name
            assert target == layer or target in layers | GROUND_FLOOR, (
                f"{module} imports {source}: not downwards"
            )
        else:
            assert top in packages or top in sys.stdlib_module_names, f"{module} imports {top}"


IN_CHAPTERS = [path for path in FILES if path.parent.parent.name == "chapters"]


@pytest.mark.parametrize("path", IN_CHAPTERS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_chapters_files_have_their_parts(path):
    """Measuring knows no drawing, drawing no engine, and no chapter another one."""
    assert path.stem in CHAPTER_FILES, f"a chapter has the files {', '.join(CHAPTER_FILES)}"
    layers, packages = CHAPTER_FILES[path.stem]
    before = list(CHAPTER_FILES)[: list(CHAPTER_FILES).index(path.stem)]
    own = f"hspec.chapters.{path.parent.name}."
    module = f"{own}{path.stem}" if path.stem != "__init__" else own.rstrip(".")
    for source, _ in imports(module):
        top, layer = source.split(".")[0], layer_of(source)
        if source.startswith("hspec.chapters"):
            assert source.removeprefix(own) in before, f"{module} imports {source}"
        elif top == "hspec":
            assert layer in layers | GROUND_FLOOR, f"{module} imports {source}"
        else:
            assert top in packages or top in sys.stdlib_module_names, f"{module} imports {top}"


def test_every_chapter_is_named_as_its_notebook():
    notebooks = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert {path.parent.name for path in IN_CHAPTERS} <= notebooks


@pytest.mark.parametrize("module", sorted(MODULES.keys() - DOORS))
def test_no_import_is_hidden_in_a_function(module):
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    functions = [
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    hidden = [
        f"line {node.lineno}"
        for function in functions
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
        or (isinstance(node, ast.Name) and node.id in LOADERS)
        or (isinstance(node, ast.Attribute) and node.attr in LOADERS)
    ]
    assert not hidden


def test_no_cycles():
    graph = {module: set(dependencies(module)) for module in MODULES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail("import cycle: " + " → ".join(error.args[1]))


def test_the_table_names_every_layer():
    found = {layer_of(module) for module in MODULES} - {None}
    assert found == set(LAYERS)


WALKS = (
    (ROOT / "docs" / "architecture.md")
    .read_text(encoding="utf-8")
    .split("## Three walks")[1]
    .split("\n## ")[0]
)


@pytest.mark.parametrize("walk", WALKS.split("\n### ")[1:], ids=lambda walk: walk.splitlines()[0])
def test_a_walk_names_files_that_are_there_and_none_twice(walk):
    named = re.findall(r"`((?:hspec|notebooks)/[\w/]+\.(?:py|ipynb))`", walk)
    assert [name for name in named if not (ROOT / name).is_file()] == []
    assert len(named) == len(set(named))
