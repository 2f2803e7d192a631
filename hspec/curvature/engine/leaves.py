"""Where a graph ends: the tensors that it was recorded for."""

from collections.abc import Iterable, Sequence

from torch import Tensor

from hspec.curvature.engine.network import Network


def leaves(roots: Iterable[Tensor]) -> list[Tensor]:
    """The tensors that require gradients themselves, and that these were computed from."""
    found, seen = [], set()
    waiting = [t.grad_fn for t in roots if t.grad_fn is not None]
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found.append(node.variable)
        waiting.extend(before for before, _ in node.next_functions if before is not None)
    return found


def refuse_the_originals(network: Network, where: str, roots: Sequence[Tensor]) -> None:
    """Raise ValueError where these were computed from parameters of the module that was copied: the
    copy's, which θ consists of, would have no part in them.
    """
    ends = {id(t) for t in leaves(roots)}
    names = [name for name, q in network.originals() if id(q) in ends]
    if names:
        raise ValueError(
            f"{where}: outputs or loss are computed with the module's own parameters "
            f"({', '.join(names[:3])}{', …' if len(names) > 3 else ''}), not with those of the "
            "copy that derivatives are taken of, so these would be lost. What `forward` is given "
            "first is the copy: forward=lambda module, batch: (module(batch[0]), batch[1]). A hook "
            "or a function that the module holds must not name the module, but find it by its "
            "arguments. Of a penalty λ/2 ‖θ‖² in the loss, leave it out and add its curvature: "
            "hessian(risk) + λ"
        )
