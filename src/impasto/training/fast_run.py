"""Training of fast networks, from options to a weight file.

Johnson, Alahi & Fei-Fei 2016, "Perceptual losses for real-time style transfer and super-resolution"; Dumoulin, Shlens
& Kudlur 2017, "A learned representation for artistic style" (several styles in one network).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto.config.fast_training import FastFitOptions, FastTrainOptions
from impasto.core.errors import DataError, ImageError, ImageTooSmall, OptionError
from impasto.core.paths import sha256_of
from impasto.encoders import table as encoders
from impasto.encoders.table import Encoder
from impasto.image import files
from impasto.image.resize import fit, resized
from impasto.nets.residual import Residual
from impasto.training import sources
from impasto.training.data import Crops, centre_crop
from impasto.training.fast import StyleBatches, TrainedStyles, targets_of
from impasto.training.fast_networks import init_palette, network_run, style_weights, untrained_residual
from impasto.training.fit import resolved
from impasto.training.image_dataset import ImageDataset
from impasto.training.pictures import Listed, listed
from impasto.training.run import Run, training_metadata, with_epochs

SMALLEST_STYLE_PX = 64  # smaller pictures leave too few places in deep layers for statistics

USUAL_WEIGHTS = (0.3, 0.6, 1.0, 1.0, 1.0)  # of style layers, as for the network in the package


@dataclass(frozen=True)
class StylePicture:
    """The picture of a style, with its name and description for the card."""

    path: Path
    name: str
    about: str = ""


def prepare_fast(
    options: FastTrainOptions,
    fitting: FastFitOptions,
    *,
    network: Residual | None = None,
    contents: Sequence[Listed] | None = None,
) -> Run[TrainedStyles]:
    """The training of a fast network; `network` and `contents` replace those of the options."""
    fitting = resolved(fitting)
    check_objective(options)
    styles = styles_in(options.styles)
    weights = _style_weights(options, len(styles))
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers are not affected
        encoder = encoders.load_encoder(options.encoder, pooling=options.pooling, precision=fitting.precision)
        names = [style.name for style in styles]
        net = untrained_residual(options, names, seed=fitting.seed) if network is None else network
    content_layers, style_layers = _layers(options, encoder)
    layers = [*content_layers, *style_layers]
    smallest_px = max(net.smallest_px, encoder.smallest_px(list(style_layers)) * 2 ** (options.sizes - 1))
    sources.check_size(options.crop_px, encoder, layers=layers, stride=net.stride, smallest_px=smallest_px)
    pictures = [scaled_style(style, options.style_px) for style in styles]
    init_palette(net, pictures, weights=weights)
    every = sources.listed_in("contents", options.contents) if contents is None else contents
    shown, used = sources.held_out(every, options.validation)
    fitting = with_epochs(fitting, options.epochs, pictures=len(used))
    dataset = sources.dataset(used, short_side_px=options.short_side_px, memory_gb=options.memory_gb)
    samples = _shown(shown, pictures, options=options) if fitting.sample_every else None
    task = _task(options, net, encoder=encoder, pictures=pictures, shown=samples)
    metadata = _metadata(options, styles, encoder=encoder, used=used)
    return network_run(
        task,
        _batches(dataset, options, fitting=fitting, weights=weights),
        options=options,
        fitting=fitting,
        metadata=metadata,
        styles=[{"name": style.name} | ({"about": style.about} if style.about else {}) for style in styles],
        command="impasto train fast",
        datasets=(dataset,),
    )


def _batches(
    dataset: ImageDataset, options: FastTrainOptions, *, fitting: FastFitOptions, weights: tuple[float, ...]
) -> StyleBatches:
    crops = Crops(dataset, fitting.batch_size, options.crop_px, fitting.seed, smallest_crop=options.smallest_crop)
    return StyleBatches(contents=crops, weights=weights, multi_style=options.multi_style, every=options.alternate_every)


def _task(
    options: FastTrainOptions,
    net: Residual,
    *,
    encoder: Encoder,
    pictures: Sequence[Tensor],
    shown: tuple[Tensor, Sequence[Tensor]] | None,
) -> TrainedStyles:
    content_layers, style_layers = _layers(options, encoder)
    return TrainedStyles(
        network=net,
        encoder=encoder,
        targets=[
            targets_of(pictures, encoder, layers=tuple(style_layers), losses=losses_of(options), level=level)
            for level in range(options.sizes)
        ],
        weights=sources.loss_weights(options, range=10 * max(1.0, options.content_weight)),
        content_layers=content_layers,
        style_layers=style_layers,
        scale=options.loss_scale,
        normalise_content=options.normalise_content,
        shown=shown,
    )


def _metadata(
    options: FastTrainOptions, styles: Sequence[StylePicture], *, encoder: Encoder, used: Sequence[Listed]
) -> dict[str, Any]:
    counts = {
        "pictures": {"contents": len(used), "names_sha256": sources.digest(used)},
        "styles_sha256": [sha256_of(style.path) for style in styles],
        "encoder_sha256": encoder.sha256,
    }
    return training_metadata(options, counts=counts, styles=[style.name for style in styles], encoder=encoder.name)


def styles_in(given: Sequence[Path]) -> tuple[StylePicture, ...]:
    """The style pictures of files, folders and CSVs (columns path and, optionally, name and about).

    Raises `OptionError` for no styles or two of the same name, `DataError` for other sources.
    """
    if not given:
        raise OptionError("`styles` is missing: name a picture, a folder of pictures, or a CSV.")
    styles = list[StylePicture]()
    for source in given:
        if source.suffix.lower() == ".csv" or source.is_dir():
            styles += [
                StylePicture(item.path, item.row.get("name") or item.path.stem, item.row.get("about") or "")
                for item in listed(source)
            ]
        elif source.is_file():
            styles.append(StylePicture(source, source.stem))
        else:
            raise DataError(f"{source} does not exist: a style is a picture, a folder of pictures or a CSV.")
    names = [style.name for style in styles]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise OptionError(f"two styles are named {', '.join(twice)}. Give each file another name, or a CSV with names.")
    return tuple(styles)


def check_objective(options: FastTrainOptions) -> None:
    """Raise `OptionError` for options of the losses that contradict each other."""
    sources.check_style_losses(options.style_losses)
    if options.loss_scale == "papers" and losses_of(options) != ("gram",):
        raise OptionError("`loss_scale=papers` supports Gram matrices only. Leave `style_losses` out.")
    if not (options.content_weight or options.style_weight):
        raise OptionError("the weights of content and style are both 0. Give one that is above 0.")


def _layers(options: FastTrainOptions, encoder: Encoder) -> tuple[dict[str, float], dict[str, float]]:
    """Layers of content and style with their weights; the encoder's own without an option."""
    content_layers = options.content_layers or encoder.defaults.content
    style_layers = options.style_layers or encoder.defaults.style
    usual = USUAL_WEIGHTS if options.loss_scale == "relative" and len(style_layers) == len(USUAL_WEIGHTS) else (1.0,)
    return (
        sources.evenly("content_layers", content_layers),
        sources.weighted("style_layers", style_layers, weights=options.style_layer_weights or usual),
    )


