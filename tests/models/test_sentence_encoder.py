"""The encoder against PyTorch's own layers; its file's names; words in pieces."""

import hashlib

import pytest
import torch
from torch import nn

from hspec.data.root import data_root
from hspec.data.sentences import WordPiece
from hspec.models import WeightsError
from hspec.models.sentence_encoder import RENAMED, SentenceEncoder, load_minilm

SMALL = {"layers": 2, "width": 8, "heads": 2, "hidden": 12, "vocabulary": 20, "places": 6}


@pytest.fixture
def net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SentenceEncoder(3, **SMALL).double().eval()


def torchs(layer):
    """The same layer by PyTorch."""
    other = nn.TransformerEncoderLayer(
        8, 2, 12, 0.0, "gelu", layer_norm_eps=1e-12, batch_first=True
    ).double()
    mine = {name: layer.get_parameter(name) for name, _ in layer.named_parameters()}
    three = [f"attention.{name}" for name in ("query", "key", "value")]
    state = {
        f"self_attn.in_proj_{kind}": torch.cat([mine[f"{n}.{kind}"] for n in three])
        for kind in ("weight", "bias")
    }
    for ours, theirs in {
        "attention.out": "self_attn.out_proj",
        "norm_attention": "norm1",
        "wider": "linear1",
        "narrower": "linear2",
        "norm_mlp": "norm2",
    }.items():
        state |= {f"{theirs}.{kind}": mine[f"{ours}.{kind}"] for kind in ("weight", "bias")}
    other.load_state_dict(state)
    return other.train()  # eval mode would take a path of its own


def test_layers_are_pytorchs(net):
    ids = torch.tensor([[2, 5, 7, 3], [2, 9, 3, 0]])
    x = net.norm(net.words(ids) + net.places.weight[:4])
    for layer in net.layers:
        x = torchs(layer)(x, src_key_padding_mask=ids == 0)
    mean = torch.stack([x[0].mean(0), x[1, :3].mean(0)])
    assert torch.allclose(net(ids), net.head(mean), atol=1e-13)


def test_padding_changes_nothing(net):
    ids = torch.tensor([[2, 9, 3]])
    assert torch.allclose(
        net(ids), net(torch.cat([ids, torch.zeros(1, 2, dtype=ids.dtype)], 1)), atol=1e-14
    )


def test_the_published_names_are_all_known(net, tmp_path):
    """Weights that go out under the published names come back."""
    save_file = pytest.importorskip("safetensors.torch").save_file
    theirs = {
        "words.": "embeddings.word_embeddings.",
        "places.": "embeddings.position_embeddings.",
        "norm.": "embeddings.LayerNorm.",
        "attention.out.": "attention.output.dense.",
        "attention.": "attention.self.",
        "norm_attention.": "attention.output.LayerNorm.",
        "wider.": "intermediate.dense.",
        "narrower.": "output.dense.",
        "norm_mlp.": "output.LayerNorm.",
    }
    assert len(RENAMED) == len(theirs) + 1  # and the number of the layer

    def published(name):
        layer, rest = "", name
        if name.startswith("layers."):
            _, number, rest = name.split(".", 2)
            layer = f"encoder.layer.{number}."
        start = max((s for s in theirs if rest.startswith(s)), key=len)
        return layer + theirs[start] + rest.removeprefix(start)

    state = {
        published(n): t.contiguous()
        for n, t in net.state_dict().items()
        if not n.startswith("head")
    }
    state["embeddings.token_type_embeddings.weight"] = torch.ones(2, 8).double()
    state |= {"pooler.dense.bias": torch.zeros(8), "embeddings.position_ids": torch.arange(6)}
    save_file(state, tmp_path / "net.safetensors")
    other, digest = SentenceEncoder(3, **SMALL).double(), sha256(tmp_path / "net.safetensors")
    with pytest.raises(WeightsError, match="it is another file, or damaged"):
        load_minilm(other, tmp_path / "net.safetensors", "0" * 64)
    load_minilm(other, tmp_path / "net.safetensors", digest)
    for name, value in net.state_dict().items():
        if not name.startswith("head"):
            assert torch.equal(other.state_dict()[name], value + (name == "places.weight")), name


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_words_are_cut_as_published():
    """By heart: what BERT's own tokenizer gives, where its vocabulary is on this machine."""
    file = data_root() / "all-MiniLM-L6-v2" / "tokenizer.json"
    if not file.is_file():
        pytest.skip("no vocabulary here")
    cut = WordPiece.read(file)
    assert cut("How did serfdom develop in Russia ?") == [
        101,
        2129,
        2106,
        14262,
        2546,
        9527,
        4503,
        1999,
        3607,
        1029,
        102,
    ]
    assert cut("Café, naïve_word") == [101, 7668, 1010, 15743, 1035, 2773, 102]
