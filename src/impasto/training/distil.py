"""Training of a fast network by teachers: the same contents painted alike, in pixels and as an encoder sees them.

Instead of a style's picture there are those who paint in it already, so that nothing has to be balanced against the
content (arXiv 1911.06464, there with the features of trained networks of one style each).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.core.errors import OptionError
from impasto.encoders.table import Encoder
from impasto.losses.distances import Distance, l2, relative_l2
from impasto.nets.residual import Residual
from impasto.stylizers.prepared import PreparedStylizer
from impasto.training.fast import shares_of
from impasto.training.output_losses import Parts, of_output, weighted
from impasto.training.results import Results
from impasto.training.teacher_cache import TeacherCache


@dataclass(frozen=True, kw_only=True)
class Teacher:
    """Who teaches a style: a painter, or the results that one has left."""

    name: str
    painter: PreparedStylizer | None = None
    results: Results | None = None


@dataclass(frozen=True)
class DistillBatch:
    """Contents `(b, 3, px, px)` in `[0, 1]`, and how much each teacher counts for each of them `(b, teachers)`.

    `painted` holds, by the teachers' numbers, the paintings `(b, 3, px, px)` that need not be made any more; which of
    them there are says `given` `(b, teachers)`.
    """

    contents: Tensor
    weights: Tensor
    given: Tensor
    painted: Mapping[int, Tensor]


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Weights of the parts of the loss; a part of weight 0 is not computed."""

    pixels: float
    features: float
    smoothness: float = 0.0
    noise: float = 0.0
    range: float = 10.0


@dataclass(frozen=True, kw_only=True)
class Distillation:
    """Pixel, feature, smoothness, noise and range losses of a fast network of one style or of many.

    A network of one style is to paint as all its teachers do at once; one of many paints each content in the style of
    the teacher that counts for it. Teachers get no gradient. `kept` is where their paintings go.
    """

    network: Residual
    encoder: Encoder
    teachers: Sequence[Teacher]
    weights: Weights
    layers: Mapping[str, float]
    kept: TeacherCache | None = None
    noise_std: float = 0.02
    shown: tuple[Tensor, Tensor] | None = None
    """Contents `(n, 3, px, px)` that a sample paints, and what the teachers make of them `(n, teachers, 3, px, px)`."""

    def build(self) -> nn.Module:
        """The task's own network, which training changes."""
        return self.network

    def loss(self, module: nn.Module, batch: DistillBatch) -> dict[str, Tensor]:
        """The weighted parts, each a mean over the contents of the batch."""
        place = next(module.parameters()).device
        contents = batch.contents.to(place, memory_format=torch.channels_last)
        shares = shares_of(batch.weights).to(place) if self.network.styles > 1 else None
        output: Tensor = module(contents, shares)
        parts = {
            **self._taught(output, batch),
            **of_output(output, contents, paint=lambda noisy: module(noisy, shares), noise_std=self.noise_std),
        }
        return weighted(parts, vars(self.weights))

    def sample(self, module: nn.Module) -> Tensor:
        """Every shown content with what the teachers and the network make of it, `(contents, columns, 3, px, px)`.

        The network's painting of each style stands right of its teacher's; that of one style for all at the right end.
        """
        if self.shown is None:
            raise OptionError("there are no pictures to show.")
        place = next(module.parameters()).device
        contents = self.shown[0].to(place, memory_format=torch.channels_last)
        half, many = self.encoder.dtype == torch.bfloat16, self.network.styles
        columns = [contents.float()]
        with torch.autocast(place.type, torch.bfloat16, enabled=half):
            for index, painting in enumerate(self.shown[1].unbind(1)):
                columns.append(painting.to(place))
                if many > 1:
                    shares = F.one_hot(torch.tensor(index), many).float().expand(len(contents), -1).to(place)
                    columns.append(module(contents, shares).float())
            if many == 1:
                columns.append(module(contents).float())
        return torch.stack(columns, 1).clamp(0, 1)

    def _taught(self, output: Tensor, batch: DistillBatch) -> Parts:
        """How far `output` `(b, 3, px, px)` is from the teachers' paintings: the weighted sum over the teachers."""
        layers = self.layers if self.weights.features else {}
        found = self.encoder(output, layers) if layers else {}
        rows, teachers = (numbers.tolist() for numbers in batch.weights.nonzero(as_tuple=True))
        pixels, features = [], []
        for start in range(0, len(rows), len(output)):  # as many paintings at once as there are contents
            some = slice(start, start + len(output))
            mine = torch.tensor(rows[some], device=output.device)
            painted = self.painted(batch, rows[some], teachers[some], place=output.device)
            share = batch.weights[rows[some], teachers[some]].to(output.device) / len(output)
            if self.weights.pixels:
                pixels.append(_weighted(l2, output.index_select(0, mine), painted, share))
            with torch.no_grad():
                wanted = self.encoder(painted, layers) if layers else {}
            for name, weight in layers.items():
                features.append(weight * _weighted(relative_l2, found[name].index_select(0, mine), wanted[name], share))
        parts = {"pixels": pixels, "features": features}
        return {name: torch.stack(values).sum for name, values in parts.items() if values}

    @torch.no_grad()
    def painted(
        self, batch: DistillBatch, rows: Sequence[int], teachers: Sequence[int], *, place: torch.device
    ) -> Tensor:
        """What each of `teachers` makes of the content in its row, `(n, 3, px, px)` on `place`."""
        found = [self._painting(batch, row, number, place) for row, number in zip(rows, teachers, strict=True)]
        return torch.cat(found).contiguous(memory_format=torch.channels_last)

    def _painting(self, batch: DistillBatch, row: int, number: int, place: torch.device) -> Tensor:
        if batch.given[row, number]:
            return batch.painted[number][row : row + 1].to(place)
        painter, content = self.teachers[number].painter, batch.contents[row : row + 1]
        assert painter is not None, "what results lie on disk is given"
        with torch.autocast(place.type, enabled=False):  # as it paints outside a training
            painting = painter(content)
        return painting if self.kept is None else self.kept.added(painter, content, painting).to(place)


def _weighted(distance: Distance, found: Tensor, target: Tensor, shares: Tensor) -> Tensor:
    """The distances of pairs, each times its share, added up."""
    return (distance(found, target, reduction="each") * shares).sum()
