"""Fast networks by name or file, ready to paint; trained styles of one network blended into one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto.core.errors import OptionError, UnknownName, WeightsError
from impasto.encoders.precision import compute_dtype
from impasto.encoders.table import Progress
from impasto.image.pixels import Preprocess, preprocess_from
from impasto.nets.architectures import base_of, untrained
from impasto.nets.layers import is_style_param, mixed_params
from impasto.nets.painting import RGB, Painter, with_params
from impasto.nets.residual import Residual
from impasto.weights import readers
from impasto.weights.card import Card, Loaded, filled
from impasto.weights.catalogue import FAST as KIND

__all__ = ["ARCHITECTURES", "KIND", "FastNetwork", "blended", "fast_network_from", "load_fast_network"]

ARCHITECTURES: dict[str, Callable[..., Any]] = {"residual": Residual}
"""Builders by the name in a card's `network`; they take plain numbers, `styles` among them.

A network satisfies `protocol.OneStyle` where it has one of its `styles`; `layers.is_style_param` knows their tensors. A
new fast network is a file and a row here.
"""


@dataclass(frozen=True, eq=False)
class FastNetwork:
    """A frozen network with its card. It computes in `dtype`.

    `preprocess` maps RGB in `[0, 1]` to the network's input range, `postprocess` to the range of its output, from which
    pictures are brought back. A network of one style paints; `of` makes one of several styles.
    """

    net: Any
    card: Card
    sha256: str
    preprocess: Preprocess
    postprocess: Preprocess
    dtype: torch.dtype = torch.float32

    @property
    def name(self) -> str:
        """The name in the card."""
        return self.card.name

    @property
    def styles(self) -> tuple[str, ...]:
        """The names of the styles, in the order of their parameters; the network's own where its card names none."""
        return tuple(style["name"] for style in self.card.styles) or (self.name,)

    @cached_property
    def base(self) -> str:
        """Hex digest of everything but the styles' norm parameters.

        Networks with the same digest can be blended, in whichever files they lie.
        """
        options, output = _options(self.card)
        more = [self.card.preprocess or RGB, output, str(self.dtype)]
        return base_of(self.net, options, builder=ARCHITECTURES[options["architecture"]], more=more)

    def style_params(self, style: str) -> dict[str, Tensor]:
        """The norm parameters and colours of one style, each `(c,)`, by their keys. Raises `UnknownName`."""
        if style not in self.styles:
            raise UnknownName.of(f"style of {self.name}", style, known=self.styles)
        index = self.styles.index(style)
        params = {key: value for key, value in self.net.state_dict().items() if is_style_param(key)}
        return {key: value if value.ndim == 1 else value[index] for key, value in params.items()}

    def of(self, style_weights: Mapping[str, float]) -> FastNetwork:
        """The network of a single style: the weighted sum of some of its styles, by name.

        It shares this network's convolutions. The weights commonly add up to 1. Raises `UnknownName`.
        """
        parts = [(self.style_params(name), weight) for name, weight in style_weights.items()]
        return self.with_style_params(parts, list(style_weights))

    def with_style_params(
        self, parts: Sequence[tuple[Mapping[str, Tensor], float]], names: Sequence[str] = ()
    ) -> FastNetwork:
        """The same convolutions with the weighted sum of style parameters, as `style_params()` gives them.

        A style of its own by itself keeps its name.
        """
        weights = [weight for _, weight in parts]
        params = {key: mixed_params(key, [part[key] for part, _ in parts], weights=weights) for key in parts[0][0]}
        options = {**_options(self.card)[0], "styles": 1}
        net = with_params(lambda: untrained(options, ARCHITECTURES, name=self.name), self.net, params=params)
        styles = [style for style in self.card.styles if [style["name"]] == list(names)]
        card = dataclasses.replace(self.card, network={**self.card.network, "styles": 1}, styles=styles)
        return dataclasses.replace(self, net=net, card=card)

    @cached_property
    def painter(self) -> Painter:
        """The network as a painter of whole pictures; `OptionError` for a network of several styles."""
        check_single(self)
        device = next(self.net.parameters()).device
        return Painter(self.net, self.name, self.preprocess, self.postprocess, self.dtype, device)


def blended(parts: Sequence[tuple[FastNetwork, float]]) -> FastNetwork:
    """One network of one style: the weighted sum of the norm parameters of `parts`, networks of one style each.

    It paints between the styles (Dumoulin et al. 2017, section 3.3). Raises `OptionError` for networks of different
    `base`.
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
    return first.with_style_params([(part.style_params(part.styles[0]), weight) for part, weight in parts], names)


def check_single(network: FastNetwork) -> None:
    """Raise `OptionError` for a network of several styles, none of which is named."""
    if len(network.styles) > 1:
        raise OptionError(several(network.name, network.styles))


def several(network: str, styles: Sequence[str]) -> str:
    """The message for a network of several styles, none of which is named."""
    return f"{network} has {len(styles)} styles: {', '.join(styles)}. Name one of them, as {network}#{styles[0]}."


def load_fast_network(
    name_or_path: str | Path, *, precision: str = "auto", progress: Progress | None = None
) -> FastNetwork:
    """The network of a name of `impasto models list` or of a weight file of any known checkpoint format, frozen.

    Raises `UnknownName`, `WeightsError` and its kinds.
    """
    return fast_network_from(readers.load_weights(name_or_path, progress=progress), precision=precision)


def fast_network_from(file: Loaded, *, precision: str = "auto") -> FastNetwork:
    """The network that a card and its tensors describe."""
    card = file.card
    if card.kind != KIND:
        raise WeightsError(f"{card.name} is of kind {card.kind}; a trained style, of kind {KIND}, is needed here.")
    options, output = _options(card)
    net = filled(lambda: untrained(options, ARCHITECTURES, name=card.name), file.tensors, where=card.name)
    if len(card.styles) != net.styles and (card.styles or net.styles != 1):
        raise WeightsError(
            f"the card of {card.name} names {len(card.styles)} styles, and its network is of {net.styles}; as many "
            "are needed."
        )
    try:
        preprocess, postprocess = preprocess_from(card.preprocess or RGB), preprocess_from(output)
        postprocess.inverse()
    except (OptionError, TypeError) as error:
        raise WeightsError(f"the card of {card.name} cannot be used: {error}") from error
    # Imported networks differ by up to 136 of 255 levels in bfloat16 on smooth areas; ours were trained with it.
    dtype = torch.float32 if precision == "auto" and not card.training else compute_dtype(precision)
    net = net.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return FastNetwork(net, card, file.sha256, preprocess, postprocess, dtype)


def _options(card: Card) -> tuple[dict[str, Any], Any]:
    """The options for the builder, and the range and colour order of the output."""
    options = dict(card.network)
    return options, options.pop("output", RGB)
