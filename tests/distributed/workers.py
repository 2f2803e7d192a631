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
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import Shard, distribute_tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

from hspec.curvature import (
    A1,
    A2,
    B1,
    B2,
    G0,
    G1,
    G2,
    G3,
    G12,
    Risk,
    blocks,
    class_means,
    delta_means,
    empirical_fisher,
    exact_gauss_newton_spectrum,
    exact_knock_out_spectra,
    gauss_newton,
    gradient_covariance,
    hessian,
    layer_data,
    residual,
    shard,
    split_product,
)
from hspec.curvature.classes.parts import Level
from hspec.curvature.engine.gathered import local, whole
from hspec.curvature.fingerprint import fingerprint
from hspec.curvature.sharded import (
    gauss_newton_of_shards,
    hessian_of_shards,
    shard_weights,
    shards,
)
from hspec.linalg import deflate, diagonal, eigsh, hutchinson_trace, lanczos, scaled, slq, trace
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


def of_pieces(risk: Risk, v: torch.Tensor) -> torch.Tensor:
    """Hess v by pieces of whole weights."""
    pieces = dict(zip(risk.parameter_slices, risk.network.unflatten(v), strict=True))
    return torch.cat([t.flatten() for t in hessian_of_shards(risk, pieces).values()])


def everything(risk: Risk, seed: int = 2) -> dict[str, torch.Tensor | str]:
    """What each public function of a risk gives, by name: a tensor, or why it refuses."""
    X = torch.randn(risk.num_parameters, 2, generator=seeded(), dtype=torch.float64)
    means, deltas, parts = class_means(risk), delta_means(risk), blocks(risk)

    def of_blocks() -> torch.Tensor:
        columns, rows = X[: parts.sizes["6"]], X[: parts.sizes["4"]]
        made = [parts.hessian, parts.gauss_newton, parts.residual]
        found = [A("6") @ columns for A in made] + [A("4", "6") @ columns for A in made]
        found += [A("4", "6").T @ rows for A in made] + [made[0]("6", "4").to_dense()]
        return torch.cat([t.flatten() for t in found])

    def drawn(estimate) -> torch.Tensor:
        value, error = estimate(hessian(risk), 6, generator=seeded(seed))
        return torch.stack([torch.as_tensor(value), torch.as_tensor(error)])

    ways = {
        "hessian": lambda: hessian(risk) @ X,
        "gauss_newton": lambda: gauss_newton(risk) @ X,
        "residual": lambda: residual(risk) @ X,
        "split_product": lambda: torch.stack(split_product(risk, X)),
        "empirical_fisher": lambda: empirical_fisher(risk) @ X,
        "gradient_covariance": lambda: gradient_covariance(risk) @ X,
        "blocks": of_blocks,
        "class_means": lambda: means.cross_class_vectors,
        "delta_means": lambda: deltas.class_vectors,
        **{A.__name__: lambda A=A: A(means) @ X for A in (A1, A2, B1)},
        **{A.__name__: lambda A=A: A(deltas) @ X for A in (G0, G1, G2, G12)},
        "B2": lambda: B2(risk, means) @ X,
        "G3": lambda: G3(risk, deltas) @ X,
        "layer_data": lambda: layer_data(risk)["6"].errors,
        "exact_gauss_newton_spectrum": lambda: torch.from_numpy(exact_gauss_newton_spectrum(risk)),
        "exact_knock_out_spectra": lambda: torch.from_numpy(exact_knock_out_spectra(risk, [()])[0]),
        "hessian_of_shards": lambda: of_pieces(risk, X[:, 0]),
        "scaled": lambda: scaled(hessian(risk), X[:, 0] ** 2 + 1) @ X,
        "to_dense": lambda: parts.hessian("6").to_dense(),
        "trace": lambda: drawn(trace),
        "diagonal": lambda: drawn(diagonal),
        "hutchinson_trace": lambda: drawn(hutchinson_trace),
        "theta": lambda: risk.theta,
        "loss": lambda: torch.tensor(risk.loss()),
        "gradient": risk.gradient,
    }
    found = {}
    for name, way in ways.items():
        try:
            found[name] = way()
        except ValueError as error:
            found[name] = str(error)
    return found


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


