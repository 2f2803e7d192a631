"""Which net on which images, and for how long: in the words of captions and badges,
beside what the papers had.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hspec.data import spoken_class
from hspec.experiments.records import Record
from hspec.models.mlp import hidden_widths, is_perceptron
from hspec.training import PUBLISHED_EPOCHS

NAMES = {
    "vgg11": "VGG11",
    "vgg11_linear": "VGG11 with one linear layer",
    "resnet18": "ResNet18",
    "resnet18_imagenet": "ResNet-18",
    **{f"resnet{depth}": f"ResNet-{depth}" for depth in (20, 32, 44, 56)},
    "densenet40": "DenseNet40",
    "squeezenet1_1": "SqueezeNet 1.1",
}
NUMERALS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
UNFIT = 0.1  # of the images, misclassified
MOST = 3  # nets or samples that a caption names one by one


@dataclass(frozen=True)
class PapersNet:
    """A net of the papers: its parameters, the images its spectra are averages over, how long it
    was trained.

    None is what the paper does not print.
    """

    parameters: int
    images: int | None
    training: int | None
    unit: str  # of the training: "steps" or "epochs"
    source: str
    otherwise: Mapping[str, int] = field(default_factory=dict)  # trained, by data set
    without_norm: int | None = None  # its parameters, where the paper has it without norm too


PAPERS_NETS = {
    "vgg11": PapersNet(
        28_157_706,
        50_000,
        350,
        "epochs",
        "P20, section 2: at most 5,000 a class",
        PUBLISHED_EPOCHS,
    ),
    "resnet18": PapersNet(11_173_962, 50_000, 350, "epochs", "P20, section 2", PUBLISHED_EPOCHS),
    "densenet40": PapersNet(1_019_722, 50_000, 350, "epochs", "P19, section 4", PUBLISHED_EPOCHS),
    "resnet32": PapersNet(
        464_154, 50_000, 100_000, "steps", "GKX19, section 3", without_norm=463_018
    ),
    "mlp:20": PapersNet(15_910, None, None, "epochs", "GKX19, section 3: MNIST"),
    "mlp:2048x8": PapersNet(31_510_538, None, 350, "epochs", "P20, section 7: MNIST at 32 × 32"),
}


def net_name(record: Record) -> str:
    """ "VGG11 at 1/8 of the width", "ResNet-32 without norm"."""
    of = record.setting
    without = " without norm" if lacks_norm(record) else ""
    return f"{model_name(of.model)}{narrowed(of.width)}{without}"


def lacks_norm(record: Record) -> bool:
    """Whether the net is one that the papers have with batch normalisation, without it."""
    of = record.setting
    return of.norm == "none" and of.model in PAPERS_NETS and "net" in of.model


def class_names(record: Record) -> list[str]:
    """The names of the classes of the images, as a reader knows them."""
    return [spoken_class(str(name)) for name in record["class_names"]]


def model_name(model: str) -> str:
    """A model's name in words.

    Example:
        >>> model_name("vgg11"), model_name("mlp:20"), model_name("mlp:800-450")
        ('VGG11', 'MLP with 20 hidden units', 'MLP with layers of 800 and 450')
        >>> model_name("mlp:2048x8")
        'MLP of eight layers of 2048'
    """
    if not is_perceptron(model):
        return NAMES.get(model, model)
    widths = hidden_widths(model)
    if len(widths) == 1:
        return f"MLP with {widths[0]} hidden unit{'s' * (widths[0] > 1)}"
    if len(set(widths)) == 1:
        return f"MLP of {in_words(len(widths))} layers of {widths[0]}"
    return f"MLP with layers of {', '.join(map(str, widths[:-1]))} and {widths[-1]}"


def in_words(number: int) -> str:
    """ "eight"; from eleven on in digits."""
    return NUMERALS[number] if number < len(NUMERALS) else str(number)


def narrowed(width: float) -> str:
    """What to say of a width that is not the papers'.

    Example:
        >>> narrowed(0.125)
        ' at 1/8 of the width'
    """
    if width == 1:
        return ""
    return f" at 1/{1 / width:g} of the width" if width < 1 else f" at {width:g} times the width"


def trained_for(records: Sequence[Record]) -> tuple[int, str]:
    """How long the net of these records was trained, at the latest of them: a number and its unit.

    The unit is "public weights" where they came from a file.
    """
    recipe = records[0].setting.recipe
    if records[0].setting.weights is not None:
        return 0, "public weights"
    if all("step" in record and record["step"].ndim == 0 for record in records):
        return max(int(record["step"]) for record in records), "steps"
    epochs = [record.options.get("epoch") for record in records]
    if recipe.epochs is None:
        return recipe.steps, "steps"
    return max(recipe.epochs if epoch is None else epoch for epoch in epochs), "epochs"


def misfit(records: Sequence[Record]) -> str:
    """ ", 82% of them misclassified": what to say after N of a net that does not fit these images;
    "" of one that misses at most a tenth of them, and of several moments or seeds.
    """
    rates = [record.error_rate for record in records if "error_rate" in record]
    unfit = len(records) == len(rates) == 1 and rates[0] > UNFIT
    return f", {rates[0]:.0%} of them misclassified" if unfit else ""


def of_the_papers(record: Record) -> bool:
    """Whether the net is one of the papers', at its full width,
    on photographs or MNIST rather than the digits.
    """
    of = record.setting
    return of.model in PAPERS_NETS and of.width == 1 and of.dataset != "digits"


def of_test_images(record: Record) -> bool:
    """Whether matrices were averaged over test images."""
    return record.options.get("split") == "test"


def over_training(records: Iterable[Record]) -> list[Record]:
    """Those of matrices that are averaged over training images."""
    return [record for record in records if record.options["split"] == "train"]


def sample_size(records: Iterable[Record]) -> str:
    """ "N = 130 test images": over how many images matrices were averaged; "N = 500" of training
    ones, "N = 500 training and 400 test images" of both.
    """
    records = list(records)
    sizes = {
        images: several(r.num_examples for r in records if of_test_images(r) == tested)
        for images, tested in (("training", False), ("test", True))
    }
    if not sizes["test"]:
        return f"N = {sizes['training']}"
    told = (f"{size} {images}" for images, size in sizes.items() if size)
    return f"N = {' and '.join(told)} images"


def by_net(records: Iterable[Record]) -> list[list[Record]]:
    """The records of nets, grouped by net and data set, in the order of their first ones."""
    groups: dict[tuple, list[Record]] = {}
    for record in records:
        if (of := record.setting) is not None:
            groups.setdefault((of.model, of.width, of.norm, of.dataset), []).append(record)
    return list(groups.values())


def short_names(records: Iterable[Record]) -> str:
    """The nets in a few words: "VGG11 at 1/8 of the width, MNIST, N = 500"; of many, two."""
    groups = by_net(records)
    told = [
        f"{net_name(of[0])}, {of[0].setting.dataset}, "
        + sample_size(r for r in of if "num_examples" in r)
        for of in groups[:2]
    ]
    return "; ".join([*told, f"{len(groups) - 2} more"] if len(groups) > 2 else told)


def badge(records: Sequence[Record]) -> str:
    """How far one net is from the papers': "toy: 29,574 of 464,154 parameters, …" on the digits,
    "narrower: …" on the papers' data, or "the papers' net: …".
    """
    record, papers = records[0], PAPERS_NETS.get(records[0].setting.model)
    images = max(r.num_examples for r in records)
    time, unit = trained_for(records)
    own = f"{record.num_parameters:,}"
    if papers is None:
        facts = (
            net_name(record),
            f"{own} parameters",
            record.setting.dataset,
            in_units(images, "images"),
        )
        return f"no net of the papers: {', '.join((*facts, in_units(time, unit)))}"
    whole = papers.otherwise.get(record.setting.dataset, papers.training)
    theirs = papers.without_norm if lacks_norm(record) else papers.parameters
    parameters = own if of_the_papers(record) or theirs is None else f"{own} of {theirs:,}"
    scale = "toy" if record.setting.dataset == "digits" else "narrower"
    return (
        f"{'the papers’ net' if of_the_papers(record) else scale}: {net_name(record)}, "
        f"{parameters} parameters; "
        f"{record.setting.dataset}, {in_units(images, 'images', papers.images)}, "
        f"{in_units(time, unit, whole if unit == papers.unit else None)}"
    )


def in_units(number: int, unit: str, of: int | None = None) -> str:
    """ "300 of 100,000 steps"; what has no number is its unit alone."""
    if unit == "public weights":
        return unit
    return f"{number:,} {unit}" if of is None else f"{number:,} of {of:,} {unit}"


def provenance(records: Iterable[Record]) -> str:
    """What a caption says of its records: net, p, data, N, Lanczos steps m, probes,
    seeds and seconds.
    """
    records = list(records)
    groups = by_net(records)
    told = [_one_net(group) for group in groups[:MOST]]
    if len(groups) > MOST:
        told.append(f"{len(groups) - MOST} more")
    if not groups and (model := drawn_model(records)):
        told = [f"{model[0].upper()}{model[1:]}, {seeded(r.options['seed'] for r in records)}"]
    measured = f"easured in {sum(record.meta['seconds'] for record in records):,.0f} s."
    return f"{'; '.join(told)}; m{measured}" if told else f"M{measured}"


def drawn_model(records: Iterable[Record]) -> str:
    """ "a model of 300 parameters on drawn data, N = 1,000"; "" where there is none."""
    found = [r for r in records if r.setting is None and "num_examples" in r]
    if not found:
        return ""
    examples = several(r.num_examples for r in found)
    return f"a model of {found[0].num_parameters:,} parameters on drawn data, N = {examples}"


def _one_net(records: list[Record]) -> str:
    record, measured = records[0], [r for r in records if "num_examples" in r]
    facts = [
        net_name(record) + (f" ({measured[0].num_parameters:,} parameters)" if measured else ""),
        record.setting.dataset,
        *([sample_size(measured)] if measured else []),
        *(
            f"{name} = {several(r.options[option] for r in records if option in r.options)}"
            for name, option in (("m", "num_steps"), ("probes", "num_probes"))
            if any(option in r.options for r in records)
        ),
        seeded(r.setting.init_seed for r in records),
    ]
    return ", ".join(facts)


def seeded(seeds: Iterable[int]) -> str:
    """ "seed 0", "seeds 0, 1 and 2"."""
    found = set(seeds)
    return f"seed{'s' * (len(found) > 1)} {several(found)}"


def several(numbers: Iterable[int]) -> str:
    """Different numbers in order: "10", "10, 30 and 100", or the ends of many, "0 to 9".

    Example:
        >>> several([3, 1, 1])
        '1 and 3'
        >>> several(range(10))
        '0 to 9'
    """
    found = [f"{number:,}" for number in sorted(set(numbers))]
    if len(found) > 2 * MOST:
        return f"{found[0]} to {found[-1]}"
    return " and ".join([", ".join(found[:-1]), found[-1]]) if len(found) > 1 else "".join(found)
