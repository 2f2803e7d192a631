"""Several processes, one risk: the numbers of one process, one meeting a product,
and errors that all hear of.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hspec import curvature
from hspec.curvature import Risk, hessian, shard
from hspec.curvature.fingerprint import fingerprint
from hspec.distributed import InStep
from hspec.linalg import slq

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location("workers", HERE / "workers.py")
workers = importlib.util.module_from_spec(spec)
spec.loader.exec_module(workers)

pytestmark = pytest.mark.slow


def launch(scenario, size, folder):
    """Start `size` ranks; (their exit codes, what those returned that came to their end)."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(HERE / "workers.py"), scenario]
    ranks = [
        subprocess.Popen([*command, str(rank), str(size), str(folder)], env=environment)
        for rank in range(size)
    ]
    codes = [rank.wait(timeout=240) for rank in ranks]
    files = [folder / f"{scenario}-{size}-{rank}.pt" for rank in range(size)]
    return codes, [
        torch.load(file, weights_only=False) if file.exists() else None for file in files
    ]


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    codes, found = launch("together", 2, tmp_path_factory.mktemp("ranks"))
    assert codes == [0, 0]
    return found


def alone(mode="eval", data=None):
    return Risk.from_module(workers.net(), data or workers.batches(), workers.C, batch_norm=mode)


def same(found, right, tolerance=1e-12):
    for name, value in right.items():
        assert found[name].shape == value.shape, name
        assert (found[name] - value).norm() <= tolerance * value.norm(), name


@pytest.mark.parametrize(("kind", "mode"), workers.MODES)
def test_products_are_those_of_one_process(both, kind, mode):
    same(both[0]["identities"][kind, mode], workers.products(alone(mode)))


IN_ONE_PROCESS = {"layer_data", "exact_gauss_newton_spectrum", "exact_knock_out_spectra"}
OF_LAYER_DATA = {"kfac", "cfac", "layer_gauss_newton"}  # and no risk


def test_every_function_of_a_risk_is_that_of_one_process_or_refuses(both):
    """All examples on the first rank; a generator of another seed on the second."""
    right, (found, others) = workers.everything(alone()), (rank["everything"] for rank in both)
    types = {"ClassMeans", "LayerData", "Risk", "shard"}
    assert set(curvature.__all__) - types - OF_LAYER_DATA <= set(found)
    for name, value in right.items():
        if name in IN_ONE_PROCESS:
            assert "in one process only, and this risk is shared by 2" in found[name]
        else:
            assert (found[name] - value).norm() <= 1e-12 * value.norm(), name
            assert torch.equal(found[name], others[name]), name


def test_products_of_weights_that_are_cut_up_are_those_of_whole_ones(both):
    """A tied embedding, attention, lengths that two ranks do not divide; the dense Hessian, too."""
    right = Risk.from_module(workers.attention(), workers.sentences())
    expected = workers.of_whole_vectors(right)
    X = torch.randn(right.num_parameters, 3, generator=workers.seeded(), dtype=torch.float64)
    dense = workers.dense_hessian(workers.attention(), workers.sentences())
    assert (expected["hessian"] - dense @ X).norm() <= 1e-12 * (dense @ X).norm()
    for rank in both:
        found = rank["sharded"]
        assert found["names"] == list(right.parameter_slices)
        assert found["fingerprint"] == fingerprint(right)
        assert all(said.startswith("agrees") for said in found["checks"])
        same(found["whole"], {n: t for n, t in expected.items() if n != "nodes"})
        same(found["whole"], {"nodes": expected["nodes"]}, 1e-9)
        for name in ("hessian", "gauss_newton"):
            v = expected[name][:, 0]
            assert (found["shards"][f"{name}_of_shards"] - v).norm() <= 1e-12 * v.norm()
        assert found["float64"] == pytest.approx(right.loss(), rel=1e-6)


def test_no_rank_keeps_a_weight_that_is_cut_up(both):
    sizes = [rank["sharded"]["kept"] for rank in both]
    p = Risk.from_module(workers.attention(), workers.sentences()).num_parameters
    assert sum(sizes) == 8 * (p + 1)  # both have the one number
    assert max(sizes) < 0.6 * 8 * p
    assert [rank["sharded"]["alive"] for rank in both] == [0, 0]


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ("unequal", "ranks have from 1 to 2 batches"),
        ("label", "batch 0"),
        ("alone", "pass group=mesh.get_group()"),
        ("means", "not where weights are cut up between ranks"),
        ("twice", "cut up already"),
        ("recurrent", "keeps its weights in a list of its own"),
        ("taken", "is sharded by FSDPSequential"),
        ("taken", "shard_weights(module, mesh)"),
        ("raw", "'weight' is a DTensor"),
        ("vector", "v needs a tensor for each of scale, embedding.weight"),
    ],
)
def test_what_weights_that_are_cut_up_cannot_do_is_refused(both, wrong, text):
    for rank in both:
        kind, said, _ = rank["sharded"]["refusals"][wrong]
        assert (kind, text in said) == ("ValueError", True), said


def test_what_is_made_of_products_is_that_of_one_process(both):
    same(both[0]["identities"]["krylov"], workers.krylov(alone()), 1e-9)


def test_ranks_have_the_same_numbers_to_the_last_bit(both):
    for name, found in both[0]["identities"].items():
        for quantity, value in found.items():
            assert torch.equal(value, both[1]["identities"][name][quantity]), (name, quantity)


