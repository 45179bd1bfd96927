"""Our own weight files: safetensors whose metadata carries a card, which says what the tensors are."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as as_bytes
from torch import Tensor, nn

from impasto.core.errors import WeightsError, WeightsMismatch
from impasto.core.paths import sha256_of, written_whole
from impasto.weights.containers import Contents, open_checkpoint

CARD_KEY = "impasto"


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a weight file is, how to build its network and where it comes from. Every value is plain JSON.

    `network` holds the plain numbers for the builder. For an encoder of the VGG kind: `{"architecture": "vgg",
    "stages": [[width, convolutions], …], "padding": "zeros" | "reflect", "pooling": "max" | "average",
    "ceil_mode": bool}`. `preprocess` is the name of an input normalisation (empty: none), or
    `{"matrix": 3×3, "offset": [3]}` for `matrix @ rgb + offset` with rgb in [0, 1]. `layer_scale` is the mean
    activation of each layer, as far as it is known. `styles` are those that a network has learned, in the order of its
    rows: each a `name` and whatever else there is to say (`about`).
    """

    kind: str
    name: str
    network: dict[str, Any]
    preprocess: str | dict[str, Any] = ""
    licence: str = "see source"
    source: str = ""
    training: dict[str, Any] = field(default_factory=dict)
    measures: dict[str, Any] = field(default_factory=dict)
    notes: str = ""
    layer_scale: dict[str, float] = field(default_factory=dict)
    styles: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for entry in dataclasses.fields(self):
            value = _plain(getattr(self, entry.name), entry.name)
            object.__setattr__(self, entry.name, value)
            if not isinstance(value, _TYPES[entry.name]):
                raise WeightsError(f"the card's {entry.name} is {value!r}; {_wanted(entry.name)} is needed.")
        if not self.kind or not self.name:
            raise WeightsError(f"the card has kind {self.kind!r} and name {self.name!r}; neither may be empty.")
        if isinstance(self.preprocess, dict):
            _check_affine(self.preprocess)
        for layer, scale in self.layer_scale.items():
            if not _is_number(scale):
                raise WeightsError(f"the card's layer_scale of {layer} is {scale!r}; a number is needed.")
        names = [style.get("name") if isinstance(style, dict) else None for style in self.styles]
        if not all(isinstance(name, str) and name for name in names) or len(set(names)) < len(names):
            raise WeightsError(f"the card's styles are named {names!r}; each needs a name of its own.")

    def to_json(self) -> str:
        """One line of JSON with sorted keys."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str, where: str) -> Card:
        """The card that `to_json` wrote; `where` names the file in errors."""
        try:
            found = json.loads(text)
        except ValueError as error:
            raise WeightsError(f"the card in {where} is not JSON ({error}); the file is damaged.") from error
        if not isinstance(found, dict):
            raise WeightsError(f"the card in {where} is a {type(found).__name__}; a JSON object is needed.")
        unknown = sorted(found.keys() - _TYPES.keys())
        missing = sorted({"kind", "name", "network"} - found.keys())
        if unknown or missing:
            raise WeightsError(
                f"the card in {where} has unknown fields {unknown} and lacks {missing}; "
                "it may be written by a newer impasto: upgrade."
            )
        try:
            return cls(**found)
        except WeightsError as error:
            raise WeightsError(f"{where}: {error}") from error


_TYPES: dict[str, tuple[type, ...]] = {
    "kind": (str,),
    "name": (str,),
    "network": (dict,),
    "preprocess": (str, dict),
    "licence": (str,),
    "source": (str,),
    "training": (dict,),
    "measures": (dict,),
    "notes": (str,),
    "layer_scale": (dict,),
    "styles": (list,),
}


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A weight file in memory: its card, its tensors on the CPU, and the sha256 of the file's bytes."""

    card: Card
    tensors: dict[str, Tensor]
    sha256: str


def save(path: Path, tensors: Mapping[str, Tensor], card: Card) -> None:
    """Write tensors and card as safetensors; equal input gives equal bytes. Nothing is left half written."""
    whole = {key: tensor.detach().cpu().contiguous().clone() for key, tensor in tensors.items()}
    with written_whole(path) as temporary:
        # one key: the order of more is random; and as bytes, since `save_file` makes files that only their owner reads
        temporary.write_bytes(as_bytes(whole, metadata={CARD_KEY: card.to_json()}))


def load(path: Path) -> Loaded:
    """One of our own files. Raises `WeightsError` for any other; `readers.read_checkpoint` reads those."""
    contents = open_checkpoint(path)
    return Loaded(card=card_in(contents, path.name), tensors=contents.tensors, sha256=sha256_of(path))


def card_of(path: Path) -> Card | None:
    """The card of one of our own files, from its header alone; None for what is not one, or no file."""
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            text = (file.metadata() or {}).get(CARD_KEY)
        return None if text is None else Card.from_json(text, path.name)
    except (SafetensorError, OSError, WeightsError):
        return None


def card_in(contents: Contents, where: str) -> Card:
    """The card in a file's metadata; `where` names the file in errors."""
    text = contents.metadata.get(CARD_KEY)
    if text is None:
        raise WeightsError(f"{where} has no impasto card, so what it holds is not known; import it first.")
    return Card.from_json(text, where)


def check_shapes(found: Mapping[str, tuple[int, ...]], needed: Mapping[str, tuple[int, ...]], where: str) -> None:
    """Raise `WeightsMismatch` with every missing, unexpected and misshapen tensor when `found` is not `needed`."""
    missing = [f"{key} {tuple(needed[key])}" for key in needed if key not in found]
    unexpected = [f"{key} {tuple(found[key])}" for key in found if key not in needed]
    shapes = [
        f"{key} is {tuple(found[key])}, {tuple(needed[key])} needed"
        for key in needed
        if key in found and tuple(found[key]) != tuple(needed[key])
    ]
    parts = [
        f"{what}: {', '.join(items)}"
        for what, items in (("missing", missing), ("unexpected", unexpected), ("other shape", shapes))
        if items
    ]
    if parts:
        raise WeightsMismatch(f"{where} does not fit the network. {'; '.join(parts)}.")


def fill(module: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Give `module` the tensors as float32. `WeightsMismatch` with every key that differs; then nothing is changed."""
    needed = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    check_shapes({key: tuple(value.shape) for key, value in tensors.items()}, needed, where)
    module.load_state_dict(
        {key: value.float() if value.is_floating_point() else value for key, value in tensors.items()}
    )


def _plain(value: Any, name: str) -> Any:
    """A copy in JSON's own types: tuples become lists, and nobody else holds a reference to it."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise WeightsError(f"the card's {name} cannot be written as JSON: {error}.") from error


def _wanted(name: str) -> str:
    return " or ".join(kind.__name__ for kind in _TYPES[name])


def _check_affine(preprocess: dict[str, Any]) -> None:
    matrix, offset = preprocess.get("matrix"), preprocess.get("offset")
    rows = matrix if isinstance(matrix, list) and len(matrix) == 3 else [None]
    if set(preprocess) != {"matrix", "offset"} or not all(_is_triple(row) for row in [*rows, offset]):
        raise WeightsError(
            f"the card's preprocess is {preprocess!r}; a name, or a 3 by 3 'matrix' and an 'offset' of 3 is needed."
        )


def _is_triple(row: Any) -> bool:
    return isinstance(row, list) and len(row) == 3 and all(_is_number(value) for value in row)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
