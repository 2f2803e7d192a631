"""A transformer encoder of sentences with a linear head,
and the weights that others have trained.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn

from hspec.models.weights import read_weights

# What the published file calls the parts; the pooler is not used by a mean over words.
RENAMED = (
    (r"^encoder\.layer\.(\d+)\.", r"layers.\1."),
    (r"attention\.self\.", "attention."),
    (r"attention\.output\.dense\.", "attention.out."),
    (r"attention\.output\.LayerNorm\.", "norm_attention."),
    (r"intermediate\.dense\.", "wider."),
    (r"output\.dense\.", "narrower."),
    (r"output\.LayerNorm\.", "norm_mlp."),
    (r"^embeddings\.LayerNorm\.", "norm."),
    (r"^embeddings\.word_embeddings\.", "words."),
    (r"^embeddings\.position_embeddings\.", "places."),
)
UNUSED = ("pooler.", "embeddings.position_ids", "embeddings.token_type_embeddings.")


class Attention(nn.Module):
    """Self-attention with several heads; padded places are not looked at."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """x (n, T, width); seen (n, 1, 1, T), true where there is a word."""
        parts = (
            layer(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        mixed = F.scaled_dot_product_attention(*parts, attn_mask=seen)
        return self.out(mixed.transpose(1, 2).flatten(2))


class Layer(nn.Module):
    """Attention, then a perceptron at each place;
    a residual connection and a norm after each."""

    def __init__(self, width: int, heads: int, hidden: int, eps: float) -> None:
        super().__init__()
        self.attention = Attention(width, heads)
        self.norm_attention = nn.LayerNorm(width, eps)
        self.wider, self.narrower = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.norm_mlp = nn.LayerNorm(width, eps)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        x = self.norm_attention(x + self.attention(x, seen))
        return self.norm_mlp(x + self.narrower(F.gelu(self.wider(x))))


class SentenceEncoder(nn.Module):
    """Pieces of words (n, T) to logits (n, C): the mean over words of the last layer, and a linear
    head.

    Args:
        num_classes: C; layers, width, heads, hidden, vocabulary, places: of the encoder, by default
            those of MiniLM-L6, 22.6 M parameters. Piece 0 is padding.

    Source: Devlin et al. 2019 (BERT); Wang et al. 2020 (MiniLM); Reimers and Gurevych 2019 (the
    mean over words).
    """

    def __init__(
        self,
        num_classes: int,
        *,
        layers: int = 6,
        width: int = 384,
        heads: int = 12,
        hidden: int = 1536,
        vocabulary: int = 30522,
        places: int = 512,
        eps: float = 1e-12,
    ) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(vocabulary, width), nn.Embedding(places, width)
        self.norm = nn.LayerNorm(width, eps)
        self.layers = nn.ModuleList(Layer(width, heads, hidden, eps) for _ in range(layers))
        self.head = nn.Linear(width, num_classes)

    def forward(self, ids: Tensor) -> Tensor:
        seen = ids != 0
        x = self.norm(self.words(ids) + self.places.weight[: ids.shape[1]])
        for layer in self.layers:
            x = layer(x, seen[:, None, None])
        words = seen.to(x.dtype)[:, :, None]
        return self.head((x * words).sum(1) / words.sum(1))


def load_minilm(net: SentenceEncoder, file: Path, sha256: str) -> None:
    """Put the weights of all-MiniLM-L6-v2 into a net, but for its head; the net is left as it was,
    or all is in.

    The embedding of "the first of two sentences", which every piece has, becomes part of the
    places'.

    Raises:
        WeightsError: the file is absent, another or damaged; safetensors is not installed.
        RuntimeError: the net has other shapes.
    """
    given = read_weights(file, sha256)
    first = given["embeddings.token_type_embeddings.weight"][0]
    state = {_renamed(name): value for name, value in given.items() if not name.startswith(UNUSED)}
    state["places.weight"] = state["places.weight"] + first
    net.load_state_dict(
        state | {f"head.{name}": value for name, value in net.head.state_dict().items()}
    )


def _renamed(name: str) -> str:
    for theirs, ours in RENAMED:
        name = re.sub(theirs, ours, name)
    return name
