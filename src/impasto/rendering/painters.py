"""Painters of styles by name: what paints in a trained style, or in the manner of a picture."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch

from impasto.config.arbitrary import ArbitraryOptions
from impasto.config.job import Job, PaintOptions, StyleSource
from impasto.core.paths import sha256_of
from impasto.encoders.table import Progress
from impasto.image.files import Picture
from impasto.nets.table import Network
from impasto.rendering import families, inputs
from impasto.rendering.families import Loaded
from impasto.stylizers.prepared import PreparedStylizer


def painter_of(
    source: str,
    *,
    network: str,
    style_px: int,
    strength: float,
    precision: str,
    device: torch.device,
    progress: Progress | None = None,
) -> PreparedStylizer:
    """What paints in the style `source`: a trained style or its file, a saved style, or a picture.

    `network` is the one that paints in the manner of pictures, which are seen with a long side of `style_px`. It
    computes on `device`. Raises `UnknownName`, `ImageError`, `OptionError`, `WeightsError` and its kinds.
    """
    job = Job(
        content=source,
        styles=(StyleSource(source=source),),
        paint=PaintOptions(precision=precision),
    )
    if families.method_of(job) == "arbitrary":
        job = Job(content=source, styles=job.styles, paint=job.paint, arbitrary=ArbitraryOptions(network=network))
    job = families.checked(job)
    loaded = families.family_of(job).load(job, progress)
    _move(loaded, device)
    seen = inputs.gathered(job, content=Picture(torch.zeros(1, 3, style_px, style_px)))
    stylizer = families.family_of(job).stylizer(job, seen, loaded, None)
    name = _name(source, loaded)
    told = {
        "weights": dict(loaded.weights),
        "style": sha256_of(Path(source)) if isinstance(loaded.model, Network) else name,
        "style_px": style_px,
        "strength": strength,
        "precision": str(loaded.dtype),
    }
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    return PreparedStylizer(name, digest, stylizer, stylizer.prepare(seen.mix), strength)


def _move(loaded: Loaded, device: torch.device) -> None:
    model: Any = loaded.model
    parts: list[Any] = (
        [model.net, model.encoder.net] if isinstance(model, Network) else [network.net for network in model.values()]
    )
    for part in parts:
        part.to(device)


def _name(source: str, loaded: Loaded) -> str:
    """The style's name: that of a trained style in its network, else that of the file."""
    model: Any = loaded.model
    return Path(source).stem if isinstance(model, Network) else str(model[source].styles[0])
