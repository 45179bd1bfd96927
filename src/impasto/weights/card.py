"""Our own weight files: safetensors with a card in the metadata, which describes the tensors."""

from __future__ import annotations

import dataclasses
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as as_bytes
from torch import Tensor, nn

from impasto.core.errors import WeightsError, WeightsMismatch
from impasto.core.paths import sha256_of, written_whole
from impasto.weights.containers import Contents, open_checkpoint
from impasto.weights.signatures import check_regular

CARD_KEY = "impasto"

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

LISTED = 6
"""Tensors of each kind that a message lists."""

LARGEST_NUMBER, LONGEST_LIST = 4096, 256
"""Of a card's network: a width, and the stages or layers."""

T = TypeVar("T", bound=nn.Module)


@dataclass(frozen=True, kw_only=True)
class Card:
    """The description of a weight file: kind, network and origin. Every value is plain JSON.

    `network` holds the plain numbers for the builder. For an encoder of the VGG kind: `{"architecture": "vgg",
    "stages": [[width, convolutions], …], "padding": "zeros" | "reflect", "pooling": "max" | "average",
    "ceil_mode": bool}`. `preprocess` is the name of an input normalisation (empty: none), or
    `{"matrix": 3×3, "offset": [3]}` for `matrix @ rgb + offset` with rgb in [0, 1]. `layer_scale` is the mean
    activation of each layer, if known. `styles` are the trained styles of a network, in the order of its rows, each
    with a `name` and optional entries (`about`).
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
        _check_sizes(self.network, self.name)
        if isinstance(self.preprocess, dict):
            _check_affine(self.preprocess)
        for layer, scale in self.layer_scale.items():
            if not _is_number(scale):
                raise WeightsError(f"the card's layer_scale of {layer} is {scale!r}; a number is needed.")
        names = [style.get("name") if isinstance(style, dict) else None for style in self.styles]
        if not all(isinstance(name, str) and name for name in names) or len(set(names)) < len(names):
            raise WeightsError(f"the card's styles are named {names!r}; unique names are needed.")

    def to_json(self) -> str:
        """One line of JSON with sorted keys."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str, where: str) -> Card:
        """The card that `to_json` wrote; `where` names the file in errors."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise WeightsError(f"the card in {where} is not JSON ({error}); the file is damaged.") from error
        if not isinstance(values, dict):
            raise WeightsError(f"the card in {where} is a {type(values).__name__}; a JSON object is needed.")
        unknown = sorted(values.keys() - _TYPES.keys())
        missing = sorted({"kind", "name", "network"} - values.keys())
        if unknown or missing:
            raise WeightsError(
                f"the card in {where} has the unknown fields {unknown}, and {missing} are missing; "
                "it may be from a newer impasto: upgrade."
            )
        try:
            return cls(**values)
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


def save(path: Path, tensors: Mapping[str, Tensor], *, card: Card) -> None:
    """Write tensors and card as safetensors; equal input gives equal bytes. Nothing is left half written."""
    whole = {key: tensor.detach().cpu().contiguous().clone() for key, tensor in tensors.items()}
    with written_whole(path) as temporary:
        # one key: the order of more is random; and as bytes, since `save_file` makes files that only their owner reads
        temporary.write_bytes(as_bytes(whole, metadata={CARD_KEY: card.to_json()}))


def load(path: Path) -> Loaded:
    """One of our own files. Raises `WeightsError` for any other; `readers.read_checkpoint` reads those."""
    contents = open_checkpoint(path)
    for key, tensor in contents.tensors.items():
        check_values(tensor, key=key, file_name=path.name)
    return Loaded(card=card_in(contents, path.name), tensors=contents.tensors, sha256=sha256_of(path))


def check_values(tensor: Tensor, *, key: str, file_name: str) -> None:
    """Raise `WeightsError` unless all values of a tensor are finite floats."""
    if tensor.dtype not in _FLOATS or not bool(torch.isfinite(tensor).all()):
        raise WeightsError(f"{key} in {file_name} is not all finite floats ({tensor.dtype}); the file is damaged.")


def card_of(path: Path) -> Card | None:
    """The card of one of our own files, from its header alone; None for any other file, and for a missing one."""
    try:
        check_regular(path)
        with safe_open(path, framework="pt", device="cpu") as file:
            text = (file.metadata() or {}).get(CARD_KEY)
        return None if text is None else Card.from_json(text, path.name)
    except (SafetensorError, OSError, WeightsError):
        return None


def card_in(contents: Contents, where: str) -> Card:
    """The card in a file's metadata; `where` names the file in errors."""
    text = contents.metadata.get(CARD_KEY)
    if text is None:
        raise WeightsError(f"{where} has no impasto card, so its contents are unknown; import it first.")
    return Card.from_json(text, where)