def test_ranks_meet_once_a_product(both):
    found = both[0]["collectives"]
    p = found["p"]
    assert found["lanczos"] == [("all_reduce", p + 3)] * 7
    assert found["block"] == [("all_reduce", 3 * p + 3)]
    assert found["gradient"] == [("all_reduce", p + 3)]


@pytest.mark.parametrize(
    ("wrong", "kind", "text"),
    [
        ("label", "ValueError", "batch 0"),
        ("nan", "ValueError", "batch 0 has non-finite inputs"),
        ("data lost", "RuntimeError", "the disk is gone"),
        ("cut graph", "ValueError", "autograd's gradient is not the derivative of the loss"),
    ],
)
def test_what_one_rank_finds_wrong_is_raised_on_all(both, wrong, kind, text):
    (first, at_first, seconds), (second, at_second, _) = (rank["refusals"][wrong] for rank in both)
    assert first == second == kind
    assert text in at_first
    assert text in at_second
    assert at_first in (at_second, f"rank 1: {at_second}")
    assert seconds < 20


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ("weights", "rank 1 has other weights than rank 0: load one checkpoint on all"),
        ("settings", "rank 1 has other settings than rank 0"),
        ("lists", "rank 1 has other batches than rank 0: give what draws or shuffles"),
        ("vectors", "the ranks ask for different products"),
        ("padded", "DistributedSampler makes 25 of 24 examples"),
        ("nothing", "there are no batches: the sample is empty"),
        ("means", "ranks 0 and 1: the mean of their first examples together is"),
    ],
)
def test_ranks_that_do_not_fit_together_are_refused(both, wrong, text):
    for rank in both:
        kind, said, _ = rank["refusals"][wrong]
        assert kind == "ValueError"
        assert text in said


def test_after_refusals_the_ranks_go_on(both):
    for rank in both:
        assert rank["refusals"]["no group"][0] == "TypeError"
        assert rank["refusals"]["after all"][1] == "nothing was wrong"


def test_rank_0_draws_for_all(both):
    assert torch.equal(both[0]["draws"]["nodes"], both[1]["draws"]["nodes"])
    nodes = slq(hessian(alone()), 6, 2, generator=workers.seeded()).nodes
    assert torch.allclose(both[0]["draws"]["nodes"], torch.from_numpy(nodes), rtol=1e-9)
    assert torch.equal(both[0]["draws"]["vectors"], both[1]["draws"]["vectors"])


def test_a_checkpoint_is_found_again_by_another_number_of_ranks(both):
    assert [rank["draws"]["name"] for rank in both] == [fingerprint(alone())] * 2


def test_the_first_ranks_disk_is_that_of_all(both):
    """Other machines may share none with it."""
    for rank in both:
        (first, products), (again, total) = rank["disks"]["found"]
        assert torch.equal(first, again) and torch.equal(first, both[0]["disks"]["found"][0][0])
        assert total == products + 1  # to see that it is still the same matrix
    assert [rank["disks"]["is_used"] for rank in both] == [True, False]


@pytest.mark.parametrize("kind", ["full", "partial"])
def test_each_rank_keeps_its_coordinates_of_the_basis(both, kind):
    p, right = both[0]["bases"]["p"], workers.basis(alone(), kind)
    assert [rank["bases"][kind]["bytes"] for rank in both] == [
        2 * 16 * n * 8 for n in (-(-p // 2), p // 2)
    ]
    for rank in both:
        found = rank["bases"][kind]["alphas"]
        assert torch.equal(found, both[0]["bases"][kind]["alphas"])
        assert (found - right["alphas"]).norm() < 1e-9 * right["alphas"].norm()


def test_a_killed_rank_is_told_and_other_numbers_of_ranks_go_on(tmp_path):
    codes, (survivor, _) = launch("killed", 2, tmp_path)
    assert codes == [0, 9]
    kind, said, seconds = survivor["error"]
    assert kind == "ConnectionError"
    assert "Start all of them again: runs with a checkpoint go on from there" in said
    assert seconds < 60
    pieces = sorted(path.name for path in (tmp_path / "checkpoint" / "probe-0000").iterdir())
    assert pieces == ["products-000004.pt", "products-000008.pt"]
    codes, resumed = launch("resumed", 3, tmp_path)
    assert codes == [0, 0, 0]
    right = workers.measured(tmp_path / "elsewhere", None)["nodes"]
    for found in resumed:
        assert torch.equal(found["nodes"], resumed[0]["nodes"])
        assert (found["nodes"] - right).norm() < 1e-10 * right.norm()
        assert found["products"] == 14 - 8 + 1  # one more, to see that it is still the same matrix


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("[third_party/gloo/gloo/transport/tcp/pair.cc:538] Connection closed", ConnectionError),
        ("NCCL communicator was aborted on rank 0", ConnectionError),
        ("mat1 and mat2 shapes cannot be multiplied", RuntimeError),
    ],
)
def test_a_rank_that_ends_within_a_product_is_told_as_elsewhere(said, kind):
    """Where weights are cut up: PyTorch gathers them in the middle of a derivative."""
    ranks = object.__new__(InStep)
    ranks.rank, ranks.size = 0, 2
    with pytest.raises(kind) as met, ranks.agreed():
        raise RuntimeError(said)
    assert said in str(met.value)
    assert ("Start all of them again" in str(met.value)) == (kind is ConnectionError)


def test_shards_need_ranks():
    with pytest.raises(ValueError, match="no ranks to share batches between"):
        shard([1, 2, 3])
