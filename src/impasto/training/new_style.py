"""Teaching a network of many styles one more: its scales and shifts alone, in minutes (Dumoulin et al. 2017, 3.2)."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto.config.fast_training import FastFitOptions, FastTrainOptions
from impasto.config.new_style import NewStyleFitOptions, NewStyleOptions
from impasto.core.errors import OptionError, WeightsError
from impasto.core.options import from_dict
from impasto.image.samples import SAMPLES, sample_path
from impasto.nets import table as nets
from impasto.nets.codes import code_from
from impasto.nets.fast import KIND
from impasto.nets.layers import PALETTE, is_style_param
from impasto.nets.predicted import PAINTER, Predicted
from impasto.nets.residual import Residual
from impasto.training import sources
from impasto.training.data import NEVER
from impasto.training.fast import Assigned
from impasto.training.fast_run import Prepared, StylePicture, prepare, read, training_metadata
from impasto.training.fit import Progress, averaged
from impasto.training.processes import is_first
from impasto.training.run_config import lock_run_config
from impasto.training.students import halved, write_network
from impasto.weights import readers
from impasto.weights.card import Loaded, fill

WHOLE = "whole"  # folder of the second part of the training


@dataclass(frozen=True)
class Session:
    """A network that is to learn the style of a picture, and what it was."""

    base: Loaded
    prepared: Prepared
    options: FastTrainOptions


def train_style(
    picture: Path, options: NewStyleOptions, fitting: NewStyleFitOptions, folder: Path
) -> Iterator[Progress]:
    """Teach a network the style of `picture` and write `network.safetensors`, of this style alone, into `folder`.

    It begins with the style of the network that is nearest, or with what a network of any style predicts, and learns
    scales and shifts only, so that the result blends with the network's own styles in one pass; `whole_steps` more
    train all of it. It stops and goes on as `train_learned` does. Raises as that does, and `WeightsError` for a network
    of another kind.
    """
    begun = begin(picture, options, fitting)
    _freeze(begun.prepared.task.network)
    folder.mkdir(parents=True, exist_ok=True)
    lock_run_config(folder, _told(begun, options))
    total = fitting.steps + options.whole_steps
    yield from _steps(begun.prepared, fitting, folder, before=0, total=total)
    if options.whole_steps:
        second = dataclasses.replace(fitting, steps=options.whole_steps, learning_rate=options.whole_learning_rate)
        begun.prepared.task.network.requires_grad_(True)
        fill(begun.prepared.task.network, averaged(folder / "checkpoint.pt"), "the first part")
        (folder / WHOLE).mkdir(exist_ok=True)
        yield from _steps(begun.prepared, second, folder / WHOLE, before=fitting.steps, total=total)
    if is_first():
        _export(begun, options, fitting, folder=folder)


def begin(picture: Path, options: NewStyleOptions, fitting: FastFitOptions) -> Session:
    """Build the task: the network with the scales and shifts of its style that is nearest to the picture's."""
    if options.style_weight == 0:
        raise OptionError("--style-weight is 0: the style is not learned so. Give a larger one, or leave it out.")
    base = _base(options, picture)
    numbers = _numbers(base)
    learning = learning_as(base, picture, options)
    net = Residual(**numbers)
    contents = None if options.contents else [sources.Named(sample_path(name), name) for name in SAMPLES]
    prepared = prepare(learning, fitting, network=net, contents=contents)
    fill(net, nearest(base.tensors, prepared), base.card.name)
    return Session(base, prepared, learning)


def _base(options: NewStyleOptions, picture: Path) -> Loaded:
    """The network that is to learn; one that predicts rows is the one of the row that it predicts for the picture."""
    base = readers.load_weights(options.network)
    if base.card.network.get("architecture") != "predicted":
        return base
    network = nets.built(base, nets.encoder_for(base.card, precision="float32"), precision="float32")
    net = network.net
    assert isinstance(net, Predicted)
    pixels = read(StylePicture(picture, picture.stem), options.style_px or FastTrainOptions().style_px)
    with torch.no_grad():
        params = net.style_params(code_from(network.encoder(pixels, net.code_layers), pixels, net=net))
    painter = {key.removeprefix(PAINTER): value for key, value in base.tensors.items() if key.startswith(PAINTER)}
    card = dataclasses.replace(base.card, kind=KIND, network={"architecture": "residual", **net.numbers})
    return Loaded(card=card, tensors=painter | {key: value[0] for key, value in params.items()}, sha256=base.sha256)


