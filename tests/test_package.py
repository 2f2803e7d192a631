"""The package as others install it: what the core needs and loads,
and what a part without its packages says.
"""

import ast
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import import_module
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import hspec
from hspec import cli
from hspec.extras import MissingExtra, need

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CORE = {Requirement(line).name for line in PROJECT["dependencies"]}
EXTRA = {Requirement(line).name for line in PROJECT["optional-dependencies"]["book"]}
SOLD_AS = {
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
    "IPython": "ipykernel",
    "PIL": "torchvision",
    "jupyter_client": "jupyter-client",
}


def parts():
    """The packages hspec.X, by name."""
    return sorted(path.parent.name for path in (ROOT / "hspec").glob("*/__init__.py"))


class Required(ast.NodeTransformer):
    """A module without what it tries to import and goes without, or imports for types alone."""

    def visit_If(self, node):
        return None if ast.unparse(node.test) == "TYPE_CHECKING" else self.generic_visit(node)

    def visit_Try(self, node):
        goes_on = any(
            ast.unparse(handler.type or node) == "ImportError" for handler in node.handlers
        )
        return None if goes_on else self.generic_visit(node)


def imported(part):
    """What a part imports from outside the standard library and hspec,
    and does not go without."""
    names = set()
    for path in (ROOT / "hspec" / part).rglob("*.py"):
        for node in ast.walk(Required().visit(ast.parse(path.read_text()))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names.add(node.module.split(".")[0])
    return names - sys.stdlib_module_names - {"hspec"}


def asked_for(part):
    """What a part imports by a name that stands in it, when it is asked for."""
    calls = [
        node
        for path in (ROOT / "hspec" / part).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "import_module"
    ]
    named = [call.args[0].value for call in calls if isinstance(call.args[0], ast.Constant)]
    return {name.split(".")[0] for name in named}


def needed(part):
    """What the part's `__init__` looks for by `need`."""
    tree = ast.parse((ROOT / "hspec" / part / "__init__.py").read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {
        argument.value
        for call in calls
        if ast.unparse(call.func) == "need"
        for argument in call.args[1:]
    }


def run(code, *, path=None, **environment):
    """A fresh Python runs the code; returns what it printed."""
    options = [] if path is None else ["-S"]
    done = subprocess.run(
        [sys.executable, *options, "-c", code],
        cwd=ROOT if path is None else path,
        env={**os.environ, "PYTHONPATH": str(path or ROOT), "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_core_is_four_packages():
    assert {"torch", "numpy", "scipy", "matplotlib"} == CORE
    for part in (*hspec.PARTS, "models"):
        assert imported(part) <= CORE


@pytest.mark.parametrize("part", parts())
def test_a_part_looks_for_all_that_it_needs_beyond_the_core(part):
    by_name = asked_for(part) if needed(part) else set()  # `yours` says itself what a file needs
    assert needed(part) == (imported(part) | by_name) - CORE
    assert {SOLD_AS.get(name, name) for name in needed(part)} <= EXTRA


def test_a_missing_package_is_one_sentence_with_the_remedy(monkeypatch, capsys):
    told = "hspec.data needs no_such_package: pip install 'hspec[book]'"
    with pytest.raises(MissingExtra, match=re.escape(told)):
        need("hspec.data", "json", "no_such_package")

    def missing(name):
        raise MissingExtra(told)

    monkeypatch.setattr(cli, "import_module", missing)
    assert cli.main(["book"]) == 1
    assert capsys.readouterr().err == f"hspec: {told}\n"


def test_import_hspec_loads_nothing_and_has_the_names():
    loaded = run("import hspec, sys; print(*sys.modules)").split()
    assert not CORE & set(loaded)
    for part in hspec.PARTS:
        for name in import_module(f"hspec.{part}").__all__:
            assert getattr(hspec, name) is getattr(import_module(f"hspec.{part}"), name)
            assert name in dir(hspec)
    with pytest.raises(AttributeError, match="module 'hspec' has no attribute 'Rsik'"):
        _ = hspec.Rsik


def test_no_public_name_hides_behind_a_module():
    modules = {path.stem for path in (ROOT / "hspec").iterdir()}
    assert not modules & set(dir(hspec)) - set(hspec.PARTS)


def test_the_core_is_quick_to_import():
    """What it loads beyond torch decides, and can be told without a clock: SciPy's parts and
    Matplotlib take a second, hspec's own files a fifth of one."""
    code = "import torch, sys; before = set(sys.modules); import hspec.linalg, hspec.curvature; "
    beyond = run(code + "print(*(set(sys.modules) - before))").split()
    heavy = re.compile(
        r"(matplotlib|pandas|sklearn|torchvision|scipy\.(special|stats|linalg|sparse))\b"
    )
    assert not [name for name in beyond if heavy.match(name)]


def test_measuring_waits_for_no_data_set_that_is_not_read():
    """torchvision and scikit-learn, which know the data sets, take longer to import than torch."""
    loaded = run("import hspec.experiments, hspec.training, hspec.models, sys; print(*sys.modules)")
    assert not {"torchvision", "sklearn"} & set(loaded.split())


def closure(names):
    """The distributions that the names need, themselves included, as they are installed here."""
    found, waiting = {}, list(names)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found[name] = distribution(name)
        for line in found[name].requires or ():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
    return found.values()


def link(names, folder):
    """A folder with the core's packages alone, as links to those installed: a clean environment
    without 6 GB of copies."""
    for dist in closure(names):
        for top in {Path(str(file)).parts[0] for file in dist.files or ()} - {"..", "__pycache__"}:
            target = folder / top
            if not target.exists():
                target.symlink_to(Path(dist.locate_file(top)).resolve())


SMOKE = """
import hspec, torch
net = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3)).eval()
batches = [(torch.randn(6, 4), torch.tensor([0, 1, 2, 0, 1, 2]))]
risk = hspec.Risk.from_module(net, batches, num_classes=3)
measure = hspec.slq(hspec.hessian(risk), 6, 2, generator=torch.Generator().manual_seed(0))
assert measure.nodes.shape == (2, 6) and hspec.__file__.startswith(HERE)
from hspec.cli import main
print(main(["book"]))
try:
    import hspec.data
except ImportError as error:
    print(error)
"""


@pytest.mark.slow
def test_wheel_and_sdist_build_and_run_with_the_core_alone(tmp_path):
    built, site = tmp_path / "dist", tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", built, ROOT],
        check=True,
        capture_output=True,
    )
    (wheel,) = built.glob("*.whl")  # made from the sdist
    (sdist,) = built.glob("*.tar.gz")
    site.mkdir()
    zipfile.ZipFile(wheel).extractall(site)
    assert (site / "hspec" / "py.typed").is_file()
    assert not (site / "tests").exists() and sdist.stat().st_size < 1e6
    link(CORE, site)
    printed = run(SMOKE.replace("HERE", repr(str(site))), path=site)
    assert printed.splitlines()[0] == "1"
    assert re.fullmatch(
        r"hspec\.data needs .*sklearn.*: pip install 'hspec\[book\]'", printed.splitlines()[-1]
    )


def unannotated(body, prefix):
    """Public functions of a module or class that leave an argument's or the result's type open."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from unannotated(node.body, f"{prefix}.{node.name}")
        if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
            continue
        given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        given += [extra for extra in (node.args.vararg, node.args.kwarg) if extra]
        open_ones = [a.arg for a in given if a.annotation is None and a.arg not in ("self", "cls")]
        if open_ones or node.returns is None:
            yield f"{prefix}.{node.name} {', '.join(open_ones) or 'result'}"


def test_every_public_function_says_its_types():
    found = [
        line
        for path in sorted((ROOT / "hspec").rglob("*.py"))
        for line in unannotated(ast.parse(path.read_text()).body, path.stem)
    ]
    assert not found, "\n".join(found)
