"""Colour transfer between pictures.

All functions take and give pictures `(b, 3, h, w)`, sRGB-encoded in `[0, 1]`, and work on a copy without gradient. What
falls outside the sRGB gamut is clamped, which shifts the statistics: a strongly coloured reference on a bright or dark
picture is therefore met only nearly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from skimage import color
from torch import Tensor

from impasto.core.errors import ImageError, UnknownName
from impasto.image.strips import by_strips, strips

Floats = NDArray[np.float64]
Change = Callable[[Floats], Floats]
Moments = tuple[Floats, Floats]

# Added to the variances: about one 8-bit level of noise, so that a direction in which a picture has no colour is not
# stretched to the reference's range.
_VARIANCE_FLOOR = 1e-5

_LAB_RANGE = 100  # of lightness, by which chroma is divided to be of the size of RGB
_LARGEST_GAIN = 4  # of a standard deviation, by histogram matching
_LEVELS = np.linspace(-1, 1, (1 << 16) + 1)  # of histograms of Y, I and Q; 0 is one of them
_RANKS, _HUES, _LUMA_LEVELS = 32, 24, 256  # resolution of palettes and tints
_GREY, _COLOURED = 0.01, 0.04  # root mean square chroma: a grey picture with noise or toning, and a coloured one


def luminance(image: Tensor) -> Tensor:
    """Luma Y of YIQ, `(b, 3, h, w)` to `(b, 1, h, w)` in `[0, 1]`; a grey picture gives its grey."""
    return by_strips(lambda strip: _like(strip, color.rgb2yiq(_channels_last(strip))[..., :1]), image)


def with_luminance_of(image: Tensor, luminance_from: Tensor, *, space: str = "yiq") -> Tensor:
    """The chroma of `image` under the luminance of `luminance_from`; both of one size, else `ImageError`.

    To keep a content's colours: `with_luminance_of(content, output)`; to keep its luminance: `with_luminance_of(output,
    content)`. In "yiq" a pixel that would leave the gamut loses saturation and keeps hue and luminance exactly; in
    "lab" it is clamped, and its lightness shifts.
    Gatys et al. 2016, "Preserving color in neural artistic style transfer", arXiv:1606.05897, section 3.2.
    """
    if space not in _JOINS:
        raise UnknownName.of("luminance space", space, known=_JOINS)
    if image.shape != luminance_from.shape:
        sizes = f"{_size(image)} and {_size(luminance_from)}"
        raise ImageError(f"the pictures are {sizes}; luminance moves between pictures of one size. Resize one.")
    join = _JOINS[space]
    return by_strips(lambda a, b: _like(a, join(_channels_last(a), _channels_last(b))), image, luminance_from)


def matched_histogram(image: Tensor, reference: Tensor) -> Tensor:
    """`image` with the value distributions of `reference` on the luminance and chroma axes of YIQ; sizes may differ.

    On these axes a grey reference gives a grey result. Matching red, green and blue one by one, as is usual, would give
    each of them the full range of grey, and so neon colours. No axis is spread to more than four times its standard
    deviation: noise in a grey picture does not become colour. Colours outside the gamut lose saturation.
    `reference` holds one picture, or one for each of `image`.
    Reinhard et al. 2001, "Color transfer between images", for the decorrelated axes.
    """
    return _matched(image, reference, plan=_histogram)


def matched_covariance(image: Tensor, reference: Tensor) -> Tensor:
    """`image` with the colour mean and covariance of `reference`, by a linear map of colours; sizes may differ.

    The map is the symmetric one, `Σ_reference^½ Σ_image^-½`. Both covariances are raised by 1e-5 on the diagonal, so
    that a flat picture becomes the reference's mean colour. `reference` holds one picture, or one for each of `image`.
    Gatys et al. 2017, "Controlling perceptual factors in neural style transfer", section 5; Sun & Saenko 2016, "Deep
    CORAL", with symmetric roots.
    """
    return _matched(image, reference, plan=_covariance)


def matched_chroma(image: Tensor, reference: Tensor) -> Tensor:
    """`image` with the mean and covariance of the chroma of `reference`, in Lab; lightness stays.

    By the symmetric map of `matched_covariance`. `reference` holds one picture, or one for each of `image`.
    """
    return _matched(image, reference, plan=_chroma)


def palette_by_luminance(reference: Tensor) -> Tensor:
    """The prevailing chroma at 32 evenly spaced ranks of luminance, darkest first: `(b, 3, h, w)` to `(b, 2, 32)`.

    The two rows are I and Q of YIQ. At each rank it is the mean of the chroma within 45° of the most frequent hue, by a
    histogram of hues weighted by chroma and smoothed over hues and ranks: a mean over all hues would be grey.
    """
    return torch.stack([torch.from_numpy(_palette(picture)) for picture in _channels_last(reference)])


def tint_of_grey(image: Tensor, palette: Tensor) -> Tensor:
    """The chroma that a grey `image` takes from `palette`, by its luminance: `(b, 2, 256)`, for `tinted`.

    `image` is the whole picture `(b, 3, h, w)`; `palette` is of `palette_by_luminance`, one or one for each. A pixel
    takes the chroma of its rank of luminance, so that a dark and a light picture both use the whole palette. The tint
    is full where the root mean square of the picture's own chroma is below 0.01, and zero from 0.04 on.
    """
    palettes = palette.detach().cpu().expand(image.shape[0], -1, -1).numpy()
    tints = [_tint(picture, colours) for picture, colours in zip(_channels_last(image), palettes, strict=True)]
    return torch.from_numpy(np.stack(tints).astype(np.float32))


def tinted(image: Tensor, tint: Tensor) -> Tensor:
    """`image` `(b, 3, h, w)`, or a strip of it, with `tint` of `tint_of_grey` added; luminance stays as it is."""

    def of_strip(strip: Tensor) -> Tensor:
        rgb = _channels_last(strip)
        chroma = color.rgb2yiq(rgb)
        at = np.linspace(0, 1, tint.shape[-1])
        for picture, table in zip(chroma, tint.detach().cpu().double().numpy(), strict=True):
            light = picture[..., 0]
            for axis in (0, 1):
                picture[..., axis + 1] += np.interp(light, at, table[axis])
        return _like(strip, _join_yiq(color.yiq2rgb(chroma), rgb))

    return by_strips(of_strip, image) if bool((tint != 0).any()) else image


COLOUR_MATCHES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "histogram": matched_histogram,
    "covariance": matched_covariance,
}


def _matched(image: Tensor, reference: Tensor, *, plan: Callable[[Tensor, Tensor], Change]) -> Tensor:
    """Each picture changed by what `plan` makes of it and its reference; both are read in strips of rows."""
    if reference.shape[0] not in (1, image.shape[0]):
        raise ImageError(f"{reference.shape[0]} references for {image.shape[0]} pictures; give 1 or one for each.")
    references = reference.expand(image.shape[0], -1, -1, -1)
    return torch.cat(
        [
            _changed(one, plan(one, other))
            for one, other in zip(torch.split(image, 1), torch.split(references, 1), strict=True)
        ]
    )


def _changed(image: Tensor, change: Change) -> Tensor:
    return by_strips(lambda strip: _like(strip, change(_channels_last(strip))), image)


def _strips_of(image: Tensor) -> Iterator[Floats]:
    """The rows `(1, h, w, 3)` of one picture, some megapixels at a time."""
    for rows in strips(image.shape[-2], image.shape[-1]):
        yield _channels_last(image[..., rows, :])


def _histogram(image: Tensor, reference: Tensor) -> Change:
    counts = zip(_level_counts(image), _level_counts(reference), strict=True)
    tables, slopes = zip(*(_moved_levels(own, wanted) for own, wanted in counts), strict=True)

    def change(rgb: Floats) -> Floats:
        yiq = color.rgb2yiq(rgb)
        levels = _levels(yiq)
        axes = [
            table[levels[..., axis]] + slope * (yiq[..., axis] - _LEVELS[levels[..., axis]])
            for axis, (table, slope) in enumerate(zip(tables, slopes, strict=True))
        ]
        matched = np.stack([axes[0].clip(0, 1), *axes[1:]], axis=-1)
        return _join_yiq(color.yiq2rgb(matched), np.broadcast_to(matched[..., :1], matched.shape))

    return change


def _levels(yiq: Floats) -> NDArray[np.intp]:
    """The number of the level nearest to each value."""
    return np.rint((yiq + 1) / 2 * (len(_LEVELS) - 1)).astype(np.intp).clip(0, len(_LEVELS) - 1)


def _level_counts(image: Tensor) -> NDArray[np.intp]:
    """How many pixels of a picture have each level of Y, I and Q `(3, levels)`."""
    counts = np.zeros((3, len(_LEVELS)), np.intp)
    for rgb in _strips_of(image):
        levels = _levels(color.rgb2yiq(rgb)).reshape(-1, 3)
        counts += np.stack([np.bincount(levels[:, axis], minlength=len(_LEVELS)) for axis in range(3)])
    return counts


def _moved_levels(own: NDArray[np.intp], wanted: NDArray[np.intp]) -> tuple[Floats, float]:
    """The new value of each level of one axis by the counts of picture and reference, and the slope within a level."""
    there = wanted > 0
    matched = np.interp(own.cumsum() / own.sum(), wanted[there].cumsum() / wanted.sum(), _LEVELS[there])
    centre, spread = _mean_and_spread(matched, own)
    own_spread = _mean_and_spread(_LEVELS, own)[1]
    share = min(1, _LARGEST_GAIN * own_spread / max(spread, 1e-12))
    moved: Floats = matched if share == 1 else _mean_and_spread(_LEVELS, wanted)[0] + share * (matched - centre)
    return moved, min(1, spread / max(own_spread, 1e-12))


def _mean_and_spread(values: Floats, counts: NDArray[np.intp]) -> tuple[float, float]:
    mean = np.average(values, weights=counts)
    return float(mean), float(np.sqrt(np.average(np.square(values - mean), weights=counts)))


def _palette(reference: Floats) -> Floats:
    """Chroma `(2, ranks)` that prevails at each rank of luminance of one picture `(h, w, 3)`."""
    light, *chroma = color.rgb2yiq(reference).reshape(-1, 3).T
    strength, hue = np.hypot(*chroma), np.arctan2(chroma[1], chroma[0])
    rank = np.empty(len(light), np.intp)
    rank[np.argsort(light, kind="stable")] = np.arange(len(light)) * _RANKS // len(light)
    cell = ((hue / (2 * np.pi) % 1) * _HUES).astype(np.intp) % _HUES
    counts = np.bincount(rank * _HUES + cell, weights=strength, minlength=_RANKS * _HUES).reshape(_RANKS, _HUES)
    counts = ndimage.gaussian_filter(counts, (2, 1), mode=("nearest", "wrap"))
    prevailing = (counts.argmax(axis=1) + 0.5) * 2 * np.pi / _HUES
    near = np.cos(hue - prevailing[rank]) >= np.cos(np.pi / 4)
    total = np.maximum(np.bincount(rank[near], minlength=_RANKS), 1)
    means = [np.bincount(rank[near], weights=axis[near], minlength=_RANKS) / total for axis in chroma]
    smooth: Floats = ndimage.gaussian_filter1d(np.stack(means), 1.5, axis=1, mode="nearest")
    return smooth


def _tint(image: Floats, palette: Floats) -> Floats:
    """The palette `(2, ranks)` at the luminance levels of one picture `(h, w, 3)`; zero where it is coloured."""
    light, *chroma = color.rgb2yiq(image).reshape(-1, 3).T
    strength = float(np.sqrt(np.mean(np.square(chroma)) * 2))
    share = float(np.clip((_COLOURED - strength) / (_COLOURED - _GREY), 0, 1))
    counts, _ = np.histogram(light, bins=_LUMA_LEVELS, range=(0, 1))
    middle = (counts.cumsum() - counts / 2) / counts.sum()  # rank of the middle of each level
    ranks = (np.arange(palette.shape[1]) + 0.5) / palette.shape[1]
    return share * np.stack([np.interp(middle, ranks, axis) for axis in palette])


def _covariance(image: Tensor, reference: Tensor) -> Change:
    return _linear_map(_moments(image, _unchanged), _moments(reference, _unchanged))


def _chroma(image: Tensor, reference: Tensor) -> Change:
    move = _linear_map(_moments(image, _chroma_of), _moments(reference, _chroma_of))

    def change(rgb: Floats) -> Floats:
        lab = color.rgb2lab(rgb)
        lab[..., 1:] = move(lab[..., 1:] / _LAB_RANGE) * _LAB_RANGE
        return _from_lab(lab)

    return change


def _unchanged(rgb: Floats) -> Floats:
    return rgb


def _chroma_of(rgb: Floats) -> Floats:
    chroma: Floats = color.rgb2lab(rgb)[..., 1:] / _LAB_RANGE
    return chroma


def _linear_map(own: Moments, wanted: Moments) -> Change:
    """The symmetric map from one mean and covariance to another."""
    linear = _power(wanted[1], 0.5) @ _power(own[1], -0.5)

    def change(pixels: Floats) -> Floats:
        moved: Floats = (pixels - own[0]) @ linear.T + wanted[0]
        return moved

    return change


def _moments(image: Tensor, channels: Change) -> Moments:
    """Mean and covariance of the `channels` of a picture; divided by the number of pixels, so one pixel is no case."""
    count, total, products = 0, np.zeros(()), np.zeros(())
    for rgb in _strips_of(image):
        pixels = channels(rgb)
        pixels = pixels.reshape(-1, pixels.shape[-1])
        count, total, products = count + len(pixels), total + pixels.sum(axis=0), products + pixels.T @ pixels
    mean = total / count
    return mean, products / count - np.outer(mean, mean)


def _power(covariance: Floats, exponent: float) -> Floats:
    """Symmetric power of a covariance, raised on its diagonal."""
    values, vectors = np.linalg.eigh(covariance)
    power: Floats = (vectors * (values.clip(min=0) + _VARIANCE_FLOOR) ** exponent) @ vectors.T
    return power


def _join_yiq(chroma: Floats, light: Floats) -> Floats:
    # YIQ is linear and grey lies on its Y axis: to replace Y is to move all three channels by one amount.
    luma = color.rgb2yiq(light)[..., :1]
    away = chroma - color.rgb2yiq(chroma)[..., :1]
    room = np.where(away > 0, 1 - luma, luma) / np.maximum(np.abs(away), 1e-12)
    inside: Floats = luma + away * np.minimum(room.min(axis=-1, keepdims=True), 1)
    return inside


def _join_lab(chroma: Floats, light: Floats) -> Floats:
    joined = color.rgb2lab(chroma)
    joined[..., 0] = color.rgb2lab(light)[..., 0]
    return _from_lab(joined)


def _from_lab(joined: Floats) -> Floats:
    # Above this, Z is negative: no colour has it, and skimage warns. The small number is room for rounding.
    joined[..., 2] = np.minimum(joined[..., 2], 200 * (joined[..., 0] + 16) / 116 - 1e-9)
    rgb: Floats = color.lab2rgb(joined)
    return rgb


_JOINS: dict[str, Callable[[Floats, Floats], Floats]] = {"yiq": _join_yiq, "lab": _join_lab}


def _channels_last(image: Tensor) -> Floats:
    pixels: Floats = image.detach().to("cpu", torch.float64).clamp(0, 1).permute(0, 2, 3, 1).contiguous().numpy()
    return pixels


def _like(image: Tensor, pixels: Floats) -> Tensor:
    """`(b, h, w, c)` back to a float32 picture on the device of `image`, clamped."""
    moved = np.ascontiguousarray(np.moveaxis(pixels.clip(0, 1), -1, 1), dtype=np.float32)
    return torch.from_numpy(moved).to(image.device)


def _size(image: Tensor) -> str:
    batch, _, height, width = image.shape
    return f"{width}×{height} px (batch {batch})"
