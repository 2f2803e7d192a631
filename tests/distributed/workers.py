"""What the ranks of the tests do: run as a program, one process a rank, with gloo and a file to
meet at.

    python workers.py SCENARIO RANK SIZE FOLDER

writes what the scenario returns to FOLDER/RANK.pt.
"""

import os
import sys
import time
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

from hspec.curvature import (
    A1,
    A2,
    B1,
    B2,
    Risk,
    blocks,
    class_means,
    delta_means,
    empirical_fisher,
    gauss_newton,
    gradient_covariance,
    hessian,
    residual,
    shard,
    split_product,
)
from hspec.curvature.classes.parts import Level
from hspec.curvature.fingerprint import fingerprint
from hspec.linalg import deflate, eigsh, lanczos, slq
from hspec.linalg.recurrence import Recurrence

C, SIZES = 3, (5, 4, 3, 5, 2, 4, 1)  # batches of different lengths


def net(seed: int = 0) -> nn.Module:
    """Convolution, batch norm, a dead class and several batches: small,
    and everything is in it."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = nn.Sequential(
            nn.Conv2d(1, 2, 3),
            nn.BatchNorm2d(2),
            nn.Tanh(),
            nn.Flatten(),
            nn.Linear(8, 4),
            nn.Tanh(),
            nn.Linear(4, C),
        )
    return module.double().eval()


def batches() -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    options = {"generator": generator, "dtype": torch.float64}
    return [
        (torch.randn(n, 1, 4, 4, **options), torch.randint(0, C, (n,), generator=generator))
        for n in SIZES
    ]


def seeded(seed: int = 2) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def krylov(risk: Risk) -> dict[str, torch.Tensor]:
    """What is made of products: numbers that one process and several must agree on."""
    pairs = eigsh(hessian(risk), 2, generator=seeded(), tol=1e-8)
    rest = slq(deflate(hessian(risk), pairs), 8, 2, generator=seeded(), block=True)
    start = torch.ones(risk.num_parameters, dtype=torch.float64)
    return {
        "eigenvalues": torch.from_numpy(pairs.values.copy()),
        "moments": torch.tensor([rest.moment(k) for k in (1, 2, 3)]),
        "nodes": torch.from_numpy(rest.nodes),
        "tridiagonal": torch.from_numpy(lanczos(hessian(risk), start, 6).alphas),
    }


def classes(risk: Risk) -> dict[str, torch.Tensor]:
    """Class means, and what is made of them: in memory and streamed."""
    X = torch.randn(risk.num_parameters, 2, generator=seeded(), dtype=torch.float64)
    means, deltas = class_means(risk), delta_means(risk)
    return {
        "counts": means.counts.double(),
        "weights": means.weights,
        "class_vectors": means.class_vectors,
        "cross_class_vectors": deltas.cross_class_vectors,
        "distances": means.distances(),
        "parts": torch.stack([A1(means) @ X, A2(means) @ X, B1(means) @ X, B2(risk, means) @ X]),
        "streamed": Level(deltas, "cross", "G2") @ X,
        "eigenvalues": torch.from_numpy(Level(means, "class", "A1").eigenvalues()[:3].copy()),
        "fisher": torch.stack([empirical_fisher(risk) @ X, gradient_covariance(risk) @ X]),
        "block": blocks(risk).hessian("4", "6") @ X[:15],
        "dilation": blocks(risk).gauss_newton("4", "6").dilation() @ X[: 36 + 15],
    }


def products(risk: Risk) -> dict[str, torch.Tensor]:
    """What is summed over the data, likewise."""
    X = torch.randn(risk.num_parameters, 5, generator=seeded(), dtype=torch.float64)
    return {
        "facts": torch.tensor(
            [risk.num_examples, risk.num_terms, risk.num_classes, risk.loss(), risk.error_rate()]
        ),
        "gradient": risk.gradient(),
        "hessian": hessian(risk) @ X,
        "one column": hessian(risk) @ X[:, 0],
        "gauss_newton": gauss_newton(risk) @ X,
        "residual": residual(risk) @ X,
        "split": torch.stack(split_product(risk, X)),
        "combination": (2.0 * hessian(risk) - gauss_newton(risk)) @ X,
        **classes(risk),
    }


def shares(kind: str):
    """This rank's batches: by turns, all on the first rank, or of very different numbers."""
    everything, rank, size = batches(), dist.get_rank(), dist.get_world_size()
    if kind == "loader":
        images, labels = (torch.cat(column) for column in zip(*everything, strict=True))
        torch.manual_seed(rank)  # of a loader's order: rank 0's counts
        return shard(DataLoader(TensorDataset(images, labels), batch_size=4, shuffle=True))
    if kind == "ragged":
        return shard(everything)
    cut = len(everything) if kind == "empty" else 5
    return everything[:cut] if rank == 0 else everything[cut:] if rank == size - 1 else []


