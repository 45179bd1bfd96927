"""The objective of one scale: losses and targets for a canvas of this size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from impasto.config.optimise import LossOptions
from impasto.core.errors import OptionError, UnknownName
from impasto.encoders.hypercolumns import with_parts
from impasto.encoders.table import Encoder
from impasto.image.masks import normalised, pooled
from impasto.image.resize import fit, resized
from impasto.image.tiling import NO_WRAPS, Wraps, resized_wrapped
from impasto.losses.content_parts import PLAIN
from impasto.losses.distances import gatys_content
from impasto.losses.smoothness import laplacian_match, total_variation
from impasto.losses.statistics import Statistic
from impasto.losses.table import CONTENT_LOSSES, GATYS, MATCHED_LOSSES, NEAREST, STYLE_LOSSES, MatchedLoss, StyleLoss
from impasto.losses.transport import colours, palette_transport
from impasto.objective.perceptual import FeatureTerm, Perceptual, PixelTerm, out_of_range
from impasto.stylizers.protocol import Mix, Style

RANGE_WEIGHT = 100.0  # holds pixels in [0, 1], so that saving clips little
SHALLOW_WEIGHTS = {1: 0.3, 2: 0.6}
"""Weight of a style layer by its stride, 1 where none stands here. With 1 throughout, 512-px paintings of faces had a
net of fine lines all over, since the first layers ask for the grain of the style's canvas everywhere."""
FLOOR = 0.05  # a layer of the content that is this near to the style already is not magnified further


def check_losses(losses: LossOptions, encoder: Encoder) -> None:
    """Raise where options name a layer or loss that there is not, or give too few or many layer weights."""
    encoder.smallest_px([*losses.content_layers, *losses.style_layers])
    style_loss(losses.style_loss)
    layer_weights(losses, encoder)
    keeps = losses.content_weight > 0 and bool(losses.content_layers)
    if not keeps and not (losses.style_weight > 0 and losses.style_layers):
        raise OptionError(
            "there is no loss to minimise: `content_weight` or `content_layers` is 0 or empty, and so is "
            "`style_weight` or `style_layers`. Give one pair."
        )


def final_losses(losses: LossOptions) -> LossOptions:
    """The losses of the final pass: each layer by itself, with the neighbours of the canvas as it is.

    Kolkin et al. 2022 call this feature splitting.
    """
    layers = tuple(with_parts(losses.style_layers))
    return replace(losses, style_loss=NEAREST.name, style_layers=layers, style_layer_weights=())


def style_loss(name: str) -> StyleLoss | MatchedLoss:
    """The style loss of that name."""
    rows: dict[str, StyleLoss | MatchedLoss] = {**STYLE_LOSSES, **MATCHED_LOSSES, "gatys": GATYS, "nearest": NEAREST}
    if name not in rows:
        raise UnknownName.of("style loss", name, known=rows)
    return rows[name]


def layer_weights(losses: LossOptions, encoder: Encoder) -> tuple[float, ...]:
    """The weight of each style layer; relative ones are scaled to sum 1."""
    given, count = losses.style_layer_weights, len(losses.style_layers)
    if count == 0:
        return ()
    if not given:
        shallow = {} if losses.balance == "absolute" else SHALLOW_WEIGHTS
        given = tuple(shallow.get(encoder.stride(layer), 1.0) for layer in losses.style_layers)
    if len(given) == 1:
        given = given * count
    if len(given) != count:
        raise OptionError(f"`style_layer_weights` has {len(given)} numbers; {count} style layers need {count}, or one.")
    if losses.balance == "absolute":
        return given
    total = sum(given)
    if total <= 0:
        raise OptionError("`style_layer_weights` add up to 0; at least one layer must count.")
    return tuple(weight / total for weight in given)


def objective_for(
    content: Tensor,
    mix: Mix,
    *,
    encoder: Encoder,
    losses: LossOptions,
    strength: float = 1.0,
    canvas: Tensor | None = None,
    wraps: Wraps = NO_WRAPS,
) -> Perceptual:
    """The objective for a canvas of the size of `content` `(1, 3, h, w)`.

    With the relative balance, each style term is divided by its value at the content picture: 1 is a picture that took
    nothing of the style yet, 0 one that took all of it. Content terms are relative to the size of their features. So
    the same weights mean the same for every picture, layer, size and encoder. `canvas` is where painting stands:
    neighbours in the style are those of a mean of its features and the content's. Canvas and content may wrap, style
    pictures do not.
    """
    seen, masks = encoder.wrapped(wraps), masks_of(mix.styles, content, wraps=wraps)
    with torch.no_grad():
        layers = {*losses.content_layers, *losses.style_layers}
        feats = seen(content, layers)
        guide = feats
        if canvas is not None and losses.style_loss in MATCHED_LOSSES:
            so_far = seen(canvas, losses.style_layers)
            guide = {name: torch.lerp(so_far[name], feats[name], losses.neighbour_content) for name in so_far}
        style = _style_terms(
            feats, content=content, mix=mix, masks=masks, guide=guide, encoder=encoder, losses=losses, strength=strength
        )
    distance, layers_of_content = _content_distance(losses), losses.content_layers
    keep = (
        FeatureTerm("content", name, losses.content_weight / len(layers_of_content), partial(distance, target=target))
        for name, target in ((name, feats[name].float()) for name in layers_of_content if losses.content_weight)
    )
    palette = _palette_terms(mix, masks, losses=losses, strength=strength)
    pixels = (*palette, *_pixel_terms(content, losses, strength=strength, wraps=wraps))
    return Perceptual(seen, (*keep, *style), pixels)