def everything_of(kind: str) -> dict:
    """Of rank 0's generator: the other has another."""
    risk = Risk.from_module(net(), shares(kind), C, group=dist.group.WORLD)
    return everything(risk, seed=2 + dist.get_rank())


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

    def sorted_by_class():
        x, y = (torch.cat(content) for content in zip(*batches(), strict=True))
        of_rank = (y == 0) == bad
        weights = torch.tensor([1.0, 5.0, 5.0], dtype=torch.float64)
        risk(
            data=[(x[of_rank], y[of_rank])],
            loss=lambda f, y: nn.functional.cross_entropy(f, y, weight=weights),
            reduction="mean",
        )

    return {
        "label": told(label_out_of_range),
        "means": told(sorted_by_class),
        "nan": told(nan_in_data),
        "data lost": told(data_lost),
        "cut graph": told(cut_graph),
        "weights": told(lambda: risk(net(seed=rank))),
        "settings": told(lambda: risk(batch_norm=("eval", "batch")[rank])),
        "lists": told(lambda: risk(data=shard(batches()[:: 1 - 2 * rank]))),
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


class Attention(nn.Module):
    """Tokens, self-attention and a head whose weight is that of the embedding; lengths that two
    ranks do not divide, and a parameter of one number.
    """

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.3))
        self.embedding = nn.Embedding(7, 6)
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
        self.norm, self.gate = nn.LayerNorm(6), nn.Linear(6, 1)
        self.head = nn.Linear(6, 7, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.embedding(x)
        h = self.norm(h + self.attention(h, h, h, need_weights=False)[0])
        return self.head(self.scale * h * torch.tanh(self.gate(h))).mean(1)


def attention() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Attention().double().eval()


def sentences() -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randint(0, 7, shape, generator=generator)

    return [(drawn(n, 4), drawn(n)) for n in (5, 3, 4, 1)]


def dense_hessian(module: nn.Module, data: list) -> torch.Tensor:
    """∂²/∂θ² of the mean cross-entropy, by PyTorch alone, with its own math attention."""
    names, values = zip(*module.named_parameters(), strict=True)
    sizes, shapes = [q.numel() for q in values], [q.shape for q in values]
    x, y = (torch.cat(column) for column in zip(*data, strict=True))

    def loss(theta: torch.Tensor) -> torch.Tensor:
        pieces = [t.view(shape) for t, shape in zip(theta.split(sizes), shapes, strict=True)]
        given = dict(zip(names, pieces, strict=True))
        return nn.functional.cross_entropy(torch.func.functional_call(module, given, (x,)), y)

    theta = torch.cat([q.detach().flatten() for q in values])
    with sdpa_kernel(SDPBackend.MATH):
        return torch.autograd.functional.hessian(loss, theta)


def of_whole_vectors(risk: Risk) -> dict[str, torch.Tensor]:
    """What is asked of weights that are cut up as of others."""
    X = torch.randn(risk.num_parameters, 3, generator=seeded(), dtype=torch.float64)
    operators = hessian, gauss_newton, residual, empirical_fisher, gradient_covariance
    return {A.__name__: A(risk) @ X for A in operators} | {
        "split": torch.stack(split_product(risk, X)),
        "block": blocks(risk).hessian("attention", "embedding") @ X[:42],
        "theta": risk.theta,
        "gradient": risk.gradient(),
        "loss": torch.tensor(risk.loss()),
        "nodes": torch.from_numpy(slq(hessian(risk), 4, 1, generator=seeded()).nodes),
    }


def of_shards(risk: Risk) -> dict[str, torch.Tensor]:
    """Hess v and G v, v the first column of `of_whole_vectors`, by vectors that are cut up."""
    X = torch.randn(risk.num_parameters, 3, generator=seeded(), dtype=torch.float64)
    theta = shards(risk)
    v = {
        name: X[risk.parameter_slices[name], 0].view(q.shape)
        if name == "scale"
        else distribute_tensor(
            X[risk.parameter_slices[name], 0].view(q.shape), q.device_mesh, q.placements
        )
        for name, q in theta.items()
    }
    found = {}
    for product in (hessian_of_shards, gauss_newton_of_shards):
        pieces = product(risk, v)
        assert all(pieces[name].shape == q.shape for name, q in theta.items())
        assert [len(local(t)) for t in pieces.values() if t.dim()] == [
            len(local(t)) for t in theta.values() if t.dim()
        ]
        found[product.__name__] = torch.cat([whole(t).flatten() for t in pieces.values()])
    return found


def sharded() -> dict:
    """Weights that are cut up between the ranks."""
    mesh, mine = init_device_mesh("cpu", (dist.get_world_size(),)), shard(sentences())
    options = {"group": mesh.get_group()}
    net = shard_weights(attention(), mesh)
    risk = Risk.from_module(net, mine, **options)
    for graph in risk.graphs:  # recorded: no weight is whole any more
        alive = [pair for pair in risk.network.gather.given.values() if not pair[0].expired()]
        kept = sum(local(q).nbytes for q in graph.network.parameters)
    wrong = [(x, y + 7 * (dist.get_rank() == 1)) for x, y in mine]
    taken = nn.Sequential(nn.Linear(4, 4))
    fully_shard(taken, mesh=mesh)
    raw = nn.Linear(4, 2)
    raw.weight = nn.Parameter(distribute_tensor(raw.weight.detach(), mesh, [Shard(0)]))
    images = [(torch.ones(2, 4), torch.tensor([0, 1]))]
    return {
        "checks": list(risk.checks.values()),
        "names": list(risk.parameter_slices),
        "fingerprint": fingerprint(risk),
        "alive": len(alive),
        "kept": kept,
        "whole": of_whole_vectors(risk),
        "shards": of_shards(risk),
        "refusals": {
            "unequal": told(lambda: Risk.from_module(net, mine[: 2 - dist.get_rank()], **options)),
            "label": told(lambda: Risk.from_module(net, wrong, **options)),
            "alone": told(lambda: Risk.from_module(net, mine)),
            "means": told(lambda: class_means(risk)),
            "twice": told(lambda: shard_weights(net, mesh)),
            "recurrent": told(lambda: shard_weights(nn.LSTM(2, 2), mesh)),
            "taken": told(lambda: Risk.from_module(taken, images, **options)),
            "raw": told(lambda: Risk.from_module(raw, images, **options)),
            "vector": told(lambda: hessian_of_shards(risk, {"scale": torch.ones(())})),
        },
        "float64": Risk.from_module(
            shard_weights(attention().float(), mesh), mine, dtype="float64", **options
        ).loss(),
    }


def together() -> dict:
    """All that needs two ranks and kills none, in one start."""
    return {
        "identities": identities(),
        "everything": everything_of("empty"),
        "collectives": collectives(),
        "refusals": refusals(),
        "draws": draws(),
        "bases": bases(),
        "disks": disks(),
        "sharded": sharded(),
    }


def disks() -> dict:
    """Two quadratures with one checkpoint, each rank on a disk of its own: the products of each."""
    risk = Risk.from_module(net(), shares("ragged"), C, group=dist.group.WORLD)
    folder, found = Path(sys.argv[4]) / f"disk-{dist.get_rank()}", []
    products, apply = [], risk.graphs.apply
    risk.graphs.apply = lambda *a: products.append(0) or apply(*a)
    for _ in range(2):
        A, options = hessian(risk), {"generator": seeded(), "checkpoint": folder}
        found.append((torch.from_numpy(slq(A, 5, 2, **options).nodes), len(products)))
    return {"found": found, "is_used": folder.exists()}


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
    """A quadrature with a checkpoint, its basis cut up; killed at a step where `stop` says so."""
    risk = Risk.from_module(net(), batches() if group is None else shard(batches()), C, group=group)

    def callback(done, *_):
        if done == stop and dist.get_rank() == 1:
            os._exit(9)

    products, apply = [], risk.graphs.apply
    risk.graphs.apply = lambda *a: products.append(0) or apply(*a)
    options = {"generator": seeded(), "reorthogonalize": "full", "callback": callback}
    checkpoint = {"checkpoint": folder / "checkpoint", "checkpoint_every": 4}
    found = slq(hessian(risk), 14, 1, **options, **checkpoint)
    return {
        "nodes": torch.from_numpy(found.nodes),
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
    dist.destroy_process_group()  # gloo's threads, which would end a process that leaves them


if __name__ == "__main__":
    main(*sys.argv[1:])