def identities() -> dict:
    risks = {
        (kind, mode): Risk.from_module(
            net(), shares(kind), C, batch_norm=mode, group=dist.group.WORLD
        )
        for kind, mode in MODES
    }
    found = {name: products(risk) for name, risk in risks.items()}
    return found | {"krylov": krylov(risks["ragged", "eval"])}


MODES = [
    ("ragged", "eval"),
    ("ragged", "batch"),
    ("ragged", "population"),
    ("unequal", "eval"),
    ("empty", "eval"),
    ("empty", "population"),
    ("loader", "eval"),
]


def collectives() -> dict:
    """How often the ranks meet: while products are made, and what each meeting moves."""
    risk = Risk.from_module(net(), shares("ragged"), C, group=dist.group.WORLD)
    risk.checks  # noqa: B018  # planned now
    met, reduce = [], dist.all_reduce
    names = [
        n
        for n in ("all_gather_object", "broadcast", "all_gather", "all_reduce")
        if hasattr(dist, n)
    ]
    originals = {name: getattr(dist, name) for name in names}

    def counting(name):
        def collective(first, *arguments, **options):
            met.append((name, first.numel() if isinstance(first, torch.Tensor) else None))
            return originals[name](first, *arguments, **options)

        return collective

    for name in names:
        setattr(dist, name, counting(name))
    start = torch.ones(risk.num_parameters, dtype=torch.float64)
    found = {}
    for name, work in {
        "lanczos": lambda: lanczos(hessian(risk), start, 7),
        "block": lambda: (
            gauss_newton(risk) @ torch.ones(risk.num_parameters, 3, dtype=torch.float64)
        ),
        "gradient": risk.gradient,
    }.items():
        met.clear()
        work()
        found[name] = list(met)
    for name in names:
        setattr(dist, name, originals[name])
    assert dist.all_reduce is reduce
    return found | {"p": risk.num_parameters}


class Moody:
    """Batches that can be gone through so many times, and then are others."""

    def __init__(self, content, passes):
        self.content, self.left = content, passes

    def __iter__(self):
        self.left -= 1
        if self.left < 0:
            raise RuntimeError("the disk is gone")
        return iter(self.content)


def told(work) -> tuple[str, str, float]:
    """(kind, text) of the error that work() ends in, and the seconds until then."""
    start = time.perf_counter()
    try:
        work()
    except Exception as error:
        return type(error).__name__, str(error), time.perf_counter() - start
    return "", "nothing was wrong", time.perf_counter() - start


