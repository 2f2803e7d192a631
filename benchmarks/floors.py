"""What no saving between the products can take away: bare loops, and sentences about them."""

from collections.abc import Callable

import torch

from benchmarks.nets import Net
from benchmarks.peers.instrument import quadrature, risk_of
from benchmarks.results import Results
from hspec.curvature import hessian
from hspec.linalg.quadrature import LOCK_STEP

PRODUCTS, GRAM_SCHMIDT = "products alone", "Gram-Schmidt alone"
UNORTHOGONAL = "hspec without reorthogonalisation"


def bare_products(net: Net, num_steps: int, num_probes: int) -> Callable[[], None]:
    """The products of a quadrature in a bare loop: graphs are there already, nothing is checked."""
    A = hessian(risk_of(net, check=False))
    in_lock_step = num_probes * num_steps * A.shape[0] * A.dtype.itemsize <= LOCK_STEP
    width, times = (num_probes, 1) if in_lock_step else (1, num_probes)
    X = torch.randn(A.shape[0], width, generator=torch.Generator().manual_seed(0)).to(A.device)
    A @ X

    def loop() -> None:
        for _ in range(num_steps * times):
            A @ X

    return loop


def bare_gram_schmidt(net: Net, num_steps: int, num_probes: int) -> Callable[[], None]:
    """One pass of classical Gram-Schmidt a step for each probe, and nothing else."""
    V = torch.zeros(num_steps, net.num_parameters, dtype=net.dtype, device=net.device)
    w = torch.ones_like(V[0])

    def loop() -> None:
        for _ in range(num_probes):
            for j in range(1, num_steps + 1):
                w.addmv_(V[:j].T, V[:j] @ w, alpha=-1)

    return loop


def of_quadrature(net: Net, num_steps: int, num_probes: int) -> dict[str, Callable[[], object]]:
    """Contenders that take turns with the peers."""
    size = num_steps, num_probes
    return {
        PRODUCTS: bare_products(net, *size),
        UNORTHOGONAL: lambda: quadrature(net, *size, 0, reorthogonalize="none"),
        GRAM_SCHMIDT: bare_gram_schmidt(net, *size),
    }


def about_quadratures(results: Results, targets: dict[str, float]) -> list[str]:
    """For each net with a target: what its quadrature is made of, and what the target leaves."""
    said = []
    for net, record in results.read("quadrature").items():
        result = record["result"]
        careful = [
            min(seconds)
            for name, seconds in result["seconds"].items()
            if name != "hspec" and result["reorthogonalizes"][name]
        ]
        if net in targets and "floor" in result and careful:
            said.append(_about_quadrature(net, result, min(careful), targets[net]))
    return said


def _about_quadrature(net: str, result: dict, peer: float, target: float) -> str:
    whole = min(result["seconds"]["hspec"])
    products, plain, passes = (
        min(result["floor"][name]) for name in (PRODUCTS, UNORTHOGONAL, GRAM_SCHMIDT)
    )
    number = result["num_steps"] * result["num_probes"]
    left = peer / target - products
    leaves = (
        f"leaves {left:.2g} s beside the products"
        if left > 0
        else "leaves less than the products take"
    )
    return (
        f"Net **{net}**: of `hspec`'s {whole:.3g} s, {number} products in a bare loop, in turns "
        f"with the others, graphs ready and nothing checked, take {products:.3g} s; all else "
        f"without reorthogonalisation {plain - products:.2g} s; reorthogonalisation, where it is "
        f"needed, {whole - plain:.2g} s (one pass of Gram-Schmidt at every step, as matrix-vector "
        f"products at the speed of memory and nothing else: {passes:.2g} s). To be {target:.3g} "
        f"times faster than the {peer:.3g} s of the best peer that reorthogonalises {leaves}."
    )


def about_time_to_error(results: Results, targets: dict[str, float]) -> list[str]:
    """For each net: the bare loop of the products that were needed, and what the target leaves."""
    said = []
    for net, record in results.read("time_to_error").items():
        result = record["result"]
        if "floor" not in result or not result["peers"]:
            continue
        last, floor = result["hspec"][-1], min(result["floor"])
        peer = min(one["seconds"] for one in result["peers"].values())
        said.append(
            f"Net **{net}**: {last['num_steps'] * last['num_probes']} products in a bare loop take "
            f"{floor:.2g} s of `hspec`'s {last['seconds']:.2g} s; {targets[net]:.3g} times faster "
            f"than the {peer:.3g} s of the closest peer is {peer / targets[net]:.2g} s."
        )
    return said
