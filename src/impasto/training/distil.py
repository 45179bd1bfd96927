"""Distillation of a fast network: its output against the teachers', in pixels and in an encoder's features.

Teachers replace style pictures, so that content and style need no balancing (arXiv 1911.06464, there with the features
of several networks of one style each).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from impasto.encoders.table import Encoder
from impasto.losses.distances import Distance, l2, relative_l2
from impasto.nets.residual import Residual
from impasto.objective.output import Weights, output_terms
from impasto.objective.perceptual import FeatureTerm, Perceptual, PixelTerm
from impasto.session.prepared import PreparedStylizer
from impasto.training import sampling
from impasto.training.data import placed
from impasto.training.fast import each_style, painted_styles
from impasto.training.results import Results
from impasto.training.teacher_cache import TeacherCache


@dataclass(frozen=True, kw_only=True)
class Teacher:
    """The teacher of a style: a prepared stylizer, or the finished results of one."""

    name: str
    painter: PreparedStylizer | None = None
    results: Results | None = None


@dataclass(frozen=True)
class DistillBatch:
    """Contents `(b, 3, px, px)` in `[0, 1]`, and the weight of each teacher for each of them `(b, teachers)`.

    `painted` holds paintings `(b, 3, px, px)` that are known already, by the teachers' numbers; `given`
    `(b, teachers)` says which rows of them are.
    """

    contents: Tensor
    weights: Tensor
    given: Tensor
    painted: Mapping[int, Tensor]


@dataclass(frozen=True)
class TeacherBatch:
    """Teachers' paintings `(n, 3, px, px)` of the contents `rows` `(n,)` of a batch, and their weights `(n,)`."""

    rows: Tensor
    paintings: Tensor
    weights: Tensor

    def distance(self, output: Tensor, *, target: Tensor, by: Distance) -> Tensor:
        """The weighted sum of distances of the batch's `output` `(b, …)` from `target` `(n, …)`."""
        return (by(output.index_select(0, self.rows), target, reduction="each") * self.weights).sum()


@dataclass(frozen=True, kw_only=True)
class Distillation:
    """Pixel, feature, smoothness, noise and range losses of a fast network of one or several styles.

    A network of one style learns from all its teachers at once; one of several paints each content in the style of the
    teacher that counts for it. Teachers get no gradient. `cache` stores their paintings.
    """

    network: Residual
    encoder: Encoder
    teachers: Sequence[Teacher]
    weights: Weights
    layers: Mapping[str, float]
    cache: TeacherCache | None = None
    shown: tuple[Tensor, Tensor] | None = None
    """Contents `(n, 3, px, px)` of the samples, and the teachers' paintings of them `(n, teachers, 3, px, px)`."""

    def build(self) -> nn.Module:
        """The task's own network, which training changes."""
        return self.network

    def loss(self, module: nn.Module, batch: DistillBatch) -> dict[str, Tensor]:
        """The weighted parts, each a mean over the contents of the batch."""
        contents = placed(batch.contents, module)
        styles = painted_styles(batch.weights).to(contents.device) if self.network.styles > 1 else None
        output: Tensor = module(contents, styles)
        parts = list(self._teacher_batches(batch, contents.device))
        pixels = (
            PixelTerm("pixels", self.weights.pixels, partial(part.distance, target=part.paintings, by=l2))
            for part in parts
        )
        rest = output_terms(self.weights, output, contents=contents, paint=lambda noisy: module(noisy, styles))
        features = (term for part in parts for term in self._feature_terms(part))
        return Perceptual(self.encoder, features=tuple(features), pixels=(*pixels, *rest))(output).parts

    def sample(self, module: nn.Module) -> Tensor:
        """Every shown content with its paintings, `(contents, columns, 3, px, px)`.

        The network's painting of each style is to the right of its teacher's; of a single style it comes last.
        """
        shown, paintings = sampling.required(self.shown)
        contents = placed(shown, module)
        columns = list(paintings.unbind(1))
        with sampling.precision_of(self.encoder, contents):
            own = [module(contents, chosen).float().cpu() for chosen in each_style(self.network.styles, contents)]
        columns = [*columns, *own] if len(own) == 1 else [column for pair in zip(columns, own) for column in pair]  # noqa: B905
        return sampling.table(contents, torch.stack([column.cpu() for column in columns], 1))

    def _feature_terms(self, part: TeacherBatch) -> Iterator[FeatureTerm]:
        if not self.weights.features:
            return
        with torch.no_grad():
            targets = self.encoder(part.paintings, self.layers)
        for layer, share in self.layers.items():
            distance = partial(part.distance, target=targets[layer], by=relative_l2)
            yield FeatureTerm("features", layer, self.weights.features * share, distance)

    def _teacher_batches(self, batch: DistillBatch, device: torch.device) -> Iterator[TeacherBatch]:
        """All paintings of a batch, as many at once as there are contents."""
        rows, teachers = (numbers.tolist() for numbers in batch.weights.nonzero(as_tuple=True))
        count = len(batch.contents)
        for start in range(0, len(rows), count):
            some = slice(start, start + count)
            paintings = self.painted(batch, rows[some], teachers=teachers[some], place=device)
            weights = batch.weights[rows[some], teachers[some]].to(device) / count
            yield TeacherBatch(torch.tensor(rows[some], device=device), paintings, weights)

    @torch.no_grad()
    def painted(
        self, batch: DistillBatch, rows: Sequence[int], *, teachers: Sequence[int], place: torch.device
    ) -> Tensor:
        """The painting of each of `teachers` of the content in its row, `(n, 3, px, px)` on `place`."""
        paintings = [
            self._painting(batch, row, number=number, place=place) for row, number in zip(rows, teachers, strict=True)
        ]
        return torch.cat(paintings).contiguous(memory_format=torch.channels_last)

    def _painting(self, batch: DistillBatch, row: int, *, number: int, place: torch.device) -> Tensor:
        if batch.given[row, number]:
            return batch.painted[number][row : row + 1].to(place)
        painter, content = self.teachers[number].painter, batch.contents[row : row + 1]
        assert painter is not None, "results on disk are given"
        with torch.autocast(place.type, enabled=False):  # as outside a training
            painting = painter(content)
        return painting if self.cache is None else self.cache.store(painter, content, painting=painting).to(place)
