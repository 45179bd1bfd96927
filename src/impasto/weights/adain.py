"""Reader of AdaIN decoders (Huang & Belongie 2017) with sequentially numbered layers.

The decoder mirrors a VGG-19 cut at `relu4_1` (checkpoint format `adain-vgg`): nine 3×3 convolutions with reflection
padding, ReLUs between them, nearest-neighbour upsampling after the first, fifth and seventh. Our keys are those of
`nets.adain_decoder`: `first`, then `stages.S.I`. Widths are read from the tensors, so narrow variants are supported.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from impasto.core.errors import OptionError, WeightsError, WeightsMismatch
from impasto.weights.card import Card, Loaded, check_shapes
from impasto.weights.checkpoint_format import CheckpointFormat, Origin, own_copy
from impasto.weights.containers import Contents

KIND = "arbitrary"

_OURS = {
    "1": "first",
    "5": "stages.0.0",
    "8": "stages.0.1",
    "11": "stages.0.2",
    "14": "stages.0.3",
    "18": "stages.1.0",
    "21": "stages.1.1",
    "25": "stages.2.0",
    "28": "stages.2.1",
}
"""Our name of each convolution by its number in the sequence, starting with the deepest."""

_STAGES = {"1": (3, 4), "5": (3, 3), "8": (3, 3), "11": (3, 3), "14": (2, 3), "18": (2, 2), "21": (1, 2), "25": (1, 1)}
"""The encoder stages that determine the input and output widths of each convolution; the last one outputs RGB."""

_PUBLISHED = {1: 64, 2: 128, 3: 256, 4: 512}  # default widths, for missing tensors
_MOST = 12  # of the 18 tensors: minimum for recognition as an incomplete decoder


def _matches(contents: Contents) -> bool:
    numbered = all(re.fullmatch(r"\d+\.(weight|bias)", key) for key in contents.tensors)
    known = sum(f"{number}.{part}" in contents.tensors for number in _OURS for part in ("weight", "bias"))
    return numbered and known >= _MOST and "0.weight" not in contents.tensors


def _read(contents: Contents, origin: Origin) -> tuple[dict[str, Tensor], Card]:
    check_shapes(contents.shapes, _needed(_widths(contents.shapes)), where=origin.file_name)
    tensors = {
        f"{ours}.{part}": own_copy(contents.tensors[key := f"{number}.{part}"], key=key, file_name=origin.file_name)
        for number, ours in _OURS.items()
        for part in ("weight", "bias")
    }
    notes = "A decoder: it paints with the encoder that it was trained with."
    return tensors, origin.card(kind=KIND, network={"architecture": "mirrored"}, preprocess="", notes=notes)


def _widths(shapes: Mapping[str, tuple[int, ...]]) -> dict[int, int]:
    """The width of each encoder stage, from the first convolution present that determines it."""
    widths: dict[int, int] = {}
    for number, (out, into) in _STAGES.items():
        shape = shapes.get(f"{number}.weight", ())
        if len(shape) == 4:
            widths.setdefault(out, shape[0])
            widths.setdefault(into, shape[1])
    return _PUBLISHED | widths


def _needed(widths: Mapping[int, int]) -> dict[str, tuple[int, ...]]:
    needed: dict[str, tuple[int, ...]] = {}
    for number in _OURS:
        out, into = _STAGES.get(number, (0, 1))
        width = widths[out] if out else 3
        needed |= {f"{number}.weight": (width, widths[into], 3, 3), f"{number}.bias": (width,)}
    return needed


def with_encoder(decoder: Loaded, encoder: Loaded | None, *, name: str, file_name: str) -> Card:
    """The decoder's card with the encoder `name`; other files need no encoder, and their card is unchanged.

    Raises `OptionError` if an encoder is missing or does not apply, `WeightsError` if it is not one, and
    `WeightsMismatch` where its layers do not match those of the decoder.
    """
    card = decoder.card
    lacking = card.kind == KIND and "encoder" not in card.network
    if not lacking and encoder is None:
        return card
    if not lacking:
        raise OptionError(f"`encoder={name}` does not apply to {file_name}, which is not a decoder. Leave it out.")
    if encoder is None:
        raise OptionError(
            f"{file_name} is a decoder, and paints only with the encoder that it was trained with. Import that first "
            "(impasto models import vgg_normalised.pth), then name it here: `encoder=vgg_normalised`."
        )
    _check_pair(decoder, encoder, name=name, file_name=file_name)
    network = {**card.network, "encoder": {"name": name, "sha256": encoder.sha256}}
    return Card(**{**vars(card), "network": network})


def _check_pair(decoder: Loaded, encoder: Loaded, *, name: str, file_name: str) -> None:
    network: dict[str, Any] = encoder.card.network
    if encoder.card.kind != "encoder" or network.get("architecture") != "vgg":
        raise WeightsError(f"`encoder={name}` is not a VGG encoder ({encoder.card.kind}); {file_name} needs one.")
    stages = [(int(width), int(count)) for width, count in network.get("stages", [])]
    counts = [count for _, count in stages[:3]]
    if len(stages) < 4 or counts != [2, 2, 4]:
        raise WeightsMismatch(
            f"`encoder={name}` has {[count for _, count in stages]} convolutions by stage; {file_name} mirrors a "
            "VGG-19, which has [2, 2, 4, 4, 4], or its beginning up to relu4_1."
        )
    wanted = _needed({stage: width for stage, (width, _) in enumerate(stages[:4], start=1)})
    ours = {f"{_OURS[(at := key.split('.'))[0]]}.{at[1]}": shape for key, shape in wanted.items()}
    check_shapes({key: tuple(value.shape) for key, value in decoder.tensors.items()}, ours, where=file_name)


ROWS = (
    CheckpointFormat(
        name="adain-decoder",
        about="N.weight of the nine convolutions 1, 5, 8 … 28: AdaIN's decoder (decoder.pth, decoder_iter_N.pth.tar)",
        matches=_matches,
        read=_read,
    ),
)
