"""hspec and its peers behind one interface: products and quadratures of one net's Hessian
and Gauss-Newton matrix.
"""

from importlib import import_module
from importlib.util import find_spec

from benchmarks.peers.base import Peer

# module here: the package that it needs
_MODULES = {
    "instrument": "hspec",
    "pyhessian": "pyhessian",
    "eigenthings": "hessian_eigenthings",
    "curvlinops": "curvlinops",
    "papers": "torch",
}


def all_peers() -> tuple[list[Peer], list[str]]:
    """(those that can be measured here, hspec first; names of packages that are not
    installed)."""
    peers, missing = [], []
    for module, package in _MODULES.items():
        if find_spec(package) is None:
            missing.append(package)
        else:
            peers += import_module(f"benchmarks.peers.{module}").PEERS
    return peers, missing


__all__ = ["Peer", "all_peers"]
