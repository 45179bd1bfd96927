"""Training of one more style of a fast network: its norm parameters alone (Dumoulin et al. 2017, section 3.2)."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator
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
from impasto.nets.bands import BANDS
from impasto.nets.codes import code_from
from impasto.nets.fast import KIND
from impasto.nets.layers import PALETTE, is_style_param
from impasto.nets.predicted import PAINTER, Predicted
from impasto.nets.residual import Residual
from impasto.training.checkpoints import averaged
from impasto.training.data import NEVER
from impasto.training.fast import StyledContents, TrainedStyles
from impasto.training.fast_networks import half_precision, network_card
from impasto.training.fast_run import SMALLEST_STYLE_PX, StylePicture, prepare_fast, scaled_style
from impasto.training.fit import CHECKPOINT, Progress
from impasto.training.pictures import Listed
from impasto.training.run import Run, lock_run_config
from impasto.weights import readers
from impasto.weights.card import Card, Loaded, fill

WHOLE = "whole"  # folder of the second part of the training


def train_style(
    picture: Path, options: NewStyleOptions, *, fitting: NewStyleFitOptions, folder: Path
) -> Iterator[Progress]:
    """Teach a network the style of `picture`; `network.safetensors` in `folder` receives this style alone.

    Training starts with the network's most similar style, or with the style that an arbitrary network predicts. It
    changes norm parameters only, so that the result blends with the network's own styles in one pass; `whole_steps`
    more steps change the whole network. It resumes like any training; `WeightsError` for a network of another kind.
    """
    run = prepare_new_style(picture, options, fitting=fitting)
    lock_run_config(folder, run.metadata)
    total = fitting.steps + options.whole_steps
    yield from _counted(run.steps(folder), before=0, total=total)
    if options.whole_steps:
        second = dataclasses.replace(run.fitting, steps=options.whole_steps, learning_rate=options.whole_learning_rate)
        run.task.network.requires_grad_(True)
        fill(run.task.network, averaged(folder / CHECKPOINT), where="the first part")
        (folder / WHOLE).mkdir(exist_ok=True)
        whole = dataclasses.replace(run, fitting=second)
        yield from _counted(whole.steps(folder / WHOLE), before=fitting.steps, total=total)
    run.write(folder, checkpoint=folder / WHOLE / CHECKPOINT if options.whole_steps else None)


def prepare_new_style(picture: Path, options: NewStyleOptions, *, fitting: FastFitOptions) -> Run[TrainedStyles]:
    """The training of the first part: a network with the norm parameters of the style most similar to the picture's."""
    if options.style_weight == 0:
        raise OptionError("`style_weight` is 0, with which no style is learned. Give a larger one, or leave it out.")
    base = _base(options, picture)
    learning = learning_as(base, picture, options=options)
    contents = None if options.contents else [Listed(sample_path(name), name) for name in SAMPLES]
    run = prepare_fast(learning, fitting, network=Residual(**_numbers(base)), contents=contents)
    fill(run.task.network, nearest(base.tensors, run), where=base.card.name)
    whole = {"whole_steps": options.whole_steps, "whole_learning_rate": options.whole_learning_rate}
    metadata = run.metadata | {
        "network": {"name": base.card.name, "sha256": base.sha256},
        "options": run.metadata["options"] | whole,
    }
    card = network_card(
        learning,
        numbers=_numbers(base),
        styles=[{"name": learning.name or picture.stem}],
        command="impasto train style",
        training=metadata | {"fit": run.fitting.to_dict()},
        notes=f"Derived from {base.card.name}, whose licence applies: {base.card.licence}",
    )
    run = of_norm_params(dataclasses.replace(run, metadata=metadata), base, card=card)
    if not options.whole_steps:
        return run
    return dataclasses.replace(run, export=lambda tensors: (half_precision(tensors), card))


def of_norm_params(run: Run[TrainedStyles], base: Loaded, *, card: Card) -> Run[TrainedStyles]:
    """The training of the norm parameters alone, written with the convolutions of `base`.

    These stay equal to the last bit, so that the styles blend with others of the same network.
    """
    for key, parameter in run.task.network.named_parameters():
        parameter.requires_grad_(is_style_param(key))

    def export(tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], Card]:
        return {key: value if is_style_param(key) else base.tensors[key] for key, value in tensors.items()}, card

    return dataclasses.replace(run, export=export)


