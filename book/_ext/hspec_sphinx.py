"""What the book's configuration can only know at build time,
and what the theme gets wrong for it.
"""

import inspect
import json
import os
import platform
import re
import shutil
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from docutils import nodes
from pybtex.plugin import register_plugin
from pybtex.style.formatting.unsrt import Style
from pybtex.style.labels import BaseLabelStyle
from sphinx import addnodes
from sphinx.errors import ExtensionError
from sphinx.transforms import SphinxTransform

from hspec.book.expected import FOLDER, with_expected
from hspec.book.figure_files import STACKED
from hspec.book.provenance import revision
from hspec.book.seconds import read_seconds, with_seconds
from hspec.book.two_tone import give_both_tones
from hspec.experiments.claims import typeset
from hspec.experiments.provenance import git

MATHJAX = (
    "mathjax/tex-svg-full.js"  # one file, its fonts inside: works from file:// without a network
)
POWER = re.compile(r"(?<![\w.])\d(?:\.(?P<digits>\d+))?e[+-]?\d+\b")  # 5.8e-05
AS_IT_STANDS = (nodes.literal, nodes.literal_block, nodes.math, nodes.raw, addnodes.desc_signature)
CLAIM = re.compile(r"(?:P18|P19|P20|GKX)-\d+")
# An image of a figure, and the figure's name where it stands in one.
FIGURE = re.compile(
    r'(?P<before><figure[^>]* id="(?P<figure>[\w-]+)">\s*(?:<a [^>]*>)?)?'
    r'(?P<image><img [^>]*src="(?P<source>[^"]+\.svg)"[^>]*>)'
)
# A table with one of these says what became of a claim, or much of each of its rows.
CARD_COLUMNS = {"verdict", "full width", "what it is", "what happens", "derivative: first"}
MARKED = re.compile(r"[✓✗?] ")  # a cell that does
AT_ONCE = min(os.cpu_count() or 1, 4)  # pages read, pages written, figures given their tones
# Extensions of Jupyter Book that do not say whether pages may be read side by side. They change
# what the first process has after it has read all pages; of LaTeX nothing is made here.
SILENT = ("sphinx_multitoc_numbering", "sphinx_jupyterbook_latex")


def setup(app):
    # Before the theme reads its options.
    app.connect("config-inited", _configure, priority=100)
    app.connect("config-inited", _without_thebe)
    app.connect("config-inited", _side_by_side)
    app.add_transform(IndexClaims)
    app.add_transform(TypesetPowers)
    app.add_transform(TellSeconds)
    app.connect("source-read", _fold_what_is_expected)
    app.connect("doctree-read", _mark_verdicts)
    app.connect("html-page-context", _show_both_tones)
    app.connect("html-page-context", _list_citations)
    app.connect("html-page-context", launch_the_primer, priority=502)  # after the theme's buttons
    app.connect("build-finished", _give_both_tones)
    app.connect("build-finished", _copy_mathjax)
    register_plugin("pybtex.style.formatting", "keys", KeyStyle)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _configure(app, config):
    root = Path(app.srcdir).parent
    config.mathjax_path = MATHJAX
    address = github_address(git(root, "remote", "get-url", "origin") or "")
    config.linkcode_resolve = partial(source_address, address, revision(root))
    config.html_context["hspec_repository"] = address
    config.html_context.setdefault("default_mode", "auto")  # without one the theme logs an error
    config.html_theme_options["extra_footer"] = (
        f"<p>Revision <code>{revision(root)}</code>, Python {platform.python_version()}</p>"
    )
    if address:
        config.html_theme_options |= {
            "repository_url": address,
            "repository_branch": git(root, "branch", "--show-current") or "main",
            # A staged notebook has the name of its source, so the buttons find the committed file.
            "path_to_docs": "",
            "use_repository_button": True,
            "use_issues_button": True,
            "launch_buttons": {
                "notebook_interface": "jupyterlab",
                "binderhub_url": "https://mybinder.org",
                "colab_url": "https://colab.research.google.com",
            },
        }


