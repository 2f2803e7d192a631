"""A pretrained encoder of sentences, taught to tell what a question asks for."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hspec.data.errors import MissingData
from hspec.data.root import data_root
from hspec.data.sentences import TREC, WordPiece, read_trec
from hspec.models.sentence_encoder import SentenceEncoder, load_minilm
from hspec.models.weights import WeightsError

FOLDER = "all-MiniLM-L6-v2"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # of model.safetensors
Missing = (MissingData, WeightsError)  # what is raised where something is not on this machine
LEARNING_RATE, BATCH = 1e-4, 12  # of Adam; sentences a step


def sentence_classifier(
    per_class: int, epochs: int, seed: int
) -> tuple[SentenceEncoder, list[tuple[Tensor, Tensor]]]:
    """MiniLM-L6 with a linear head, and the questions of TREC that both were trained on.

    The embeddings of words and places stay as they are; head and layers are trained by Adam.
    Sentences are in the order of their lengths, so that batches hold little padding.

    Args:
        per_class: questions of each of the six classes; epochs: over them; seed: of the head, which
            questions are drawn, and their order.

    Raises:
        MissingData: the data folder has no questions or no tokenizer.
        WeightsError: it has no weights, or others; or safetensors is not installed.

    Source: Li and Roth 2002 (TREC); Wang et al. 2020 (MiniLM).
    """
    texts, labels = read_trec()
    folder, random = data_root() / FOLDER, np.random.default_rng(seed)
    rows = [
        random.choice(np.flatnonzero(labels == c), per_class, replace=False)
        for c in range(len(TREC))
    ]
    cut = WordPiece.read(folder / "tokenizer.json")
    chosen = sorted(np.concatenate(rows).tolist(), key=lambda row: len(cut(texts[row])))
    batches = [
        (cut.padded([texts[row] for row in part]), torch.from_numpy(labels[part]))
        for part in np.array_split(chosen, -(-len(chosen) // BATCH))
    ]
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        net = SentenceEncoder(len(TREC))
        load_minilm(net, folder / "model.safetensors", SHA256)
        for part in (net.words, net.places, net.norm):
            part.requires_grad_(False)
        optimiser = torch.optim.Adam(
            [p for p in net.parameters() if p.requires_grad], LEARNING_RATE
        )
        for _ in range(epochs):
            for i in torch.randperm(len(batches)).tolist():
                ids, targets = batches[i]
                optimiser.zero_grad()
                F.cross_entropy(net(ids), targets).backward()
                optimiser.step()
    return net.eval(), batches