def _content_distance(losses: LossOptions) -> Callable[..., Tensor]:
    reduction: Any = losses.content_reduction  # the options allow two of its names
    if losses.balance == "relative":
        return partial(CONTENT_LOSSES[losses.content_loss], reduction=reduction)
    if losses.style_loss == "gatys" and losses.content_loss == "l2":
        return gatys_content
    return partial(PLAIN[losses.content_loss], reduction=reduction)


def _style_terms(
    feats: dict[str, Tensor],
    *,
    content: Tensor,
    mix: Mix,
    masks: Sequence[Tensor | None],
    guide: dict[str, Tensor],
    encoder: Encoder,
    losses: LossOptions,
    strength: float,
) -> tuple[FeatureTerm, ...]:
    weight = losses.style_weight * strength**2
    if weight == 0:
        return ()
    loss = style_loss(losses.style_loss)
    need = encoder.smallest_px(losses.style_layers)
    terms = []
    for style, share, mask in zip(mix.styles, mix.style_weights, masks, strict=True):
        if share == 0:
            continue
        picture = at_scale(style, content.shape[-2:], smallest_px=need)
        targets = _style_targets(loss, picture, guide=guide, encoder=encoder, layers=losses.style_layers)
        for layer, part in zip(losses.style_layers, layer_weights(losses, encoder), strict=True):
            h, w = feats[layer].shape[-2:]
            region = None if mask is None else pooled(mask, (h, w))
            apart = partial(loss, target=targets[layer], weights=region)
            start = max(float(apart(feats[layer])), FLOOR) if losses.balance == "relative" else 1.0
            terms.append(FeatureTerm("style", layer, weight * share * part / start, apart))
    return tuple(terms)


def _style_targets(
    loss: StyleLoss | MatchedLoss, picture: Tensor, *, guide: dict[str, Tensor], encoder: Encoder, layers: Sequence[str]
) -> dict[str, Statistic]:
    """The target of each layer; a matched one is taken from the style picture as it is and turned three times."""
    if isinstance(loss, StyleLoss):
        feats = encoder(picture, layers)
        return {layer: loss.target(feats[layer]) for layer in layers}
    turned = [encoder(picture.rot90(turns, (2, 3)), layers) for turns in range(4)]
    return {layer: loss.match(guide[layer], [feats[layer] for feats in turned]) for layer in layers}


def masks_of(styles: Sequence[Style], content: Tensor, *, wraps: Wraps = NO_WRAPS) -> list[Tensor | None]:
    """The region of each style `(1, 1, h, w)`; they sum to 1 at each pixel. None where there are no masks."""
    given = [style.mask for style in styles if style.mask is not None]
    if not given:
        return [None] * len(styles)
    size = (content.shape[-2], content.shape[-1])
    sized = [resized_wrapped(mask, size, wraps=wraps, mode="bilinear") for mask in given]
    return [share[None] for share in normalised(sized)]


def at_scale(style: Style, canvas_hw: Sequence[int], *, smallest_px: int = 1) -> Tensor:
    """The style picture at the size that gives its strokes the scale asked for on a canvas of `canvas_hw`.

    Its long side is `scale` times the canvas's; it is never enlarged, since there are no finer strokes to be had, and
    its short side is not brought below `smallest_px`, which the encoder needs (a wide picture, or a small scale).
    """
    picture = style.required_picture()
    h, w = picture.shape[-2:]
    long_side = max(1, round(max(canvas_hw) * style.scale))
    size = fit((h, w), long_side_px=long_side, enlarge=False)
    if min(size) < smallest_px:
        size = fit((h, w), short_side_px=smallest_px, enlarge=False)
    return resized(picture, size)


def _palette_terms(
    mix: Mix, masks: Sequence[Tensor | None], *, losses: LossOptions, strength: float
) -> tuple[PixelTerm, ...]:
    weight = losses.palette_weight * strength**2
    return tuple(
        PixelTerm("palette", weight * share, partial(_palette, target=colours(style.required_picture()), mask=mask))
        for style, share, mask in zip(mix.styles, mix.style_weights, masks, strict=True)
        if weight * share > 0
    )


def _palette(image: Tensor, *, target: Statistic, mask: Tensor | None) -> Tensor:
    return palette_transport(colours(image, mask), target)


def pixel_weights(losses: LossOptions, strength: float) -> dict[str, float]:
    """The weights of the losses of pixels, by part."""
    in_range = RANGE_WEIGHT if losses.balance == "relative" else 0.0
    return {"tv": losses.tv_weight * min(strength, 1.0), "laplacian": losses.laplacian_weight, "range": in_range}


def _pixel_terms(content: Tensor, losses: LossOptions, *, strength: float, wraps: Wraps) -> tuple[PixelTerm, ...]:
    laplacian = partial(laplacian_match, content=content, wraps=wraps)
    variation = partial(total_variation, wraps=wraps)
    functions: dict[str, Callable[[Tensor], Tensor]] = {
        "tv": variation, "laplacian": laplacian, "range": out_of_range,
    }  # fmt: skip
    return tuple(PixelTerm(name, weight, functions[name]) for name, weight in pixel_weights(losses, strength).items())
