"""The rules for notebooks: typed parameters, thin cells, enough prose, captions, a verdict,
no outputs.
"""

import ast
import re
import shlex
from pathlib import Path

import nbformat
import papermill
import pytest
import yaml

from hspec.book.parameters import check_parameters, parameters_cell, read_parameters
from hspec.book.repository import PROFILES, Repository

REPOSITORY = Repository(Path(__file__).parents[1])
NOTEBOOKS = sorted((REPOSITORY.root / "notebooks").glob("*.ipynb"))
LONGEST_CELL = 12  # lines
PRIMER = "primer_"  # begins the names of pages without data, records, claims and torchvision
HIDDEN_WORK = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Lambda,
    ast.For,
    ast.While,
    ast.AsyncFor,
)


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def notebook(path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def prose(notebook):
    return [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]


def statements(cell):
    """The cell's Python without its %magics."""
    return ast.parse(
        "\n".join(line for line in cell.source.splitlines() if not line.startswith("%"))
    )


def test_no_cell_shows_a_sentence_in_quotes(notebook):
    """A text as a cell's last value is shown as Python writes it; `said` shows it as prose."""
    last = [body[-1] for cell in code_cells(notebook) if (body := statements(cell).body)]
    shown = [line.value for line in last if isinstance(line, ast.Expr)]
    shown += [value.orelse for value in shown if isinstance(value, ast.IfExp)]
    assert not [v.value for v in shown if isinstance(v, ast.Constant) and isinstance(v.value, str)]


def test_no_line_is_called_black(notebook):
    """On a dark page it is pale."""
    told = [cell.metadata.get("mystnb", {}).get("figure", {}).get("caption", "") for cell in
            notebook.cells]  # fmt: skip
    text = " ".join(prose(notebook) + told)
    assert not re.search(r"\b(black|white) (lines?|dots?|ones?|curves?|points?)\b", text)


def test_every_notebook_is_in_the_book_and_the_book_has_notebooks():
    assert {path.stem for path in NOTEBOOKS} == set(REPOSITORY.chapters()) != set()


def test_is_a_valid_notebook_for_the_kernel_python3(notebook):
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"


def test_has_no_outputs_and_no_traces_of_a_run(notebook):
    assert "papermill" not in notebook.metadata
    for cell in code_cells(notebook):
        assert cell.outputs == []
        assert cell.execution_count is None
        assert not {"papermill", "execution"} & cell.metadata.keys()


def test_parameters_are_typed_and_commented(path, notebook):
    known = read_parameters(notebook)
    assert known
    for parameter in known.values():
        assert parameter.help, f"{parameter.name} has no comment"
        promised = "0 takes" in parameter.help  # of a count, whose zero means something
        assert not promised or parameter.default == 0, f"{parameter.name}=0 would be refused"
    defaults = {name: parameter.default for name, parameter in known.items()}
    assert check_parameters(known, defaults) == defaults
    # papermill's own listing does not read "int | None".
    listed = {name for name, parameter in known.items() if "|" not in parameter.annotation}
    assert papermill.inspect_notebook(path).keys() == listed, (
        "papermill --help-notebook shows others"
    )


def test_parameters_are_checked_before_anything_else_happens(path, notebook):
    """Also under plain papermill, which takes any name and any type."""
    cells = code_cells(notebook)
    statements_behind = [
        ast.unparse(node)
        for cell in cells[cells.index(parameters_cell(notebook)) + 1 :]
        for node in statements(cell).body
        if not isinstance(node, ast.ImportFrom)
    ]
    assert statements_behind[0] == "check_parameters(globals())"


def test_no_import_takes_the_name_of_a_parameter(notebook):
    imported = {
        alias.asname or alias.name
        for cell in code_cells(notebook)
        for node in ast.walk(statements(cell))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert imported & read_parameters(notebook).keys() == set()


@pytest.mark.parametrize("profile", PROFILES)
def test_profiles_name_parameters_of_the_right_type(path, notebook, profile):
    check_parameters(read_parameters(notebook), REPOSITORY.profile(profile)[path.stem])


def test_cells_are_thin(notebook):
    for cell in code_cells(notebook):
        assert len(cell.source.splitlines()) <= LONGEST_CELL or cell is parameters_cell(notebook), (
            cell.source
        )
        hidden = [node for node in ast.walk(statements(cell)) if isinstance(node, HIDDEN_WORK)]
        assert not hidden, f"this belongs in the package: {cell.source}"


def test_no_cell_is_empty(notebook):
    assert all(cell.source.strip() for cell in notebook.cells)


def test_imports_only_its_own_chapter_and_what_chapters_share(path, notebook):
    allowed = ("hspec.experiments", "hspec.figures", "hspec.papers", f"hspec.chapters.{path.stem}")
    if path.stem.startswith(PRIMER):
        allowed = ("hspec.primer", "hspec.plotting")
    allowed += ("hspec.parameters",)
    for cell in code_cells(notebook):
        for node in ast.walk(statements(cell)):
            if isinstance(node, ast.ImportFrom):
                assert any(f"{node.module}.".startswith(f"{layer}.") for layer in allowed), (
                    cell.source
                )
            assert not isinstance(node, ast.Import), cell.source


def test_prose_is_at_least_as_long_as_code(notebook):
    code = sum(len(cell.source) for cell in code_cells(notebook))
    assert sum(map(len, prose(notebook))) >= code


def last_call(cell):
    """The name of the function whose value the cell shows;
    of "f(…) if there else None" it is f's.
    """
    body = statements(cell).body
    value = body[-1].value if body and isinstance(body[-1], ast.Expr) else None
    value = value.body if isinstance(value, ast.IfExp) else value
    return ast.unparse(value.func) if isinstance(value, ast.Call) else ""


def test_figures_have_a_caption_and_a_name(notebook):
    cells = [cell.metadata.get("mystnb", {}) for cell in code_cells(notebook)]
    figures = [settings["figure"] for settings in cells if "figure" in settings]
    assert figures, "a chapter without a figure"
    assert all(figure["caption"].strip() for figure in figures)
    names = [figure["name"] for figure in figures]
    assert len(set(names)) == len(names)


WITHOUT_RECORDS = (
    "your_own_net",
    PRIMER,
)  # nothing of them is stored that could tell what it is about


def gives_a_figure(name, namespace):
    function = namespace.get(name.partition(".")[0])
    for part in name.split(".")[1:]:
        function = getattr(function, part)
    return "Figure" in str(getattr(function, "__annotations__", {}).get("return", ""))


def test_every_figure_tells_its_records_and_the_last_cell_what_was_found(path, notebook):
    """Captions, alternative texts, badge and findings are made by `shown` and `in_this_run`."""
    for cell in code_cells(notebook):
        described = "an alternative text is made from the figure"
        assert "image" not in cell.metadata.get("mystnb", {}), described
    if path.stem.startswith(WITHOUT_RECORDS):
        pytest.skip("no record to tell of")
    namespace = {}
    for cell in code_cells(notebook):
        imports = [node for node in statements(cell).body if isinstance(node, ast.ImportFrom)]
        exec(compile(ast.Module(imports, []), path.stem, "exec"), namespace)
        if "figure" in cell.metadata.get("mystnb", {}):
            assert last_call(cell) == "shown", cell.source
        else:
            assert last_call(cell) != "shown", f"a figure without caption and name: {cell.source}"
            assert not gives_a_figure(last_call(cell), namespace), (
                f"a figure without shown: {cell.source}"
            )
    assert last_call(code_cells(notebook)[-1]) == "in_this_run"


def test_ends_in_a_verdict_and_says_how_to_rerun(path, notebook):
    headings = [
        line for text in prose(notebook) for line in text.splitlines() if line.startswith("#")
    ]
    last = "three to try" if path.stem.startswith(PRIMER) else "verdict"
    assert any(last in heading.lower() for heading in headings[-3:]), headings
    assert any(f"hspec run {path.stem}" in text for text in prose(notebook)), (
        "no command that runs it again"
    )


def test_prose_names_parameters_that_exist(notebook):
    for name in re.findall(r"-p (\w+)", "\n".join(prose(notebook))):
        assert name in read_parameters(notebook)


# Pixels along an edge, as they come: no image is cut, so that a run on them needs as many.
NATIVE = {"MNIST": 28, "FashionMNIST": 28, "CIFAR10": 32, "CIFAR100": 32}
PAGES = [REPOSITORY.root / "README.md", *sorted(REPOSITORY.book.glob("*.md"))]


@pytest.mark.parametrize("page", PAGES + NOTEBOOKS, ids=lambda path: path.stem)
def test_commands_in_print_can_be_run(page):
    """`hspec run NAME -p …` and `papermill notebooks/NAME.ipynb … -p …`, as a reader would paste
    them: parameters of the right names and types, and images as large as the net takes them.
    """
    text = page.read_text(encoding="utf-8")
    if page in NOTEBOOKS:
        text = "\n".join(prose(nbformat.read(page, as_version=4)))
    for line in re.findall(r"^\S*(?:hspec run|papermill) .+$", text, re.MULTILINE):
        words = shlex.split(line)
        name = Path(next(word for word in words[1:] if word != "run")).stem
        given = {words[i + 1]: words[i + 2] for i, word in enumerate(words) if word == "-p"}
        if "papermill" in words[0]:  # takes what is behind -p for a number or text
            assert not [value for value in given.values() if value.startswith("[")], line
            for i in [i for i, word in enumerate(words) if word == "-y"]:
                given |= yaml.safe_load(words[i + 1])
        profile = words[words.index("--profile") + 1] if "--profile" in words else None
        base = REPOSITORY.profile(profile).get(name, {}) if profile else {}
        known = read_parameters(nbformat.read(REPOSITORY.source(name), as_version=4))
        found = {k: p.default for k, p in known.items()} | check_parameters(known, base | given)
        for dataset in [found.get("dataset", ""), *found.get("datasets", [])]:
            assert found.get("image_size", 32) >= NATIVE.get(dataset, 0), line