def check_shapes(given: Mapping[str, tuple[int, ...]], needed: Mapping[str, tuple[int, ...]], *, where: str) -> None:
    """Raise `WeightsMismatch` with the missing, unexpected and misshapen tensors when `given` is not `needed`.

    Of each kind the first few are listed and the others counted: for another architecture they are hundreds.
    """
    missing = [f"{key} {tuple(needed[key])}" for key in needed if key not in given]
    unexpected = [f"{key} {tuple(given[key])}" for key in given if key not in needed]
    shapes = [
        f"{key} is {tuple(given[key])}, {tuple(needed[key])} needed"
        for key in needed
        if key in given and tuple(given[key]) != tuple(needed[key])
    ]
    parts = [
        f"{title}: {_shortened(items)}"
        for title, items in (("missing", missing), ("unexpected", unexpected), ("other shape", shapes))
        if items
    ]
    if parts:
        same = len(needed.keys() & given.keys())
        other = " It is of another architecture." if not same else ""
        raise WeightsMismatch(f"{where} does not fit the network.{other} {'; '.join(parts)}.")


def _shortened(items: Sequence[str]) -> str:
    more = f" and {len(items) - LISTED} more" if len(items) > LISTED else ""
    return ", ".join(items[:LISTED]) + more


def filled(
    build: Callable[[], T],
    tensors: Mapping[str, Tensor],
    *,
    where: str,
    part: Callable[[T], nn.Module] = lambda module: module,
) -> T:
    """The module of `build` with the tensors as float32, in the `part` of it that they are of.

    It is built without memory first, so that a card that describes a huge network is refused before any is allocated.
    Raises `WeightsMismatch`.
    """
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about empty tensors of a damaged card
        needed = {key: tuple(value.shape) for key, value in part(build()).state_dict().items()}
    check_shapes({key: tuple(value.shape) for key, value in tensors.items()}, needed, where=where)
    module = build()
    fill(part(module), tensors, where=where)
    return module


def fill(module: nn.Module, tensors: Mapping[str, Tensor], *, where: str) -> None:
    """Give `module` the tensors as float32. `WeightsMismatch` with every key that differs; then nothing is changed."""
    needed = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    check_shapes({key: tuple(value.shape) for key, value in tensors.items()}, needed, where=where)
    module.load_state_dict(
        {key: value.float() if value.is_floating_point() else value for key, value in tensors.items()}
    )


def _plain(value: Any, name: str) -> Any:
    """A copy in JSON's own types: tuples become lists, without shared references."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise WeightsError(f"the card's {name} cannot be written as JSON: {error}.") from error


def _check_sizes(value: Any, name: str) -> None:
    """Raise `WeightsError` for numbers and lists far beyond any network's."""
    if isinstance(value, dict | list) and len(value) > LONGEST_LIST:
        raise WeightsError(f"the card of {name} has a list of {len(value)} in its network; at most {LONGEST_LIST} fit.")
    if isinstance(value, int | float) and abs(value) > LARGEST_NUMBER:
        raise WeightsError(f"the card of {name} has {value} in its network; at most {LARGEST_NUMBER} fits.")
    for entry in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_sizes(entry, name)


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
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e30