def launch_the_primer(app, page, template, context, doctree):
    """Buttons that start a page elsewhere, on pages that need nothing but what starts with them.

    Binder installs the package's core (.binder/), which is what the primer needs; Colab a first
    cell, which names the address of the repository.
    """
    buttons = context.get("header_buttons", [])
    if page.startswith("notebooks/primer_"):
        if address := context.get("hspec_repository"):  # the theme's own has a default
            context["body"] = context["body"].replace("git+ADDRESS", f"git+{address}")
    else:
        context["header_buttons"] = [b for b in buttons if b.get("label") != "launch-buttons"]


def github_address(remote):
    """https://github.com/OWNER/NAME of a git remote on GitHub, else None:
    the book then has no buttons.
    """
    found = re.fullmatch(
        r"(?:https://github\.com/|git@github\.com:)([\w.-]+/[\w.-]+?)(?:\.git)?/?", remote
    )
    return f"https://github.com/{found[1]}" if found else None


def source_address(address, commit, domain, info):
    """Where the source of a documented object is on GitHub; None, and no link,
    where that is not known.
    """
    module = import_module(info["module"])
    for name in info["fullname"].split("."):
        module = getattr(module, name, None)
    try:
        file = Path(inspect.getsourcefile(inspect.unwrap(module))).as_posix()
        _, first = inspect.getsourcelines(inspect.unwrap(module))
    except (TypeError, OSError, ValueError):  # a constant, a property, what no file holds
        return None
    inside = file.rpartition("/hspec/")[2]
    return address and f"{address}/blob/{commit.removesuffix('+changes')}/hspec/{inside}#L{first}"


def _without_thebe(app, config):
    """Jupyter Book loads Thebe whether it is used or not, twice:
    its scripts collide on every page.
    """
    for listeners in app.events.listeners.values():
        for listener in list(listeners):
            if listener.handler.__module__.startswith("sphinx_thebe"):
                app.disconnect(listener.id)
    app.registry.css_files = [file for file in app.registry.css_files if "thebe" not in file[0]]


def _side_by_side(app, config):
    """Several pages at once, which Jupyter Book's program has no option for."""
    app.parallel = AT_ONCE
    for name in SILENT:
        app.extensions[name].parallel_read_safe = True


class KeyLabels(BaseLabelStyle):
    """Works are labelled by the keys by which docstrings and pages cite them."""

    def format_labels(self, sorted_entries):
        return [entry.key for entry in sorted_entries]


class KeyStyle(Style):
    """The bibliography in alphabetical order, each work under its key."""

    default_sorting_style = "author_year_title"

    def __init__(self, **options):
        super().__init__(**options)
        self.format_labels = KeyLabels().format_labels


class IndexClaims(SphinxTransform):
    """The quotation that states a claim goes into the index; search puts the page first."""

    default_priority = 800  # the index is made at 850

    def apply(self, **_):
        for quote in list(self.document.findall(nodes.block_quote)):  # the tree grows meanwhile
            stated = [CLAIM.match(strong.astext()) for strong in quote.findall(nodes.strong)]
            for claim in filter(None, stated):
                place = f"claim-{claim[0].lower()}"
                quote["ids"].append(place)
                entry = addnodes.index(entries=[("single", claim[0], place, "main", None)])
                quote.parent.insert(quote.parent.index(quote), entry)
            if any(stated):
                quote["classes"].append("claim")


class TypesetPowers(SphinxTransform):
    """Powers of ten in prose and tables are mathematics, whoever wrote them: 5.8e-05 is code."""

    default_priority = 800

    def apply(self, **_):
        for text in list(self.document.findall(nodes.Text)):
            found = list(POWER.finditer(text))
            if found and not _within(text, AS_IT_STANDS):
                text.parent.replace(text, list(_pieces(text, found)))


class TellSeconds(SphinxTransform):
    """Above a command stands how long it takes, as measured."""

    default_priority = 800

    def apply(self, **_):
        seconds, own = read_seconds(Path(self.env.srcdir)), _own_run(self.document["source"])
        for block in self.document.findall(nodes.literal_block):
            if block.get("language") == "bash":
                text = with_seconds(block.astext(), seconds, own)
                block.rawsource, block.children = text, []
                block += nodes.Text(text)