def refusals() -> dict:
    """Each wrong on rank 1 only, or by its difference from rank 0."""
    rank, world = dist.get_rank(), dist.group.WORLD
    mine, bad = shares("ragged"), dist.get_rank() == 1

    def risk(module=None, data=None, **options):
        options = {"group": world} | options
        return Risk.from_module(module or net(), mine if data is None else data, C, **options)

    def label_out_of_range():
        risk(data=[(x, y + 7 * bad) for x, y in mine])

    def nan_in_data():
        risk(data=[(x / (not bad), y) for x, y in mine])

    def data_lost():
        data = Moody(mine, 1000)
        one = risk(data=data, memory_budget=0)
        hessian(one) @ torch.ones(one.num_parameters, dtype=torch.float64)
        data.left = 0 if bad else 1000
        hessian(one) @ torch.ones(one.num_parameters, dtype=torch.float64)

    def cut_graph():
        class Cut(nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = nn.Linear(16, C).double()

            def forward(self, x):
                x = x.flatten(1)
                y = self.layer(x)
                return y + (
                    self.layer(x).detach() if bad and torch.is_grad_enabled() else self.layer(x)
                )

        torch.manual_seed(0)
        risk(Cut()).gradient()

    def vectors_differ():
        one = risk()
        hessian(one) @ torch.randn(one.num_parameters, generator=seeded(rank), dtype=torch.float64)

    def padded():
        sampler = DistributedSampler(TensorDataset(torch.cat([x for x, _ in batches()])), 5, rank)
        risk(data=DataLoader(sampler.dataset, sampler=sampler))

    return {
        "label": told(label_out_of_range),
        "nan": told(nan_in_data),
        "data lost": told(data_lost),
        "cut graph": told(cut_graph),
        "weights": told(lambda: risk(net(seed=rank))),
        "settings": told(lambda: risk(batch_norm=("eval", "batch")[rank])),
        "vectors": told(vectors_differ),
        "padded": told(padded),
        "nothing": told(lambda: risk(data=[])),
        "no group": told(lambda: risk(group="WORLD")),
        "after all": told(lambda: products(risk())),
    }


def draws() -> dict:
    """Generators of other seeds on other ranks: rank 0 draws."""
    risk = Risk.from_module(net(), shares("ragged"), C, group=dist.group.WORLD)
    generator = seeded(2 + dist.get_rank())
    nodes = slq(hessian(risk), 6, 2, generator=generator).nodes
    hint = torch.ones(risk.num_parameters, 2, dtype=torch.float64)
    pairs = eigsh(hessian(risk), 2, start=hint, generator=generator, tol=1e-8)
    return {"nodes": torch.from_numpy(nodes), "vectors": pairs.vectors, "name": fingerprint(risk)}


def together() -> dict:
    """All that needs two ranks and kills none, in one start."""
    return {
        "identities": identities(),
        "collectives": collectives(),
        "refusals": refusals(),
        "draws": draws(),
        "bases": bases(),
    }


def bases() -> dict:
    """A basis that is cut up between the ranks, under both ways of keeping it orthogonal,
    and its size.
    """
    risk = Risk.from_module(net(), shares("ragged"), C, group=dist.group.WORLD)
    return {kind: basis(risk, kind) for kind in ("full", "partial")} | {"p": risk.num_parameters}


def basis(risk: Risk, kind: str) -> dict[str, torch.Tensor]:
    starts = torch.randn(2, risk.num_parameters, generator=seeded(), dtype=torch.float64)
    run = Recurrence(hessian(risk), starts, 16, reorthogonalize=kind, keep_basis=False)
    found = run.finish()
    return {
        "alphas": torch.stack([torch.from_numpy(t.alphas) for t in found]),
        "bytes": run.V.nbytes,
    }


def measured(folder: Path, group, stop: int | None = None):
    """A quadrature and eigenpairs with checkpoints; killed at a step where `stop` says so."""
    risk = Risk.from_module(net(), batches() if group is None else shard(batches()), C, group=group)

    def callback(done, *_):
        if done == stop and dist.get_rank() == 1:
            os._exit(9)

    products, options = [], {"checkpoint": folder / "checkpoint", "checkpoint_every": 4}
    apply, risk.graphs.apply = risk.graphs.apply, lambda *a: products.append(0) or apply(*a)
    found = lanczos(
        hessian(risk), torch.ones(risk.num_parameters).double(), 14, callback=callback, **options
    )
    return {
        "alphas": torch.from_numpy(found.alphas),
        "products": torch.tensor([float(len(products))]),
    }


def killed() -> dict:
    folder = Path(sys.argv[4])
    return {"error": told(lambda: measured(folder, dist.group.WORLD, stop=10))}


def resumed() -> dict:
    return measured(Path(sys.argv[4]), dist.group.WORLD)


SCENARIOS = {"together": together, "killed": killed, "resumed": resumed}


def main(scenario: str, rank: str, size: str, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/rendezvous-{scenario}-{size}",
        rank=int(rank),
        world_size=int(size),
        timeout=timedelta(seconds=60),
    )
    torch.save(SCENARIOS[scenario](), Path(folder) / f"{scenario}-{size}-{rank}.pt")


if __name__ == "__main__":
    main(*sys.argv[1:])
