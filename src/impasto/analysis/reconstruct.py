"""Reconstruction of a picture from the features or the style statistics of an encoder, starting from noise.

From the features of one layer: Mahendran & Vedaldi, Understanding Deep Image Representations by Inverting Them, CVPR
2015. From the style statistics of layers: Gatys, Ecker & Bethge, A Neural Algorithm of Artistic Style, 2015, figure 1.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from impasto.config.analysis import EncoderViewOptions, RebuildOptions, RebuildTarget
from impasto.core.errors import ImageTooSmall, OptionError
from impasto.encoders.table import Encoder, Progress, load_encoder
from impasto.image.files import Picture
from impasto.image.pixels import over_white
from impasto.image.resize import fit, resized
from impasto.losses.smoothness import total_variation
from impasto.losses.table import CONTENT_LOSSES, StyleLoss
from impasto.objective.perceptual import FeatureTerm, Perceptual, PixelTerm, out_of_range
from impasto.stylizers.canvas import first_canvas
from impasto.stylizers.minimise import Lbfgs
from impasto.stylizers.protocol import Mix, Step, Style
from impasto.stylizers.targets import RANGE_WEIGHT, style_loss

STILL_STEPS, STILL_FALL = 12, 0.005  # stop when the loss falls by less than this fraction over so many steps


def rebuilt(
    picture: Tensor, target: RebuildTarget, *, encoder: Encoder, options: RebuildOptions | None = None
) -> Iterator[Step]:
    """Reconstruct `picture` `(1, 3, h, w)` in `[0, 1]` from `target`; yields every step.

    `error_of(step)` is the remaining error. There is one scale only: a coarser start would add information that the
    layer does not have. Ends before `options.steps` if the loss stops falling. Each step costs about one forward and
    one backward pass of the encoder. Raises `OptionError`, `ImageTooSmall`, `NotFinite`.
    """
    options = options or RebuildOptions()
    check_target(target, picture, encoder=encoder)
    objective = rebuild_objective(picture, target, encoder=encoder, options=options)
    generator = torch.Generator().manual_seed(options.seed)
    noise = first_canvas("noise", picture, mix=Mix((Style(picture),)), generator=generator)
    minimiser = Lbfgs(noise, objective, history=options.history)
    recent: deque[float] = deque(maxlen=STILL_STEPS)
    for index in range(1, options.steps + 1):
        losses, note = minimiser.step()
        image = minimiser.best.detach().clamp(0, 1)
        yield Step(index, options.steps, (image.shape[-2], image.shape[-1]), image, losses, note)
        loss = sum(losses.values())
        if len(recent) == STILL_STEPS and loss > (1 - STILL_FALL) * recent[0]:
            return
        recent.append(loss)


def error_of(step: Step) -> float:
    """The relative error of a step: 0 for a perfect reconstruction, 1 for a picture with all-zero features.

    For features it is the squared distance divided by the squared norm of the target; for styles the mean over layers.
    """
    return float(step.losses["content"] if "content" in step.losses else step.losses["style"])


def check_target(target: RebuildTarget, picture: Tensor, *, encoder: Encoder) -> None:
    """Raise `OptionError` unless the target has either features or style, `ImageTooSmall` for a picture too small."""
    if (target.content_layer is None) == (not target.style_layer):
        count = "both" if target.style_layer else "neither"
        raise OptionError(
            f"{count} of `content_layer` and `style_layer` given; name one: a picture is reconstructed from the "
            "features of one layer, or from the style of one or several."
        )
    layers = layers_of(target)
    h, w = picture.shape[-2:]
    if min(h, w) < (need := encoder.smallest_px(layers)):
        deepest = max(layers, key=encoder.stride)
        raise ImageTooSmall(f"the picture is {w}×{h} px; {deepest} needs {need} px a side. Use a larger `size`.")


def layers_of(target: RebuildTarget) -> Sequence[str]:
    """The layers of the target."""
    return target.style_layer or (target.content_layer or "",)


def _statistic_loss(name: str) -> StyleLoss:
    """The style loss of that name. Raises `OptionError` for one that matches neighbours and has no statistic."""
    loss = style_loss(name)
    if not isinstance(loss, StyleLoss):
        raise OptionError(f"the style loss {name} has no statistic to rebuild a picture from. Use `style_loss=gram`.")
    return loss


def rebuild_objective(
    picture: Tensor, target: RebuildTarget, *, encoder: Encoder, options: RebuildOptions
) -> Perceptual:
    """The loss for the features or style of `picture` `(1, 3, h, w)`, with total variation and a penalty on the range.

    Errors are relative to the target, so that one weight of total variation suits all layers and pictures.
    """
    with torch.no_grad():
        feats = encoder(picture, layers_of(target))
    if target.content_layer is not None:
        layer = target.content_layer
        terms = [FeatureTerm("content", layer, 1.0, partial(CONTENT_LOSSES["l2"], target=feats[layer].float()))]
    else:
        loss, weight = _statistic_loss(options.style_loss), 1 / len(target.style_layer)
        targets = {name: loss.target(feats[name]) for name in target.style_layer}
        terms = [FeatureTerm("style", name, weight, partial(loss, target=it)) for name, it in targets.items()]
    smooth = PixelTerm("tv", options.tv_weight, total_variation)
    return Perceptual(encoder, tuple(terms), (PixelTerm("range", RANGE_WEIGHT, out_of_range), smooth))


def encoder_of(view: EncoderViewOptions, *, precision: str = "float32", progress: Progress | None = None) -> Encoder:
    """Load the encoder that the options name; downloads its weights if they are not in the cache."""
    return load_encoder(view.encoder, pooling=view.pooling, precision=precision, progress=progress)


def view_pixels(picture: Picture, view: EncoderViewOptions) -> Tensor:
    """The picture as `(1, 3, h, w)` in `[0, 1]`, over white where transparent, resized to the size in the options."""
    size = fit(picture.size_hw, long_side_px=view.size) if view.size else picture.size_hw
    return resized(over_white(picture.pixels, picture.alpha), size)
