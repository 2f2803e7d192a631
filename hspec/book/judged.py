"""What one measured net says of one claim."""

from __future__ import annotations

from dataclasses import dataclass

from hspec.experiments import Record, Verdict
from hspec.experiments.claims import MARKS
from hspec.experiments.scale import (
    drawn_model,
    misfit,
    net_name,
    of_test_images,
    of_the_papers,
    sample_size,
)


@dataclass(frozen=True)
class Judged:
    """What one measured net says of one claim.

    Attributes:
        samples: The verdicts over each sample of images, with the record, or the last, that they
            are about; the training images first.
    """

    samples: tuple[tuple[Record, tuple[Verdict, ...]], ...]

    @property
    def record(self) -> Record:
        """The one that the net is known by, over training images where these were measured."""
        return self.samples[0][0]

    @property
    def rows(self) -> list[tuple[Record, Verdict]]:
        """Each number that judges the claim, with the record that it is of."""
        return [(record, v) for record, of in self.samples for v in of if v.judges]

    @property
    def verdicts(self) -> list[Verdict]:
        """The numbers that judge the claim."""
        return [verdict for _, verdict in self.rows]

    @property
    def outcome(self) -> str:
        """Of the claim, which holds where every row holds, and fails where one fails."""
        found = {verdict.outcome for verdict in self.verdicts}
        return next(o for o in ("fails", "inconclusive at this scale", "holds") if o in found)

    @property
    def chip(self) -> str:
        """The outcome, and how many rows hold, as "✗ 2 of 3"."""
        holding = sum(verdict.outcome == "holds" for verdict in self.verdicts)
        of = f" {holding} of {len(self.verdicts)}" if len(self.verdicts) > 1 else ""
        return f"{MARKS[self.outcome]}{of}"

    @property
    def of_the_papers(self) -> bool:
        """Whether the net is one of the papers', at full width and on their data; what is no net is
        drawn as in its paper, at every scale.
        """
        return self.record.setting is None or of_the_papers(self.record)

    @property
    def fits(self) -> bool:
        """Whether the net fits its training images, as far as the record tells."""
        return of_test_images(self.record) or not misfit([self.record])

    @property
    def toy(self) -> bool:
        """Whether it is a net on scanned digits, the scale of the chapters' own runs."""
        of = self.record.setting
        return of is not None and of.dataset == "digits"

    @property
    def net(self) -> str:
        """ "VGG11 at 1/8 of the width, MNIST, p = 447,194, N = 500", and every other sample."""
        of, p = self.record.setting, self.record.num_parameters
        if of is None:
            return drawn_model([self.record])
        samples = dict.fromkeys(sample_size([r]) + misfit([r]) for r, _ in self.samples)
        return f"{net_name(self.record)}, {of.dataset}, p = {p:,}, {' and '.join(samples)}"

    def named(self, record: Record, verdict: Verdict) -> str:
        """The number's name; with the images that it is over, where the net has several samples."""
        images = f" ({'test' if of_test_images(record) else 'training'} images)"
        return verdict.quantity + images * (len(self.samples) > 1)
