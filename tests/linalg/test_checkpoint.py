"""A killed run goes on to the same numbers; a stale or damaged checkpoint is recognised."""

import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

from hspec.linalg import LinearOperator, aslinearoperator, eigsh, lanczos, slq


class Killed(Exception):
    pass


def kill_at(step):
    def callback(done, total):
        if done == step:
            raise Killed

    return callback


@pytest.fixture
def A(prescribed):
    return aslinearoperator(prescribed(np.r_[50.0, 20.0, np.linspace(-1, 1, 98)], torch.float32))


@pytest.fixture
def v(normal):
    return normal(100).float()


@pytest.mark.parametrize("basis_dtype", [None, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("kind", ["full", "partial", "none"])
def test_a_killed_run_goes_on_to_the_same_numbers(kind, basis_dtype, A, v, tmp_path):
    settings = {"reorthogonalize": kind, "basis_dtype": basis_dtype}
    whole = lanczos(A, v, 30, **settings)
    settings |= {"checkpoint": tmp_path / "run", "checkpoint_every": 4}
    for step in (3, 11, 23):
        with pytest.raises(Killed):
            lanczos(A, v, 30, callback=kill_at(step), **settings)
    resumed = lanczos(A, v, 30, **settings)
    assert np.array_equal(resumed.alphas, whole.alphas)
    assert np.array_equal(resumed.betas, whole.betas)
    assert torch.equal(resumed.V, whole.V)
    assert torch.equal(resumed.residual, whole.residual)


def count_steps(**settings):
    steps = []
    result = lanczos(callback=lambda done, total: steps.append(done), **settings)
    return steps, result


def test_only_the_missing_steps_are_run(A, v, tmp_path):
    settings = {"A": A, "v": v, "num_steps": 20, "checkpoint": tmp_path, "checkpoint_every": 5}
    with pytest.raises(Killed):
        lanczos(callback=kill_at(12), **settings)
    assert count_steps(**settings)[0] == list(range(11, 21))
    assert count_steps(**settings)[0] == []  # finished: nothing to do


def test_an_interrupt_between_a_save_and_the_next_loses_only_those_steps(A, v, tmp_path):
    def interrupt(done, total):
        if done == 9:
            raise KeyboardInterrupt

    settings = {"A": A, "v": v, "num_steps": 20, "checkpoint": tmp_path, "checkpoint_every": 4}
    with pytest.raises(KeyboardInterrupt):
        lanczos(callback=interrupt, **settings)
    assert not list(tmp_path.glob(".*"))  # no half-written file
    assert count_steps(**settings)[0][0] == 9


class Counted(LinearOperator):
    """A, and how many products were made."""

    def __init__(self, A):
        super().__init__(A.shape[0], A.dtype, A.device, A.name)
        self.A, self.columns = A, 0

    def _matmat(self, X):
        self.columns += X.shape[1]
        return self.A @ X


def pairs_of(A, folder, **settings):
    """Three eigenpairs, and the products that they took."""
    A = Counted(A)
    generator = torch.Generator().manual_seed(0)
    return eigsh(A, 3, generator=generator, checkpoint=folder, **settings), A.columns


def missing(total, calls, block_size=1):
    """Products left of `total` after so many calls: pieces hold ten; the first is made again, to test A."""
    return total - block_size * (calls // 10 * 10 - 1)


@pytest.mark.parametrize("block_size", [1, 2])
def test_a_killed_eigensolver_makes_the_missing_products_only(block_size, A, tmp_path):
    settings = {"max_basis": 12, "tol": 1e-4, "block_size": block_size}
    whole, products = pairs_of(A, None, **settings)

    def kill(done):
        if done == 14 * block_size:
            raise Killed

    with pytest.raises(Killed):
        pairs_of(A, tmp_path, callback=kill, **settings)
    resumed, made = pairs_of(A, tmp_path, **settings)
    assert products > 14 * block_size and made == missing(products, 14, block_size)
    assert resumed.num_products == whole.num_products == products
    assert np.array_equal(resumed.values, whole.values) and torch.equal(resumed.vectors, whole.vectors)


def test_a_sharper_tolerance_goes_on_from_the_products_there_are(A, tmp_path):
    """As far as the looser run did not look for copies: that is another way, and the sharper one's own."""
    _, products = pairs_of(A, tmp_path, tol=1e-2, check="symmetry")
    sharper, made = pairs_of(A, tmp_path, tol=1e-5)
    assert products >= 10 and made == missing(sharper.num_products, products)


def test_other_vectors_find_no_products_and_leave_their_own(A, tmp_path):
    pairs_of(A, tmp_path)
    found, products = pairs_of(A, tmp_path, start=torch.ones(100))
    assert products == found.num_products >= 10
    assert pairs_of(A, tmp_path, start=torch.ones(100))[1] == missing(products, products)
    assert np.array_equal(found.values, pairs_of(A, None, start=torch.ones(100))[0].values)


def test_products_of_another_matrix_are_refused(A, tmp_path, prescribed):
    pairs_of(A, tmp_path)
    with pytest.raises(ValueError, match=r"belongs to another run .*operator"):
        pairs_of(A.named("Hess"), tmp_path)
    other = aslinearoperator(prescribed(np.linspace(0, 3, 100), torch.float32))
    with pytest.raises(ValueError, match="no longer the matrix whose products"):
        pairs_of(other, tmp_path)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_a_damaged_piece_is_recognised_and_recomputed(damage, A, v, tmp_path):
    settings = {"A": A, "v": v, "num_steps": 20, "checkpoint": tmp_path, "checkpoint_every": 5}
    whole = lanczos(**settings)
    piece = tmp_path / "steps-00015.pt"
    content = bytearray(piece.read_bytes())
    if damage == "flipped":
        position = content.find(whole.V[:, 12].numpy().tobytes()[:16])
        assert position > 0
        content[position + 3] ^= 0x40
    else:
        content = content[: {"truncated": len(content) // 2, "empty": 0}[damage]]
    piece.write_bytes(content)
    with pytest.warns(UserWarning, match=r"steps-00015.pt is damaged .* continues from the steps before"):
        steps, result = count_steps(**settings)
    assert steps == list(range(11, 21))
    assert np.array_equal(result.alphas, whole.alphas)


def test_a_checkpoint_of_another_run_is_refused(A, v, tmp_path, prescribed):
    lanczos(A, v, 10, checkpoint=tmp_path)
    with pytest.raises(ValueError, match=r"belongs to another run \(start was .* Delete"):
        lanczos(A, -v, 10, checkpoint=tmp_path)
    with pytest.raises(ValueError, match=r"belongs to another run .*settings"):
        lanczos(A, v, 10, reorthogonalize="partial", checkpoint=tmp_path)
    with pytest.raises(ValueError, match=r"belongs to another run .*operator"):
        lanczos(A.named("Hess"), v, 10, checkpoint=tmp_path)
    other = aslinearoperator(prescribed(np.linspace(0, 3, 100), torch.float32))
    with pytest.raises(ValueError, match="no longer the matrix whose run"):
        lanczos(other, v, 10, checkpoint=tmp_path)


VICTIM = """
import os, signal, sys
import torch
from hspec.linalg import lanczos

def die(done, total):
    if done == 13:
        os.kill(os.getpid(), signal.SIGKILL)

lanczos(torch.diag(torch.linspace(-1, 2, 200)), torch.ones(200), 20, checkpoint=sys.argv[1], checkpoint_every=5,
        callback=die)
"""


def test_kill_9_loses_the_steps_since_the_last_save_only(tmp_path):
    outcome = subprocess.run([sys.executable, "-c", VICTIM, str(tmp_path)])
    assert outcome.returncode == -signal.SIGKILL
    matrix, v = torch.diag(torch.linspace(-1, 2, 200)), torch.ones(200)
    steps, result = count_steps(A=matrix, v=v, num_steps=20, checkpoint=tmp_path, checkpoint_every=5)
    assert steps == list(range(11, 21))
    assert np.allclose(result.alphas, lanczos(matrix, v, 20).alphas, rtol=0, atol=1e-6)


def test_refuses_to_save_never(A, v, tmp_path):
    with pytest.raises(ValueError, match="checkpoint_every must be at least 1"):
        lanczos(A, v, 10, checkpoint=tmp_path, checkpoint_every=0)


@pytest.mark.parametrize("block", [False, True])
def test_a_killed_quadrature_goes_on_to_the_same_numbers(block, A, tmp_path):
    def run(**settings):
        g = torch.Generator().manual_seed(3)
        return slq(A, 20, 3, generator=g, block=block, **settings)

    whole = run()
    for step in (9, 33):
        with pytest.raises(Killed):
            run(checkpoint=tmp_path, checkpoint_every=3, callback=kill_at(step))
    resumed = run(checkpoint=tmp_path, checkpoint_every=3)
    for name, value in whole.to_arrays().items():
        assert np.array_equal(value, resumed.to_arrays()[name]), name
    assert (
        sum(file.stat().st_size for file in tmp_path.rglob("*.pt")) < 20_000
    )  # finished probes keep no basis
    again = run(checkpoint=tmp_path, checkpoint_every=3)
    assert np.array_equal(again.nodes, whole.nodes)
