"""Styles prepared to paint many pictures, as the teachers of a student network."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto.config.arbitrary import ArbitraryOptions
from impasto.config.job import Job, PaintOptions, StyleSource
from impasto.core.paths import sha256_of
from impasto.encoders.table import Progress
from impasto.image.files import Picture
from impasto.methods.arbitrary import LoadedNetwork
from impasto.methods.fast import LoadedStyles
from impasto.methods.one_pass import load_trained
from impasto.methods.protocol import LoadedMethod
from impasto.session.inputs import read_inputs
from impasto.session.plan import plan_job
from impasto.styles.resolved import TrainedStyle
from impasto.stylizers.protocol import Stylizer, check_strength


@dataclass(frozen=True)
class PreparedStylizer:
    """A stylizer with its code: a function from pictures to paintings.

    `name` names the style; `sha256` is the digest of everything that decides the result: weights, style, strength.
    """

    name: str
    sha256: str
    stylizer: Stylizer[Any]
    code: Any
    strength: float = 1.0
    licence: str = "not stated"

    def __post_init__(self) -> None:
        check_strength(self.strength)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """`images` `(b, 3, h, w)` in `[0, 1]` repainted, one after the other: the same shape, float32, no gradient.

        They come and go on the processor, wherever the stylizer computes.
        """
        return torch.cat([self._painted(image) for image in torch.split(images, 1)])

    def _painted(self, image: Tensor) -> Tensor:
        *_, last = self.stylizer.paint(image, self.code, strength=self.strength)
        return last.picture().float()


def prepare_style(
    source: str,
    *,
    network: str,
    style_px: int,
    strength: float,
    precision: str,
    device: torch.device,
    progress: Progress | None = None,
) -> PreparedStylizer:
    """The stylizer of one style, a trained one or its file, a saved one, or a picture, with its code prepared.

    `network` paints in the style of pictures, which have a long side of `style_px`. It computes on `device`.
    Raises `UnknownName`, `ImageError`, `OptionError`, `WeightsError` and its kinds.
    """
    job = Job(content="", styles=(StyleSource(source=source),), paint=PaintOptions(precision=precision))
    plan = plan_job(job, content=Picture(torch.zeros(1, 3, style_px, style_px)))
    (style,) = plan.styles
    loaded: LoadedMethod
    if isinstance(style, TrainedStyle):
        networks = load_trained([style], precision=precision, device=device, progress=progress)
        loaded, name = LoadedStyles(networks), networks[source].styles[0]
        licence = networks[source].card.licence
    else:
        plan = dataclasses.replace(plan, job=dataclasses.replace(plan.job, arbitrary=ArbitraryOptions(network=network)))
        loaded, name = plan.method.load(plan.job, plan.styles, device=device, progress=progress), style.stem
        licence = loaded.network.card.licence if isinstance(loaded, LoadedNetwork) else "not stated"
    stylizer = loaded.stylizer(plan.job)
    code = stylizer.prepare(read_inputs(plan).mix)
    decisive = {
        "weights": dict(loaded.weights),
        "style": name if isinstance(style, TrainedStyle) else sha256_of(Path(source)),
        "style_px": style_px,
        "strength": strength,
        "precision": str(loaded.dtype),
    }
    digest = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
    return PreparedStylizer(name, digest, stylizer, code, strength, licence)