def learning_as(base: Loaded, picture: Path, options: NewStyleOptions) -> FastTrainOptions:
    """The options that the network was trained with, but for what is given."""
    known = {field.name for field in dataclasses.fields(FastTrainOptions)}
    before = {name: value for name, value in base.card.training.get("options", {}).items() if name in known}
    for other in ("contents", "styles", "validation", "start_from", "weights", "alpha", "epochs", "many", "name"):
        before.pop(other, None)
    given = {name: getattr(options, name) for name in ("content_weight", "style_weight", "style_px", "crop_px")}
    changed = {name: value for name, value in given.items() if value is not None}
    return from_dict(
        FastTrainOptions,
        before
        | changed
        | {
            "contents": [str(path) for path in options.contents],
            "styles": [str(picture)],
            "name": options.name or picture.stem,
            "licence": options.licence,
            "about": options.about,
        },
    )


def nearest(tensors: dict[str, Tensor], prepared: Prepared) -> dict[str, Tensor]:
    """The network's tensors with the row of the style whose paintings are nearest to the new one's target.

    Its colours are those of the new one.
    """
    colours = {key: value.clone() for key, value in prepared.task.network.state_dict().items() if key == PALETTE}
    many = max(value.shape[0] if is_style_param(key) and value.ndim == 2 else 1 for key, value in tensors.items())
    batch = prepared.batches(NEVER)
    rows = [_row(tensors, index) | colours for index in range(many)]
    losses = [_style_loss(prepared, row, batch) for row in rows]
    return rows[min(range(many), key=losses.__getitem__)]


@torch.no_grad()
def _style_loss(prepared: Prepared, row: dict[str, Tensor], batch: Assigned) -> float:
    net = prepared.task.network
    fill(net, row, "the network")
    return float(prepared.task.loss(net.to(memory_format=torch.channels_last), batch)["style"])  # type: ignore[call-overload]


def _row(tensors: dict[str, Tensor], index: int) -> dict[str, Tensor]:
    return {key: value[index] if is_style_param(key) and value.ndim == 2 else value for key, value in tensors.items()}


def _freeze(net: Residual) -> None:
    for key, parameter in net.named_parameters():
        parameter.requires_grad_(is_style_param(key))


def _numbers(base: Loaded) -> dict[str, Any]:
    """The numbers of the network, for one style."""
    if base.card.kind != KIND or base.card.network.get("architecture") != "residual":
        raise WeightsError(f"{base.card.name} is of kind {base.card.kind}; a network of trained styles is needed.")
    if base.card.preprocess not in ("", "rgb") or base.card.network.get("output", "rgb") != "rgb":
        raise WeightsError(
            f"{base.card.name} works in colours of its own; a network that impasto has trained is needed."
        )
    unused = ("architecture", "output", "styles")
    return {name: value for name, value in base.card.network.items() if name not in unused}


def _steps(prepared: Prepared, fitting: FastFitOptions, folder: Path, *, before: int, total: int) -> Iterator[Progress]:
    """One part of the training, counted within the whole."""
    running = sources.steps(
        prepared.task, prepared.batches, fitting, folder=folder, unreadable=lambda: prepared.contents.skipped
    )
    with contextlib.closing(running):  # type: ignore[type-var]
        for progress in running:
            yield dataclasses.replace(progress, step=before + progress.step, steps=total)


def _told(begun: Session, options: NewStyleOptions) -> dict[str, Any]:
    base = {"name": begun.base.card.name, "sha256": begun.base.sha256}
    more = {"whole_steps": options.whole_steps, "whole_learning_rate": options.whole_learning_rate}
    found = training_metadata(begun.options, begun.prepared)
    return found | {"network": base, "options": found["options"] | more}


def _export(begun: Session, options: NewStyleOptions, fitting: NewStyleFitOptions, *, folder: Path) -> None:
    part = folder / WHOLE if options.whole_steps else folder
    tensors = averaged(part / "checkpoint.pt")
    if options.whole_steps:
        tensors = halved(tensors)
    else:  # the convolutions as they were, to the last bit: so it blends with its network
        tensors = {key: value if is_style_param(key) else begun.base.tensors[key] for key, value in tensors.items()}
    write_network(
        tensors,
        folder,
        options=begun.options,
        numbers=_numbers(begun.base),
        styles=[{"name": style.name} for style in begun.prepared.styles],
        command="impasto train style",
        training=_told(begun, options) | {"fit": fitting.to_dict()},
        notes=f"learned by {begun.base.card.name}, which its licence ({begun.base.card.licence}) goes back to",
    )