def _fold_what_is_expected(app, page, source):
    """Below the commands of a chapter, what they show, in dropdowns."""
    if not page.startswith("notebooks/"):
        return
    book, notebook = Path(app.srcdir), json.loads(source[0])
    entries = read_seconds(book)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = with_expected("".join(cell["source"]), entries, book)
    source[0] = json.dumps(notebook)


def _own_run(source):
    """The record of a chapter's run, from its executed notebook; None where the page is none."""
    if not source.endswith(".ipynb"):
        return None
    return json.loads(Path(source).read_text(encoding="utf-8"))["metadata"].get("hspec")


def _within(node, kinds):
    while node := node.parent:
        if isinstance(node, kinds):
            return True
    return False


def _pieces(text, found):
    """The text around the powers, and the powers typeset."""
    end = 0
    for power in found:
        formula = typeset(float(power[0]), len(power["digits"] or "")).strip("$")
        yield nodes.Text(text[end : power.start()])
        yield nodes.math(formula, formula) if "\\" in formula else nodes.Text(formula)
        end = power.end()
    yield nodes.Text(text[end:])


def _mark_verdicts(app, doctree):
    """Tables of verdicts, and of text, get a class: on a narrow screen their rows become cards."""
    for table in doctree.findall(nodes.table):
        cells = [entry.astext() for entry in table.findall(nodes.entry)]
        if CARD_COLUMNS & set(cells) or any(map(MARKED.match, cells)):
            table["classes"].append("verdicts")


def _list_citations(app, page, template, context, doctree):
    """What docutils calls a list has items: a screen reader counts them."""
    if "citation-list" in context.get("body", ""):
        context["body"] = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')


def _show_both_tones(app, page, template, context, doctree):
    """Each figure twice, of one file: as it is, and its dark tone.
    The style sheet hides one of them.
    """
    book = Path(app.srcdir)
    folder = book / page  # of the figures' files, where the page is a chapter

    def both(found):
        figure, image = found["figure"], found["image"]
        name = Path(found["source"]).with_suffix(STACKED).name
        beside = (
            [folder / f"{figure}{STACKED}"]
            if figure
            else [book / "_static" / name, book / FOLDER / name]
        )
        stacked = next(filter(Path.is_file, beside), None)
        narrow = stacked and f"{Path(found['source']).parent}/{folder.name}-{stacked.name}"
        if narrow:
            images = Path(app.outdir) / "_images"
            images.mkdir(exist_ok=True)
            shutil.copyfile(stacked, images / Path(narrow).name)
        return (found["before"] or "") + "".join(
            _image(image, found["source"], narrow, tone, fragment)
            for tone, fragment in (("in-light", ""), ("in-dark", "#dark"))
        )

    if body := context.get("body"):
        context["body"] = FIGURE.sub(both, body)


def _image(image, source, narrow, tone, fragment):
    """One tone of an <img>, wrapped so that a narrow screen takes the figure with its panels
    stacked.

    To the theme it is `dark-light`, which asks for no white card in the dark.
    """
    own = re.search(r' class="([^"]*)"', image)
    classes = " ".join([tone, "dark-light", *(own[1].split() if own else ())])
    image = image.replace(own[0], "") if own else image
    image = image.replace("<img", f'<img class="{classes}"', 1).replace(source, source + fragment)
    if not narrow:
        return image
    other = f'<source media="(max-width: 600px)" srcset="{narrow}{fragment}">'
    return f"<picture>{other}{image}</picture>"


def _give_both_tones(app, exception):
    """Matplotlib's figures get their dark tone where the pages have them;
    downloads stay as they were drawn.
    """
    if exception is not None or app.builder.format != "html":
        return
    files = (Path(app.outdir) / "_images").glob("*.svg")
    with ProcessPoolExecutor(AT_ONCE) as pool:
        list(pool.map(give_both_tones, files, chunksize=8))


def _copy_mathjax(app, exception):
    """The one file that the pages load, from the installed package that carries MathJax."""
    if exception is not None or app.builder.format != "html":
        return
    package = find_spec("sphinx-mathjax-offline")
    if package is None:
        raise ExtensionError(
            "MathJax is missing. Install the book's extra: pip install -e '.[book]'"
        )
    target = Path(app.outdir) / "_static" / MATHJAX
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(Path(package.submodule_search_locations[0]) / "static" / MATHJAX, target)
