"""Spectra of deep-net Hessians: matrices known by their products, and the book made with them.

Every public name of the parts below is here too: ``hspec.Risk``, ``hspec.slq``. A part is loaded
with the first of its names that is used, so ``import hspec`` itself costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the same names, for tools that read types
    from hspec.curvature import *  # noqa: F403
    from hspec.linalg import *  # noqa: F403
    from hspec.plotting import *  # noqa: F403
    from hspec.yours import *  # noqa: F403

# No public name may be that of a module of hspec: loading the module would hide the name.
PARTS = ("linalg", "curvature", "plotting", "yours")


def __getattr__(name: str) -> Any:
    if name in PARTS:
        return import_module(f"hspec.{name}")
    if not name.startswith("_"):
        for part in PARTS:
            module = import_module(f"hspec.{part}")
            if name in module.__all__:
                return getattr(module, name)
    raise AttributeError(f"module 'hspec' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*PARTS, *(name for part in PARTS for name in __getattr__(part).__all__)})
