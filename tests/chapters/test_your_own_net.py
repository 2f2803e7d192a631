"""The chapter's pretrained encoder, at toy size: what is stored, what is shown,
and what happens without its files.
"""

import numpy as np
import pytest
import torch

from hspec.chapters.your_own_net import figures, measure
from hspec.chapters.your_own_net.measure import encoder_record, part_of, text_encoder
from hspec.curvature import Risk, hessian
from hspec.data.sentences import read_trec
from hspec.experiments import Experiment, Store, load_or_run
from hspec.models.sentence_encoder import SentenceEncoder

FEW = {"per_class": 2, "epochs": 1, "top": 3, "num_steps": 6, "num_probes": 2, "seed": 0}


def small_classifier(per_class, epochs, seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = SentenceEncoder(
            3, layers=2, width=8, heads=2, hidden=8, vocabulary=30, places=9
        ).eval()
        ids = torch.randint(1, 30, (3 * per_class, 7))
    for part in (net.words, net.places, net.norm):
        part.requires_grad_(False)
    ids[0, 5:] = 0
    return net, [(ids[:4], torch.arange(4) % 3), (ids[4:], torch.arange(2) % 3)]


@pytest.fixture
def record(store, monkeypatch):
    monkeypatch.setattr(measure, "sentence_classifier", small_classifier)
    return load_or_run(Experiment(text_encoder, options=FEW), store, progress=False)


def test_the_record_is_the_nets_spectrum(record):
    net, batches = small_classifier(2, 1, 0)
    risk = Risk.from_module(net, batches)
    values = torch.linalg.eigvalsh(hessian(risk).to_dense().double()).flip(0)
    found = record.spectra
    assert record.num_parameters == risk.num_parameters < sum(p.numel() for p in net.parameters())
    assert np.allclose(found["Hess"].values, values[:3], rtol=1e-2)
    assert found.facts["loss_value"] == pytest.approx(risk.loss(), rel=1e-6)
    assert len(found.class_values["A1"]) == 3
    edges = record.edges
    assert edges["layer"].tolist() == ["layer 1", "layer 2", "head", "all"]
    assert edges["Hess"][-1] == pytest.approx(float(values[0]), rel=5e-2)
    assert (edges["G"][:-1] <= edges["G"][-1] * 1.05).all()
    assert record.errors["exact"] < 1e-5 < record.errors["differences"].max()
    for figure in (
        figures.encoder(record),
        figures.layer_bars(edges),
        figures.difference_errors(record.errors),
    ):
        assert figure.axes
    assert list(figures.encoder_facts(record).index) == ["Hess", "G"]


def test_blocks_are_layers():
    assert part_of("layers.0.attention.query.weight") == "layer 1"
    assert part_of("head.bias") == "head"


def test_without_its_files_the_stored_run_is_shown(record, store, tmp_path, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setenv("HSPEC_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"TREC\.train is missing: data/README\.md says"):
        read_trec()
    shown = Store(tmp_path / "another", published=store.root)
    with pytest.warns(UserWarning, match=r"is missing.*: what was measured elsewhere is shown"):
        assert (
            encoder_record(**FEW | {"per_class": 5}, store=shown).meta["key"] == record.meta["key"]
        )
    assert encoder_record(**FEW | {"per_class": 0}, store=shown).meta["key"] == record.meta["key"]
    nothing = Store(tmp_path / "another", published=tmp_path / "nothing")
    small = encoder_record(**FEW | {"per_class": 0}, store=nothing)
    assert small.spectra.facts["num_examples"] == 48
    assert "stand-in" in figures.encoder_facts(small).index.name
