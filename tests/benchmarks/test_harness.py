"""The harness at toy size: every peer multiplies by the same matrices,
every task ends in a table. No timings.
"""

import re
import time
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks.__main__ import main
from benchmarks.nets import NUM_CLASSES, Net, fresh_net
from benchmarks.options import Options
from benchmarks.peers import all_peers, papers
from benchmarks.peers.base import plain_measure
from benchmarks.peers.instrument import risk_of
from benchmarks.plots import PAGE
from benchmarks.results import Results
from benchmarks.tasks import TASKS, time_to_error
from benchmarks.tasks.accuracy import exact_eigenvalues
from benchmarks.tasks.outliers import steps_until_converged
from benchmarks.tasks.rounding import one_sample
from benchmarks.timing import Times, interleaved
from hspec.book.figure_files import STACKED
from hspec.curvature import class_means, gauss_newton, hessian
from hspec.linalg import SpectralMeasure, lanczos

pytestmark = [
    pytest.mark.filterwarnings(
        "ignore:Using backward.. with create_graph=True:UserWarning"
    ),  # PyHessian's
    pytest.mark.filterwarnings(
        "ignore:Converting a tensor with requires_grad=True:UserWarning"
    ),  # PyHessian's
    pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:FutureWarning"),  # curvlinops'
    pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning"),
]
PEERS, _ = all_peers()


def test_every_figure_of_the_page_has_one_for_a_narrow_screen():
    text = (PAGE.parent / "benchmarks.md").read_text(encoding="utf-8")
    names = re.findall(r":name: (fig-benchmark-\w+)", text)
    assert names and all("<svg" in (PAGE / f"{name}{STACKED}").read_text() for name in names)


@pytest.fixture(scope="module", params=["a", "c", "r"])
def net(request) -> Net:
    return fresh_net(request.param, quick=True, num_examples=12).to(torch.float64)


