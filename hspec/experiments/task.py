"""What a measure works with: the setting's images, its trained network,
and the risks made of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from pathlib import Path

import torch
from torch import nn

from hspec import data, models, training
from hspec.curvature import Risk
from hspec.data.registry import find
from hspec.experiments.provenance import default_device
from hspec.experiments.setting import Setting
from hspec.experiments.store import Store
from hspec.training.progress import progress_bar

# Of a risk's batch: 256 images of 32 x 32, whose graph takes 1 GiB (ResNet18) to 9 GiB
# (DenseNet-40).
BATCH_PIXELS = 1 << 18


def load_images(setting: Setting, split: str, per_class: int | None = None) -> data.ImageSet:
    """The setting's images of ``split``, or a balanced subset of them."""
    return data.load(
        setting.dataset,
        split,
        per_class=per_class or (setting.per_class if split == "train" else setting.test_per_class),
        seed=setting.data_seed,
        image_size=setting.image_size,
        classes=setting.classes,
        subset=setting.subset,
        normalization=setting.normalization,
    )


class Task:
    """Makes, once and on demand, what measures of one setting need.

    Args:
        setting: The net and the images.
        store: Where training checkpoints and unfinished work are kept.
        name: Name of the folder for unfinished work; a killed measure finds its own checkpoints
            there.
        device: Default: the first GPU, else the CPU.
        progress: Whether progress bars are shown.
        wait: Whether to wait for another process that trains the net; else :class:`Held` is raised.

    ``fingerprints`` grows by one for each sample of images that is asked for: "train", "test/10"
    (per class); ``weights`` by one for each step at which the trained net is asked for.
    """

    def __init__(
        self,
        setting: Setting | None,
        store: Store,
        name: str,
        *,
        device: torch.device | str | None = None,
        progress: bool = True,
        wait: bool = True,
    ):
        self._setting = setting
        self.store = store
        self.name = name
        self.device = torch.device(device) if device else default_device()
        self.progress = progress
        self.wait = wait
        self.fingerprints: dict[str, str] = {}
        self.weights: dict[str, str] = {}

    @property
    def setting(self) -> Setting:
        """The net and the images; raises ValueError where the experiment has none."""
        if self._setting is None:
            raise ValueError("this measure needs a net: give its experiment a Setting")
        return self._setting

    @cached_property
    def folder(self) -> Path:
        """For checkpoints of this measure; removed when its record is written."""
        folder = self.store.unfinished(self.name)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def seconds_file(self) -> Path | None:
        """Where the seconds of this measure are kept, those before interruptions too; of several
        ranks the first keeps them.
        """
        return self.store.unfinished(self.name) / "seconds" if self.store.ranks.rank == 0 else None

    def forget_empty_folder(self) -> None:
        """Remove the folder where nothing was put into it: a refused measure leaves no trace."""
        with suppress(OSError):  # there is none, or it holds checkpoints
            self.store.unfinished(self.name).rmdir()

    def images(self, split: str, per_class: int | None = None) -> data.ImageSet:
        """The setting's images of ``split``, or a balanced subset of them."""
        images = load_images(self.setting, split, per_class)
        sample = split if per_class is None else f"{split}/{per_class}"
        if sample not in self.fingerprints:
            self.fingerprints[sample] = images.fingerprint
        return images

    @cached_property
    def run(self) -> training.TrainingRun:
        """The training run; trained now if it is not on disk,
        gone on with if it was interrupted.
        """
        name = self.setting.training_key
        if not find(
            self.setting.dataset
        ).checked:  # other images under the same name are another run
            name += "-" + self.images("train").fingerprint[:12]
        train = partial(
            training.train,
            self.new_model(),
            self.images("train"),
            self.setting.recipe,
            self.store.root / "training" / name,
            checkpoints=self.setting.checkpoints,
            test_set=self.images("test"),
            progress=self.progress,
        )
        with self.store.claimed(f"training-{name}", wait=self.wait):
            return self.store.ranks.led(train)

    def new_model(self) -> nn.Module:
        """The net before training, on the task's device: at initialisation,
        or with the weights of a file.
        """
        s, images = self.setting, self.images("train")
        model = models.build(
            s.model,
            in_channels=images.images.shape[1],
            num_classes=images.num_classes,
            image_size=s.image_size,
            width=s.width,
            norm=s.norm,
            init=s.init,
            generator=torch.Generator().manual_seed(s.init_seed),
        )
        if s.weights is not None:
            file = data.data_root() / s.weights
            models.load_weights(model, file, s.weights_sha256, outputs=images.imagenet_classes)
        return model.to(self.device)

    def model(self, step: int | None = None) -> nn.Module:
        """The trained net in evaluation mode, at ``step`` (None: the last)."""
        step = self.run.steps[-1] if step is None else step
        model = self.run.load(step, self.new_model()).eval()
        if str(step) not in self.weights:
            self.weights[str(step)] = training.fingerprint(model)
        return model

    def step_after(self, epoch: int | None) -> int | None:
        """The number of updates made by the end of ``epoch``; None (the last) stays None."""
        recipe = self.setting.recipe
        return None if epoch is None else epoch * recipe.steps_per_epoch(len(self.images("train")))

    def risk(
        self,
        split: str = "train",
        *,
        step: int | None = None,
        per_class: int | None = None,
        batch_size: int | None = None,
        **options: object,
    ) -> Risk:
        """The risk of the trained net on ``split``; ``options`` go to :meth:`Risk.from_module`.

        batch_size: images per batch, which matters to nothing but speed, memory and batch
        statistics; None chooses. Where the store's processes measure together, each has its share
        of the batches.
        """
        images, ranks = self.images(split, per_class), self.store.ranks
        if batch_size is None:
            batch_size = max(
                1, min(BATCH_PIXELS // images.image_size**2, -(-len(images) // ranks.size))
            )
        batches = [
            (x.to(self.device), y.to(self.device))
            for x, y in images.batches(batch_size)[ranks.rank :: ranks.size]
        ]
        return Risk.from_module(
            self.model(step), batches, images.num_classes, group=ranks.group, **options
        )

    def generator(self, seed: int) -> torch.Generator:
        """A fresh random generator on the CPU: the same probes on every device."""
        return torch.Generator().manual_seed(seed)

    @contextmanager
    def counting(self, description: str, total: int | None = None) -> Iterator[Callable[..., None]]:
        """A progress bar; the value is a function (done, total) that moves it to the count it is
        given, or on by one.

        A total that is not known before can be told with the counts.
        """
        with progress_bar(description, total, shown=self.progress) as bar:

            def advance(done: int | None = None, total: int | None = None) -> None:
                bar.total = bar.total or total
                bar.update(1 if done is None else done - bar.n)

            yield advance
