"""Stored spectra: the basis takes the precision that memory allows, keeps it, and says so."""

import numpy as np
import torch

from hspec.experiments import Setting, Store, quadrature
from hspec.experiments.task import Task
from hspec.linalg import aslinearoperator

A = aslinearoperator(torch.diag(torch.cat([torch.linspace(0.0, 1.0, 299), torch.tensor([50.0])])))


def measured(task):
    return quadrature.quadrature(task, A, "A", "a_", 20, 2, 0)


def test_a_basis_that_does_not_fit_is_halved_and_the_record_says_so(tmp_path, monkeypatch):
    task = Task(Setting(), Store(tmp_path, tmp_path), "test", progress=False)
    own = measured(task)
    assert "a_basis_bits" not in own
    monkeypatch.setattr(quadrature, "SMALL_BASIS", 0)
    monkeypatch.setattr(quadrature, "free_memory", lambda device: 2 * 20 * 300 * 4 - 1)
    half = measured(Task(Setting(), Store(tmp_path, tmp_path), "other", progress=False))
    assert half["a_basis_bits"] == 16
    np.testing.assert_allclose(half["a_nodes"].max(), own["a_nodes"].max(), rtol=1e-2)
    assert not np.array_equal(half["a_nodes"], own["a_nodes"])


def test_a_run_ends_with_the_basis_it_began_with(tmp_path, monkeypatch):
    monkeypatch.setattr(quadrature, "SMALL_BASIS", 0)
    task = Task(Setting(), Store(tmp_path, tmp_path), "test", progress=False)
    for free, chosen in ((10**9, None), (0, None)):
        monkeypatch.setattr(quadrature, "free_memory", lambda device, free=free: free)
        assert quadrature.basis_precision(task, A, 20, "a_") is chosen
    assert quadrature.basis_precision(task, A, 20, "b_") is torch.bfloat16
