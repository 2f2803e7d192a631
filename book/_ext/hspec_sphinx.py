"""What the book's configuration can only know at build time: revision, public address, where MathJax lies."""

import platform
import re
import shutil
from importlib.util import find_spec
from pathlib import Path

from sphinx.errors import ExtensionError

from hspec.book.provenance import git, revision

MATHJAX = "mathjax/tex-svg-full.js"  # one file, its fonts inside: works from file:// without a network


def setup(app):
    # Before the theme reads its options.
    app.connect("config-inited", _configure, priority=100)
    app.connect("build-finished", _copy_mathjax)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _configure(app, config):
    root = Path(app.srcdir).parent
    config.mathjax_path = MATHJAX
    config.html_theme_options["extra_footer"] = (
        f"<p>Revision <code>{revision(root)}</code>, Python {platform.python_version()}</p>"
    )
    if address := github_address(git(root, "remote", "get-url", "origin") or ""):
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


def github_address(remote):
    """https://github.com/OWNER/NAME of a git remote on GitHub, else None: the book then has no buttons."""
    found = re.fullmatch(r"(?:https://github\.com/|git@github\.com:)([\w.-]+/[\w.-]+?)(?:\.git)?/?", remote)
    return f"https://github.com/{found[1]}" if found else None


def _copy_mathjax(app, exception):
    """The one file that the pages load, from the installed package that carries MathJax."""
    if exception is not None or app.builder.format != "html":
        return
    package = find_spec("sphinx-mathjax-offline")
    if package is None:
        raise ExtensionError("MathJax is missing. Install the book's extra: pip install -e '.[book]'")
    target = Path(app.outdir) / "_static" / MATHJAX
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(Path(package.submodule_search_locations[0]) / "static" / MATHJAX, target)
