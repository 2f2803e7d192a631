"""The book's own Sphinx extension: which remotes give repository buttons; numbers typeset."""

import json
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
from docutils.core import publish_doctree
from packaging.specifiers import SpecifierSet
from sphinx_book_theme.header_buttons.launch import add_launch_buttons

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "remote",
    [
        "https://github.com/some-one/h.spec",
        "https://github.com/some-one/h.spec.git",
        "git@github.com:some-one/h.spec.git",
    ],
)
def test_github_in_its_three_spellings(extension, remote):
    assert extension.github_address(remote) == "https://github.com/some-one/h.spec"


@pytest.mark.parametrize(
    "remote", ["", "/srv/git/hspec", "https://example.org/a/b", "https://github.com/a"]
)
def test_no_buttons_elsewhere(extension, remote):
    assert extension.github_address(remote) is None


def test_powers_of_ten_are_typeset_but_in_code(extension):
    text = "It is 5.8e-05 ± 2e-06, not 1.17e+03 or ``1e-3``; nor is v1e5 a number."
    document = publish_doctree(text)
    transform = extension.TypesetPowers(document)
    transform.apply()
    (paragraph,) = document.children
    assert [child.astext() for child in paragraph if child.tagname != "#text"] == [
        *(r"5.8 \cdot 10^{-5}", r"2 \cdot 10^{-6}"),
        "1e-3",
    ]
    assert "not 1170 or 1e-3; nor is v1e5 a number." in paragraph.astext()


def test_only_what_runs_in_a_bare_environment_is_started_elsewhere(extension):
    def page(name, address="https://github.com/some-one/it"):
        buttons = [{"label": "launch-buttons"}, {"label": "download-buttons"}]
        context = {
            "body": "%pip install git+ADDRESS",
            "header_buttons": buttons,
            "hspec_repository": address,
            "theme_repository_url": "https://github.com/executablebooks/jupyter-book",
        }
        extension.launch_the_primer(None, name, "page.html", context, None)
        return context["body"], [button["label"] for button in context["header_buttons"]]

    primer, labels = page("notebooks/primer_means")
    assert primer == "%pip install git+https://github.com/some-one/it"
    assert "launch-buttons" in labels
    assert page("notebooks/primer_means", None)[0] == "%pip install git+ADDRESS"
    assert page("notebooks/kronecker")[1] == ["download-buttons"]


def test_binder_installs_the_core_under_a_python_that_it_runs_on():
    binder = ROOT / ".binder"
    lines = (binder / "requirements.txt").read_text().split()
    assert "." in lines and "torch" in lines
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    python = (binder / "runtime.txt").read_text().strip().removeprefix("python-")
    assert SpecifierSet(wanted).contains(python)


PRIMER = sorted(path.stem for path in (ROOT / "notebooks").glob("primer_*.ipynb"))


@pytest.mark.parametrize("name", PRIMER)
def test_links_of_binder_and_colab_lead_to_the_committed_notebook(extension, monkeypatch, name):
    """As their documentations have them; neither can be opened without a network."""
    answers = {"remote": "git@github.com:some-one/it.git", "branch": "main"}
    monkeypatch.setattr(extension, "git", lambda root, what, *_: answers[what])
    config = SimpleNamespace(html_context={}, html_theme_options={})
    page = f"notebooks/{name}"
    environment = SimpleNamespace(
        doc2path=lambda page: f"{page}.ipynb", metadata={page: {"kernelspec": "{}"}}
    )
    app = SimpleNamespace(srcdir=ROOT / "book", env=environment, config=None)
    extension._configure(app, config)
    app.config = {"html_theme_options": config.html_theme_options}
    of = {"github_url": "https://github.com", "github_user": "some-one", "github_repo": "it"}
    context = {"header_buttons": [], "sourcename": "", "pagename": page, "body": "", **of}
    add_launch_buttons(app, page, "page.html", context, None)
    ((binder, colab),) = [button["buttons"] for button in context["header_buttons"]]
    path = f"{page}.ipynb"
    assert binder["url"] == (f"https://mybinder.org/v2/gh/some-one/it/main?urlpath=lab/tree/{path}")
    assert colab["url"] == (
        f"https://colab.research.google.com/github/some-one/it/blob/main/{path}"
    )
    notebook = json.loads((ROOT / path).read_text(encoding="utf-8"))
    assert "%pip install git+ADDRESS" in "".join(notebook["cells"][0]["source"])
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"  # which both of them have


def test_binder_stages_the_repository_before_it_installs(extension):
    """repo2docker copies only the folder's own files, unless a line begins with a dot."""
    lines = (ROOT / ".binder" / "requirements.txt").read_text().splitlines()
    assert [line for line in lines if line.startswith(".")] == ["."]
    assert not any((ROOT / ".binder" / name).exists() for name in ("Dockerfile", "environment.yml"))