def _base(options: NewStyleOptions, picture: Path) -> Loaded:
    """The network that learns the style. An arbitrary network becomes the fast one that it predicts for the picture."""
    base = readers.load_weights(options.network)
    if base.card.network.get("architecture") != "predicted":
        return base
    network = nets.network_from(base, nets.encoder_for(base.card, precision="float32"), precision="float32")
    net = network.net
    assert isinstance(net, Predicted)
    pixels = scaled_style(StylePicture(picture, picture.stem), options.style_px or FastTrainOptions().style_px)
    with torch.no_grad():
        params = net.style_params(code_from(network.encoder(pixels, net.code_layers), pixels, net=net))
    painter = {key.removeprefix(PAINTER): value for key, value in base.tensors.items() if key.startswith(PAINTER)}
    card = dataclasses.replace(base.card, kind=KIND, network={"architecture": "residual", **net.numbers})
    return Loaded(card=card, tensors=painter | {key: value[0] for key, value in params.items()}, sha256=base.sha256)


def learning_as(base: Loaded, picture: Path, *, options: NewStyleOptions) -> FastTrainOptions:
    """The options that the network was trained with, updated by `options`.

    Its style loss is computed at fewer sizes where the picture or the crop would be below `SMALLEST_STYLE_PX` at the
    smallest one.
    """
    known = {field.name for field in dataclasses.fields(FastTrainOptions)}
    before = {name: value for name, value in base.card.training.get("options", {}).items() if name in known}
    for other in (
        "contents",
        "styles",
        "validation",
        "start_from",
        "weights",
        "alpha",
        "epochs",
        "multi_style",
        "name",
    ):
        before.pop(other, None)
    given = {name: getattr(options, name) for name in ("content_weight", "style_weight", "style_px", "crop_px")}
    changed = {name: value for name, value in given.items() if value is not None}
    learning = from_dict(
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
    sides = scaled_style(StylePicture(picture, picture.stem), learning.style_px).shape[-2:]
    halvings = int(math.log2(max(1.0, min(*sides, learning.crop_px) / SMALLEST_STYLE_PX)))
    return dataclasses.replace(learning, sizes=min(learning.sizes, 1 + halvings))


def nearest(tensors: dict[str, Tensor], run: Run[TrainedStyles]) -> dict[str, Tensor]:
    """The network's tensors with the style whose paintings have the smallest style loss for the new picture.

    Palette and contrast are those of the new style.
    """
    colours = {key: value.clone() for key, value in run.task.network.state_dict().items() if key in (BANDS, PALETTE)}
    many = max(value.shape[0] if is_style_param(key) and value.ndim == 2 else 1 for key, value in tensors.items())
    batch = run.batches(NEVER)
    batch = StyledContents(batch.contents[:1], batch.weights[:1])  # four took five times as long, with the same order
    candidates = [_style(tensors, index) | colours for index in range(many)]
    losses = [_style_loss(run, candidate, batch=batch) for candidate in candidates]
    return candidates[min(range(many), key=losses.__getitem__)]


@torch.no_grad()
def _style_loss(run: Run[TrainedStyles], tensors: dict[str, Tensor], *, batch: StyledContents) -> float:
    net = run.task.network.eval()  # with the same noise each time
    fill(net, tensors, where="the network")
    return float(run.task.loss(net.to(memory_format=torch.channels_last), batch)["style"])  # type: ignore[call-overload]


def _style(tensors: dict[str, Tensor], index: int) -> dict[str, Tensor]:
    return {key: value[index] if is_style_param(key) and value.ndim == 2 else value for key, value in tensors.items()}


def _numbers(base: Loaded) -> dict[str, Any]:
    if base.card.kind != KIND or base.card.network.get("architecture") != "residual":
        raise WeightsError(f"{base.card.name} is of kind {base.card.kind}; a network of trained styles is needed.")
    if base.card.preprocess not in ("", "rgb") or base.card.network.get("output", "rgb") != "rgb":
        raise WeightsError(f"{base.card.name} does not work in RGB; a network trained by impasto is needed.")
    unused = ("architecture", "output", "styles")
    return {name: value for name, value in base.card.network.items() if name not in unused}


def _counted(steps: Iterator[Progress], *, before: int, total: int) -> Iterator[Progress]:
    """The steps of one part of the training, counted within the whole."""
    with contextlib.closing(steps):  # type: ignore[type-var]
        for progress in steps:
            yield dataclasses.replace(progress, step=before + progress.step, steps=total)