@pytest.fixture(scope="module")
def small_net() -> Net:
    return fresh_net("a", quick=True, num_examples=40).to(torch.float64)


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_every_peer_multiplies_by_the_same_matrices(peer, net):
    v = torch.randn(
        net.num_parameters, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    pairs = [(peer.hessian, hessian)] + (
        [(peer.gauss_newton, gauss_newton)] if peer.gauss_newton else []
    )
    for theirs, ours in pairs:
        expected = ours(risk_of(net)) @ v
        torch.testing.assert_close(
            theirs(net)(v).detach(), expected, rtol=0, atol=1e-10 * float(expected.norm())
        )


def test_the_transformers_products_are_those_of_two_backward_passes():
    """The papers' pipeline is the reference: double backward by PyTorch alone."""
    net = fresh_net("t", quick=True, num_examples=12).to(torch.float64)
    v = torch.randn(
        net.num_parameters, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    (pipeline,) = (peer for peer in PEERS if peer.name == "papers' pipeline")
    expected = hessian(risk_of(net)) @ v
    torch.testing.assert_close(
        pipeline.hessian(net)(v), expected, rtol=0, atol=1e-10 * float(expected.norm())
    )


def test_curvlinops_errs_in_the_scales_of_layer_norms_alone():
    """PyTorch's jvp of jacrev, which it uses, loses a term there (benchmarks.md says so)."""
    peer = next((peer for peer in PEERS if peer.name == "curvlinops"), None)
    if peer is None:
        pytest.skip("curvlinops is not installed")
    net = fresh_net("t", quick=True).to(torch.float64)
    v = torch.randn(
        net.num_parameters, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    for theirs, ours in ((peer.hessian, hessian), (peer.gauss_newton, gauss_newton)):
        risk = risk_of(net)
        expected = ours(risk) @ v
        off = theirs(net)(v).detach() - expected
        if theirs is peer.hessian:
            for name, part in risk.parameter_slices.items():
                if "norm" in name and name.endswith("weight"):
                    off[part] = 0.0
        assert off.norm() < 1e-10 * expected.norm()


def test_the_errors_of_products_are_those_of_float32(net):
    single = net.to(torch.float32)
    found = one_sample(single)["relative_error"]
    assert {"Hess: hspec", "G: hspec", "Hess: papers' pipeline"} <= found.keys()
    assert all(1e-9 < error < 1e-4 for error in found.values())


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_every_quadrature_finds_the_largest_eigenvalue(peer, small_net):
    measure = peer.quadrature(small_net, 30, 2, 0)
    largest = exact_eigenvalues(small_net, file=None)[-1]
    assert measure.support[1] == pytest.approx(
        largest, rel=1e-6
    )  # PyHessian solves for T in float32
    assert measure.nodes.shape == (2, 30)


def test_the_gradient_is_the_risk_s(net):
    torch.testing.assert_close(net.gradient(), risk_of(net).gradient(), rtol=1e-10, atol=1e-12)


def test_the_published_class_means_are_ours(small_net):
    ours = class_means(risk_of(small_net)).cross_class_vectors
    torch.testing.assert_close(
        papers.class_means(small_net, NUM_CLASSES), ours, rtol=1e-8, atol=1e-12
    )


def test_subspace_iteration_converges():
    A = torch.diag(torch.tensor([8.0, 4.0, 1.0, 0.5, 0.1], dtype=torch.float64))
    start = torch.randn(5, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values, residuals = papers.subspace_iteration(A.__matmul__, start, iterations=30)
    torch.testing.assert_close(values, torch.tensor([8.0, 4.0], dtype=torch.float64))
    assert residuals.max() < 1e-10


def test_steps_until_converged_is_the_first_m_whose_residuals_are_small():
    A = torch.diag(torch.cat([torch.tensor([50.0, 20.0, 10.0]), torch.rand(97)]).double())
    run = lanczos(A, torch.ones(100, dtype=torch.float64), 40)
    m = steps_until_converged(run, 3)
    shorter, enough = (lanczos(A, torch.ones(100, dtype=torch.float64), k) for k in (m - 1, m))

    def worst(t):
        theta, _, last = t.ritz()
        return (t.residual_norm * abs(last[-3:])).max() / theta[-3]

    assert worst(enough) <= 1e-3 < worst(shorter)


def test_ratios_are_formed_within_rounds():
    times = Times({"ours": [1.0, 2.0, 8.0], "theirs": [2.0, 4.0, 16.0]})
    assert times.ratio("theirs", "ours") == 2.0
    assert times.ratio_of_fastest("theirs", "ours") == 2.0


def test_contenders_take_turns():
    calls = []
    contenders = {name: lambda name=name: calls.append(name) for name in "xyz"}
    interleaved(contenders, 3, "cpu", warm_up=False, min_seconds=0.0)
    rounds = ["".join(calls[i : i + 3]) for i in (0, 3, 6)]
    assert all(sorted(order) == list("xyz") for order in rounds) and len(set(rounds)) > 1


def test_a_measurement_that_is_cut_off_goes_on_where_it_was(tmp_path, monkeypatch):
    calls, cuts = [], [KeyboardInterrupt]
    facts = {"key": "z", "title": "three numbers", "inputs": "none"}
    net = SimpleNamespace(num_parameters=3, num_examples=1, device="cpu", **facts)

    def quadrature(name, net, m, probes, seed, **settings):
        calls.append(name)
        if name == "cut off" and calls.count(name) == 2 and cuts:
            raise cuts.pop()
        return plain_measure([[1.0, 2.0, 3.0]], [[1.0, 1.0, 1.0]], 3)

    contenders = [
        SimpleNamespace(name=name, quadrature=partial(quadrature, name))
        for name in ("hspec", "first", "cut off", "last")
    ]
    monkeypatch.setattr(time_to_error, "all_peers", lambda: (contenders, []))
    monkeypatch.setattr(time_to_error, "TURN", 0.0)
    monkeypatch.setattr(time_to_error, "bare_products", lambda net, m, probes: time.perf_counter)
    results = Results(tmp_path)
    options = Options(report=lambda line: None, part=partial(results.part, "cpu"))
    exact = SpectralMeasure.from_eigenvalues(np.array([1.0, 2.0, 3.0]))
    with pytest.raises(KeyboardInterrupt):
        time_to_error._one_net(net, exact, options)
    assert calls == ["first"] * 5 + ["cut off"] * 2
    calls.clear()
    results.write("time_to_error", "z", time_to_error._one_net(net, exact, options), "cpu")
    assert set(calls) == {"cut off", "last", "hspec"}
    peers = results.read("time_to_error")["z"]["result"]["peers"]
    assert list(peers) == ["first", "cut off", "last"]
    assert not list((tmp_path / "parts").iterdir())


@pytest.mark.slow
def test_the_whole_command_at_toy_size(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Results, "of", classmethod(lambda cls, options: cls(tmp_path)))
    main(["--quick", "--device", "cpu", "--nets", "a"])
    written = {re.sub(r"-.*", "", file.stem) for file in tmp_path.glob("*.json")}
    of_others = {"gpu", "parallel", "sharded"}  # of a GPU, or of other nets
    assert written == set(TASKS) - of_others
    for table in tmp_path.glob("*.md"):
        first = "* " if table.stem.endswith("provenance") else "| "
        assert table.stem in of_others | {"errors_over_all"} or table.read_text().startswith(first)
    assert {file.stem for file in tmp_path.glob("*.svg")} == {
        "products",
        "quadrature",
        "accuracy",
        "growth",
    }
    assert "written:" in capsys.readouterr().out