def losses_of(options: FastTrainOptions) -> tuple[str, ...]:
    """The style losses, which are added."""
    return options.style_losses or (("gram",) if options.loss_scale == "papers" else ("mean-std", "gram"))


def _style_weights(options: FastTrainOptions, count: int) -> tuple[float, ...]:
    if options.alpha is None:
        return style_weights(options, count)
    if count != 2 or options.weights != (1.0,):
        raise OptionError(
            f"`alpha` weights two styles; there are {count}, and `weights` is {options.weights}. Give two "
            "styles and no `weights`, or a weight for each style by `weights`."
        )
    return (options.alpha, 1 - options.alpha)


def scaled_style(style: StylePicture, style_px: int) -> Tensor:
    """The style's picture `(1, 3, h, w)`, scaled down to a short side of `style_px`."""
    try:
        pixels = files.read(style.path).opaque
    except ImageError as error:
        raise type(error)(f"the style {style.name} cannot be read: {error}") from error
    height, width = pixels.shape[-2:]
    if min(height, width) < SMALLEST_STYLE_PX:
        raise ImageTooSmall(f"the style {style.name} is {width}×{height} px; {SMALLEST_STYLE_PX} px a side are needed.")
    return resized(pixels, fit((height, width), short_side_px=style_px, enlarge=False))


def _shown(
    held: Sequence[Listed], pictures: Sequence[Tensor], *, options: FastTrainOptions
) -> tuple[Tensor, list[Tensor]]:
    pictures_shown = sources.dataset(held, short_side_px=options.short_side_px, memory_gb=1)
    contents = torch.cat([centre_crop(picture, options.crop_px) for picture in pictures_shown])
    return contents, [_square(picture, options.crop_px) for picture in pictures]


def _square(picture: Tensor, side_px: int) -> Tensor:
    side = min(picture.shape[-2:])
    top, left = ((length - side) // 2 for length in picture.shape[-2:])
    return resized(picture[..., top : top + side, left : left + side], (side_px, side_px))
