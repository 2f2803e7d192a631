"""The API reference: a page a layer, which Sphinx fills from the docstrings of what the
layer names in `__all__`.
"""

from __future__ import annotations

import ast
from pathlib import Path

# layers in the order in which a reader meets them, and the chapters in which each is at work
LAYERS = {
    "curvature": ("class_means", "outlier_ownership"),
    "linalg": ("primer_lanczos", "instrument"),
    "plotting": ("your_own_net",),
    "yours": ("your_own_net",),
    "data": ("bulk_and_outliers",),
    "models": ("batch_norm",),
    "training": ("early_training",),
    "experiments": ("upper_tail", "hierarchy_growth"),
}
# modules that a layer's door does not import, since that takes long
BESIDES = {"curvature": ("sharded",)}


def api_pages(root: Path) -> dict[str, str]:
    """{name: Markdown} of a page for each layer that there is."""
    return {f"api_{layer}": _page(root, layer) for layer in LAYERS if _door(root, layer).is_file()}


def _door(root: Path, layer: str) -> Path:
    return root / "hspec" / layer / "__init__.py"


def _page(root: Path, layer: str) -> str:
    others = ", ".join(_of_other_layers(_door(root, layer), layer))
    exclude = f"   :exclude-members: {others}\n" if others else ""
    chapters = ", ".join(f"{{doc}}`../notebooks/{chapter}`" for chapter in LAYERS[layer])
    besides = "".join(_BESIDE.format(layer=layer, name=name) for name in BESIDES.get(layer, ()))
    return f"""\
# hspec.{layer}

At work in {chapters}. Equations and their functions are in the {{doc}}`concordance <concordance>`.

```{{eval-rst}}
.. automodule:: hspec.{layer}
   :members:
   :imported-members:
{exclude}```
{besides}"""


_BESIDE = """
## hspec.{layer}.{name}

```{{eval-rst}}
.. automodule:: hspec.{layer}.{name}
   :members:
```
"""


def _of_other_layers(door: Path, layer: str) -> list[str]:
    """Names that the layer passes on from another one, whose page has them."""
    found = []
    for node in ast.parse(door.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            other = (node.module or "").split(".")[1:2]
            if other and other[0] != layer and other[0] in LAYERS:
                found += [alias.name for alias in node.names]
    return found
