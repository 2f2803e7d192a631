"""Docstrings made fit for Sphinx: plain text, in which ``|A|``,
``v*`` and λ_ mean themselves."""

import re

# Code in backticks, once or twice, with or without a role before it.
CODE = re.compile(r"(:[\w:]+:`[^`]+`|``[^`]+``|`[^`]+`)")
MARKUP = re.compile(r"([*|\\]|_(?!\w))")
HEADING = re.compile(r"(Args|Arguments|Returns|Raises|Example|Examples|Yields|Note|Attributes):$")
COLUMNS = re.compile(r"\s*[^\s>].*?\S {2,}\S")  # a name, and what it means, in two columns


def setup(app):
    app.setup_extension("sphinx.ext.autodoc")
    app.setup_extension("sphinx.ext.napoleon")
    app.connect(
        "autodoc-process-docstring", _as_text, priority=400
    )  # before napoleon reads the sections
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _as_text(app, what, name, obj, options, lines):
    lines[:] = plain(lines)


def plain(lines):
    """The docstring's lines with nothing in them taken for markup but code,
    sections and examples.
    """
    done, section = [], None
    for block in _blocks(lines):
        indent = len(block[0]) - len(block[0].lstrip())
        if section is not None and indent == 0:
            section = None
        if HEADING.match(block[0].strip()) and indent == 0:
            section = block[0].strip()
        if any(line.lstrip().startswith(">>>") for line in block):
            done += block
        elif section is None and any(COLUMNS.match(line) for line in block):
            done += ["| " + _escaped(line) for line in block]
        elif section is None:
            done += [" " * indent + _escaped(line.strip()) for line in block]
        else:
            done += [_escaped(line) for line in block]
        done.append("")
    return done


def _blocks(lines):
    """Paragraphs: lines between empty ones."""
    block = []
    for line in [*lines, ""]:
        if line.strip():
            block.append(line)
        elif block:
            yield block
            block = []


def _escaped(line):
    parts = CODE.split(line)
    parts[::2] = [MARKUP.sub(r"\\\1", part) for part in parts[::2]]
    parts[1::2] = [part if part.startswith((":", "``")) else f"`{part}`" for part in parts[1::2]]
    return "".join(parts)
