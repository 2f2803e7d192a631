"""The five nets that everything is measured on, with their samples,
and the trained ones where accuracy is measured.
"""

import copy
import tempfile
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hspec import data, models, training
from hspec.models.sentence_encoder import SentenceEncoder

NUM_CLASSES = 10
DEEP = "d"  # a net of equal layers, of the task `sharded` alone


@dataclass(frozen=True)
class Spec:
    """What a net is, on how many examples, and how long its quadrature is."""

    title: str
    model: str  # a name of hspec.models
    dataset: str
    image_size: int  # of the transformer: pieces of words a sentence
    num_examples: int
    quick_examples: int
    quick_width: float
    num_steps: int  # m of the whole quadrature
    num_probes: int
    rounds: int  # interleaved repetitions


SPECS = {
    "a": Spec("MLP 784-20-10", "mlp:20", "MNIST", 28, 5000, 500, 0.1, 90, 5, 9),
    "b": Spec("MLP 784-800-450-10", "mlp:800-450", "MNIST", 28, 1000, 100, 0.02, 80, 2, 9),
    "c": Spec("VGG11-BN, one linear layer", "vgg11_linear", "CIFAR10", 32, 64, 4, 0.125, 20, 1, 7),
    "r": Spec("ResNet18, CIFAR stem", "resnet18", "CIFAR10", 32, 64, 2, 0.125, 10, 1, 7),
    "t": Spec(
        "transformer encoder, 6 layers", "sentence_encoder", "TREC", 16, 64, 3, 1 / 48, 10, 1, 7
    ),
}


@dataclass(frozen=True)
class Net:
    """A module in evaluation mode, with its sample as one list of batches."""

    key: str
    title: str
    module: nn.Module
    batches: list[tuple[Tensor, Tensor]]
    inputs: str  # where the sample comes from

    @property
    def parameters(self) -> list[nn.Parameter]:
        return list(self.module.parameters())

    @property
    def num_parameters(self) -> int:
        return sum(p.numel() for p in self.parameters)

    @property
    def num_examples(self) -> int:
        return sum(len(y) for _, y in self.batches)

    @property
    def device(self) -> torch.device:
        return self.parameters[0].device

    @property
    def dtype(self) -> torch.dtype:
        return self.parameters[0].dtype

    def private_copy(self) -> nn.Module:
        """For peers that write gradients into the module."""
        return copy.deepcopy(self.module)

    def gradient(self) -> Tensor:
        """∇L (p,) by plain PyTorch: the yardstick of every speed figure."""
        total = [torch.zeros_like(p) for p in self.parameters]
        for x, y in self.batches:
            loss = F.cross_entropy(self.module(x), y, reduction="sum")
            total = [
                t + g
                for t, g in zip(total, torch.autograd.grad(loss, self.parameters), strict=True)
            ]
        return flat(total) / self.num_examples

    def in_batches(self, size: int) -> "Net":
        """The same net, its sample cut into batches of so many examples."""
        cut = [zip(x.split(size), y.split(size), strict=True) for x, y in self.batches]
        return replace(self, batches=[batch for batches in cut for batch in batches])

    def to(self, dtype: torch.dtype) -> "Net":
        """The same net in another precision."""
        batches = [(x.to(dtype) if x.is_floating_point() else x, y) for x, y in self.batches]
        return replace(self, module=self.private_copy().to(dtype), batches=batches)


def flat(tensors) -> Tensor:
    return torch.cat([t.reshape(-1) for t in tensors])


def unflatten(v: Tensor, parameters) -> list[Tensor]:
    """v (p,) cut into the parameters' shapes."""
    pieces = v.split([p.numel() for p in parameters])
    return [piece.view_as(p) for piece, p in zip(pieces, parameters, strict=True)]


def fresh_net(
    key: str, *, quick=False, device="cpu", num_examples: int | None = None, width: float = 1.0
) -> Net:
    """The net at initialisation, for figures of speed, which do not depend on the weights."""
    spec, n = (
        SPECS[key],
        num_examples or (SPECS[key].quick_examples if quick else SPECS[key].num_examples),
    )
    if spec.model == "sentence_encoder":
        return _sentences(key, n, spec.quick_width * width if quick else width, device)
    sample = _sample(spec, n)
    module = _module(spec, sample, spec.quick_width * width if quick else width).eval().to(device)
    return Net(
        key, spec.title, module, [(sample.images.to(device), sample.labels.to(device))], sample.name
    )


def _sentences(key: str, num_examples: int, scale: float, device) -> Net:
    """Random sentences, all of one length: speed depends neither on the words nor on the weights.

    Attention goes by plain matrix products, for all contenders alike: the fused kernels have no
    second derivative, and peers that do not switch them off by themselves would end in an error.
    """
    spec, generator = SPECS[key], torch.Generator().manual_seed(0)
    torch.backends.cuda.enable_flash_sdp(False)  # of this process, on the CPU too
    torch.backends.cuda.enable_mem_efficient_sdp(False)
    vocabulary, width = round(30522 * scale), 12 * round(32 * scale)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        sizes = {
            "width": width,
            "hidden": 4 * width,
            "vocabulary": vocabulary,
            "layers": 6 if scale == 1 else 2,
        }
        module = SentenceEncoder(NUM_CLASSES, **sizes).eval().to(device)
    ids = torch.randint(1, vocabulary, (num_examples, spec.image_size), generator=generator)
    labels = torch.arange(num_examples) % NUM_CLASSES
    return Net(key, spec.title, module, [(ids.to(device), labels.to(device))], "random")


def trained_net(key: str, *, quick: bool = False, device="cpu", width: float | None = None) -> Net:
    """A net trained on a balanced sample; on scikit-learn's digits where its data set is
    not on this machine.
    """
    spec = SPECS[key]
    width = width or (spec.quick_width if quick else 1.0)
    per_class = max(1, (spec.quick_examples if quick else spec.num_examples) // NUM_CLASSES)
    try:
        sample = data.load(
            spec.dataset, "train", per_class=per_class, image_size=spec.image_size, download=False
        )
    except data.MissingData:
        sample = data.load(
            "digits", "train", per_class=min(per_class, 100), image_size=spec.image_size
        )
    recipe = training.Recipe(epochs=5 if quick else 30)
    with tempfile.TemporaryDirectory() as folder:
        untrained = _module(spec, sample, width)
        run = training.train(untrained, sample, recipe, folder, progress=False)
        module = run.load("last", untrained).to(device)
    return Net(key, spec.title, module, sample.to(device).batches(len(sample)), sample.name)


def _sample(spec: Spec, num_examples: int) -> data.ImageSet:
    try:
        everything = data.load(
            spec.dataset,
            "train",
            per_class=-(-num_examples // NUM_CLASSES),
            image_size=spec.image_size,
            download=False,
        )
        images, labels, name = (
            everything.images[:num_examples],
            everything.labels[:num_examples],
            everything.name,
        )
    except data.MissingData:
        generator, channels = torch.Generator().manual_seed(0), 1 if spec.dataset == "MNIST" else 3
        images = torch.randn(
            num_examples, channels, spec.image_size, spec.image_size, generator=generator
        )
        labels, name = torch.arange(num_examples) % NUM_CLASSES, "random"
    return data.ImageSet(images, labels, NUM_CLASSES, name, "train")


def _module(spec: Spec, sample: data.ImageSet, width: float) -> nn.Module:
    return models.build(
        spec.model,
        in_channels=sample.in_channels,
        num_classes=NUM_CLASSES,
        image_size=spec.image_size,
        width=width,
        generator=torch.Generator().manual_seed(0),
    )
