"""Unknown names and ill-typed values are refused,
and everything that fits is turned into its type.
"""

import nbformat
import pytest

from hspec.book.errors import BookError
from hspec.book.parameters import Parameter, check_parameters, read_parameters

DECLARED = """\
steps: int = 90  # Lanczos steps
rate: float = 1e-3  # learning rate
reorthogonalise: bool = True  # two passes
dataset: str = "digits"  # data set
sizes: list[int] = [10, 13]  # examples per class
rates: list[float] = [
    0.1,
    0.2,
]  # several rates
limit: int | None = None  # no limit
"""


def notebook(source=DECLARED, tags=("parameters",)):
    return nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source, metadata={"tags": list(tags)})]
    )


@pytest.fixture
def known():
    return read_parameters(notebook())


def test_reads_name_type_default_and_help(known):
    assert str(known["steps"]) == "steps: int = 90  # Lanczos steps"
    assert known["rates"].default == [0.1, 0.2]
    assert known["rates"].help == "several rates"
    assert known["limit"].annotation == "int | None"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("steps", "12", 12),
        ("steps", "-1", -1),
        ("rate", ".5", 0.5),
        ("rate", "+1E2", 100.0),
        ("rate", "1e-3", 1e-3),
        ("rate", "2", 2.0),
        ("reorthogonalise", "false", False),
        ("dataset", "7", "7"),
        ("sizes", "[1, 2]", [1, 2]),
        ("rates", "[1e-3, 1]", [1e-3, 1.0]),
        ("limit", "null", None),
        ("limit", "None", None),
        ("limit", "5", 5),
    ],
)
def test_text_becomes_the_declared_type(known, name, text, value):
    found = check_parameters(known, {name: text})[name]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", "1.5"),
        ("steps", True),
        ("steps", 2.0),
        ("rate", "fast"),
        ("rate", True),
        ("reorthogonalise", 1),
        ("dataset", 7),
        ("sizes", "3"),
        ("sizes", "[1, x]"),
        ("sizes", "[1, 2"),
        ("limit", "some"),
        ("steps", "010"),
        ("steps", "1:30"),
        ("steps", "0x10"),
        ("steps", "1_000"),
        ("sizes", "[010]"),
        ("sizes", "[1:30]"),
        ("rate", "nan"),
        ("rate", ".nan"),
        ("rate", "inf"),
        ("rate", "1e999"),
        ("rate", float("nan")),
        ("rates", "[.inf]"),
        ("reorthogonalise", "no"),
        ("reorthogonalise", "on"),
        ("sizes", "[" * 10_000),
    ],
)
def test_an_ill_typed_value_is_refused_by_name_and_type(known, name, value):
    with pytest.raises(BookError) as refusal:
        check_parameters(known, {name: value})
    assert f"{name} must be {known[name].annotation}, not {value!r}" in str(refusal.value)


def test_an_unknown_name_is_refused_with_the_known_ones(known):
    with pytest.raises(
        BookError, match=r"unknown parameter 'stepz'(.|\n)*steps: int = 90  # Lanczos steps"
    ):
        check_parameters(known, {"stepz": 1, "steps": 2})


def test_what_is_not_given_is_left_to_the_notebook(known):
    assert check_parameters(known, {}) == {}


def test_an_untyped_line_is_refused():
    with pytest.raises(BookError, match="instead of `steps = 90`"):
        read_parameters(notebook("steps = 90"))


@pytest.mark.parametrize("source", ["steps: int = ", "steps: int = ask()", "steps: int = (1"])
def test_what_is_not_python_with_plain_values_is_refused(source):
    with pytest.raises(BookError, match="The parameters cell is not Python with plain values"):
        read_parameters(notebook(source))


def test_a_type_that_no_command_line_can_give_is_refused():
    with pytest.raises(BookError, match="no type for a parameter"):
        check_parameters(read_parameters(notebook("f: complex = 1  # no")), {"f": 1})


@pytest.mark.parametrize("cells", [[], notebook().cells + notebook().cells])
def test_exactly_one_cell_of_parameters(cells):
    with pytest.raises(BookError, match=f"this one has {len(cells)}"):
        read_parameters(nbformat.v4.new_notebook(cells=cells))


@pytest.mark.parametrize("value", ["0", "-3", "[13, 0]"])
def test_a_count_below_one_is_refused_and_zero_elsewhere_is_not(value):
    of_type = "list[int]" if "[" in value else "int"
    known = {
        name: Parameter(name, of_type, 1, "") for name in ("num_steps", "sample_per_class", "epoch")
    }
    for name in ("num_steps", "sample_per_class"):
        with pytest.raises(BookError, match=f"{name} must be at least 1, not"):
            check_parameters(known, {name: value})
    check_parameters(known, {"epoch": value})
    with pytest.raises(BookError, match="seeds must name at least one"):
        check_parameters({"seeds": Parameter("seeds", "list[int]", [0], "")}, {"seeds": "[]"})
    longer = {"longer": Parameter("longer", "list[int]", [600], "epochs of nets beside the first")}
    assert check_parameters(longer, {"longer": "[]"}) == {"longer": []}
    check_parameters({"num": Parameter("num_all", "int", 0, "0 takes all")}, {"num": "0"})
