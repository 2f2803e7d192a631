"""Sentences with labels, and words cut into pieces: what an encoder of sentences reads."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hspec.data.errors import DamagedData, MissingData
from hspec.data.root import data_root

TREC = ("ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM")  # what a question asks for
TREC_SHA256 = "9e4c8bdcaffb96ed61041bd64b564183d52793a8e91d84fc3a8646885f466ec3"
PADDING, UNKNOWN, START, END = "[PAD]", "[UNK]", "[CLS]", "[SEP]"


def read_trec(root: str | Path | None = None) -> tuple[list[str], np.ndarray]:
    """The 5,452 training questions of TREC and what each asks for: (texts, labels (N,) in the order
    of `TREC`).

    Args:
        root: the data folder; see `data_root`. The file is text/TREC.train in it.

    Raises:
        MissingData: it is not there.
        DamagedData: it is another file.

    Source: Li and Roth 2002 (the questions and their coarse classes).
    """
    file = data_root(root) / "text" / "TREC.train"
    if not file.is_file():
        raise MissingData(f"{file} is missing: data/README.md says what belongs there")
    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != TREC_SHA256:
        raise DamagedData(f"{file} is another file than TREC's training questions, or damaged")
    lines = [line.partition(" ") for line in content.decode("latin-1").splitlines()]
    labels = [TREC.index(label.partition(":")[0]) for label, _, _ in lines]
    return [text for _, _, text in lines], np.array(labels)


class WordPiece:
    """Text to numbers of pieces of words: lower case, without accents; longest pieces first.

    Args:
        vocabulary: {piece: its number}; pieces inside a word begin with "##".

    Example:
        >>> pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "play", "##ing", "!"]
        >>> cut = WordPiece({piece: number for number, piece in enumerate(pieces)})
        >>> cut("Playing!")
        [2, 4, 5, 6, 3]

    Source: Devlin et al. 2019, section 3 (WordPiece embeddings).
    """

    def __init__(self, vocabulary: Mapping[str, int]) -> None:
        self.vocabulary = vocabulary

    @classmethod
    def read(cls, file: Path) -> WordPiece:
        """The vocabulary of a tokenizer.json."""
        if not file.is_file():
            raise MissingData(f"{file} is missing: data/README.md says what belongs there")
        return cls(json.loads(file.read_text(encoding="utf-8"))["model"]["vocab"])

    def __call__(self, text: str) -> list[int]:
        """The pieces of a text between those that mark its start and its end."""
        plain = "".join(
            c for c in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(c) != "Mn"
        )
        words = re.findall(r"[^\W_]+|[^\w\s]|_", plain)
        pieces = [piece for word in words for piece in self._pieces(word)]
        return [self.vocabulary[piece] for piece in (START, *pieces, END)]

    def _pieces(self, word: str) -> list[str]:
        found, start = [], 0
        while start < len(word):
            candidates = (
                "##" * bool(start) + word[start:end] for end in range(len(word), start, -1)
            )
            piece = next((c for c in candidates if c in self.vocabulary), None)
            if piece is None:
                return [UNKNOWN]
            found.append(piece)
            start += len(piece.removeprefix("##") if start else piece)
        return found

    def padded(self, texts: Sequence[str]) -> Tensor:
        """Several texts (n, length of the longest), padded at the end."""
        rows = [torch.tensor(self(text)) for text in texts]
        return torch.nn.utils.rnn.pad_sequence(rows, True, self.vocabulary[PADDING])
