"""Networks of trained styles, by name or file, ready to paint; the styles of one network blended into one."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from impasto.core.errors import ImageTooSmall, OptionError, UnknownName, WeightsError
from impasto.encoders.precision import compute_dtype
from impasto.encoders.table import Progress
from impasto.image.pixels import Preprocess, preprocess_from
from impasto.nets.architectures import untrained
from impasto.nets.residual import Residual, is_style_param
from impasto.nets.streamed import painted_strips
from impasto.weights import readers
from impasto.weights.card import Card, Loaded, fill
from impasto.weights.catalogue import FAST as KIND

__all__ = ["ARCHITECTURES", "KIND", "FastNetwork", "blended", "built", "loaded"]

ARCHITECTURES: dict[str, Callable[..., Any]] = {"residual": Residual}
"""Builders by the name in a card's `network`; they take plain numbers, `styles` among them.

A network has `smallest_px` a side and so many `styles`; `residual.is_style_param` knows the tensors that are theirs.
"""

RGB = "rgb"  # the range and colours where a card says nothing of them

WHOLE_PX = 1 << 18
"""A larger picture is painted by strips, to the same result. In float32 that is a third faster at 4 megapixels."""

HALF_PX, HALF_BYTES = 1 << 22, 320
"""In bfloat16 strips take twice the time; up to so many pixels are painted whole where there is memory for each."""

MEMORY_BYTES = 2_700_000_000
"""For a large picture, for what is painted, and for features that are kept so as not to be computed again."""


@dataclass(frozen=True, eq=False)
class FastNetwork:
    """A frozen network with its card. It computes in `dtype`.

    `seen` maps a picture to what the network takes, `given` a picture to the range and colours in which it answers. One
    of a single style paints; of several, `of` makes one.
    """

    net: nn.Module
    card: Card
    sha256: str
    seen: Preprocess
    given: Preprocess
    dtype: torch.dtype = torch.float32

    @property
    def name(self) -> str:
        """The name in the card."""
        return self.card.name

    @property
    def styles(self) -> tuple[str, ...]:
        """The names of the styles in the order of their rows; the network's own where its card names none."""
        return tuple(style["name"] for style in self.card.styles) or (self.name,)

    @cached_property
    def base(self) -> str:
        """Hex digest of all but the styles' rows.

        Networks that have it in common differ in their rows only, in whichever files they lie: they can be blended.
        """
        numbers, answer = _numbers(self.card)
        architecture = ARCHITECTURES[numbers["architecture"]]
        whole = {name: entry.default for name, entry in inspect.signature(architecture).parameters.items()}
        whole = {name: value for name, value in whole.items() if value is not inspect.Parameter.empty} | numbers
        whole.pop("styles", None)
        told = [whole, self.card.preprocess or RGB, answer, str(self.dtype)]
        digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
        for key, value in sorted(self.net.state_dict().items()):
            if not is_style_param(key):
                digest.update(f"{key} {tuple(value.shape)} {value.dtype}".encode())
                digest.update(value.cpu().numpy().tobytes())
        return digest.hexdigest()

    def rows(self, style: str) -> dict[str, Tensor]:
        """The scales and shifts of one style, each `(c,)`, by their keys. Raises `UnknownName`."""
        if style not in self.styles:
            raise UnknownName.of(f"style of {self.name}", style, self.styles)
        index = self.styles.index(style)
        found = {key: value for key, value in self.net.state_dict().items() if is_style_param(key)}
        return {key: value if value.ndim == 1 else value[index] for key, value in found.items()}

    def of(self, shares: Mapping[str, float]) -> FastNetwork:
        """The network of one style that is the sum of some of its own, by name, times their shares.

        It has this network's convolutions, not copies of them. The sum of the shares is commonly 1. `UnknownName` is
        raised for any but a style of its own.
        """
        return self.with_rows([(self.rows(name), share) for name, share in shares.items()], list(shares))

    def with_rows(self, rows: Sequence[tuple[Mapping[str, Tensor], float]], names: Sequence[str] = ()) -> FastNetwork:
        """The same convolutions with the weighted sum of `rows`, as `rows()` gives them.

        A style of its own by itself keeps its name.
        """
        summed = {key: torch.stack([share * row[key] for row, share in rows]).sum(0) for key in rows[0][0]}
        with torch.device("meta"):  # what it begins with is never looked at
            net = untrained({**_numbers(self.card)[0], "styles": 1}, ARCHITECTURES, name=self.name)
        net.load_state_dict({**self.net.state_dict(), **summed}, assign=True)
        styles = [style for style in self.card.styles if [style["name"]] == list(names)]
        card = dataclasses.replace(self.card, network={**self.card.network, "styles": 1}, styles=styles)
        return dataclasses.replace(self, net=net.eval().requires_grad_(False), card=card)

    @torch.no_grad()
    def painted(self, image: Tensor, *, memory_bytes: int = MEMORY_BYTES) -> Tensor:
        """The whole `image` `(1, 3, h, w)` in `[0, 1]` repainted and clamped.

        A large one is painted by strips, with so much memory for it, the result, which has its type, and features; less
        makes it slower, down to the features of the smallest size. Any other result is in float32. Raises
        `ImageTooSmall`, and `OptionError` for a network of several styles.
        """
        check_single(self)
        height, width = image.shape[-2:]
        least = int(self.net.smallest_px)  # type: ignore[arg-type]
        if min(height, width) < least:
            raise ImageTooSmall(
                f"the content is {width}×{height} px here; {self.name} needs {least} px a side. Use a larger --size."
            )
        device = next(self.net.parameters()).device
        half = self.dtype == torch.bfloat16
        fits = half and height * width <= min(HALF_PX, memory_bytes // HALF_BYTES)
        if height * width > WHOLE_PX and not fits and isinstance(self.net, Residual):
            with torch.autocast(device.type, torch.bfloat16, enabled=half):
                return self._by_strips(image, self.net, room_bytes=memory_bytes - 2 * image.nbytes)
        shown = self.seen.apply(image.to(device).float())
        if half:  # a half to two thirds of the time; in float32 it takes longer on large pictures
            shown = shown.contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            found = self.net(shown)
        return self.given.inverse().apply(found.float()).clamp_(0, 1).to(image.device)

    def _by_strips(self, image: Tensor, net: Residual, *, room_bytes: int) -> Tensor:
        output, back = torch.empty_like(image), self.given.inverse()
        device = next(net.parameters()).device

        def read(start: int, stop: int) -> Tensor:
            return self.seen.apply(image[..., start:stop, :].to(device).float())

        for rows, strip in painted_strips(net, read, (image.shape[-2], image.shape[-1]), room_bytes=room_bytes):
            output[..., rows, :] = back.apply(strip).clamp_(0, 1)
        return output


def blended(parts: Sequence[tuple[FastNetwork, float]]) -> FastNetwork:
    """One network of one style: the sum of the rows of `parts`, of one style each, times their shares.

    Scales and shifts of several styles, blended, paint what lies between them (Dumoulin et al. 2017, section 3.3).
    Raises `OptionError` for networks of different `base`.
    """
    first = parts[0][0]
    for part, _ in parts:
        check_single(part)
        if part.base != first.base:
            raise OptionError(
                f"{part.name} and {first.name} have other convolutions, so their styles cannot be blended in one pass. "
                "Blend what they paint."
            )
    names = list(dict.fromkeys(part.styles[0] for part, _ in parts))
    return first.with_rows([(part.rows(part.styles[0]), share) for part, share in parts], names)


def check_single(network: FastNetwork) -> None:
    """Raise `OptionError` for a network of several styles, none of which is named."""
    if len(network.styles) > 1:
        raise OptionError(several(network.name, network.styles))


def several(network: str, styles: Sequence[str]) -> str:
    """What to tell about a network of which no style is named."""
    return f"{network} has {len(styles)} styles: {', '.join(styles)}. Name one of them, as {network}#{styles[0]}."


def loaded(name_or_path: str | Path, *, precision: str = "auto", progress: Progress | None = None) -> FastNetwork:
    """The network of a name of `impasto models list` or of a weight file of any known checkpoint format, frozen.

    Raises `UnknownName`, `WeightsError` and its kinds.
    """
    return built(readers.load_weights(name_or_path, progress=progress), precision=precision)


def built(file: Loaded, *, precision: str = "auto") -> FastNetwork:
    """The network that a card and its tensors describe."""
    card = file.card
    if card.kind != KIND:
        raise WeightsError(f"{card.name} is of kind {card.kind}; a trained style, of kind {KIND}, is needed here.")
    numbers, answer = _numbers(card)
    net = untrained(numbers, ARCHITECTURES, name=card.name)
    if len(card.styles) != net.styles and (card.styles or net.styles != 1):
        raise WeightsError(
            f"the card of {card.name} names {len(card.styles)} styles, and its network is of {net.styles}; as many "
            "are needed."
        )
    fill(net, file.tensors, card.name)
    try:
        seen, given = preprocess_from(card.preprocess or RGB), preprocess_from(answer)
        given.inverse()
    except OptionError as error:
        raise WeightsError(f"the card of {card.name} cannot be used: {error}") from error
    dtype = compute_dtype(precision)
    if dtype == torch.bfloat16:
        net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return FastNetwork(net.eval().requires_grad_(False), card, file.sha256, seen, given, dtype)


def _numbers(card: Card) -> tuple[dict[str, Any], Any]:
    """The numbers for the builder, and the range and colours of its answer."""
    numbers = dict(card.network)
    return numbers, numbers.pop("output", RGB)
