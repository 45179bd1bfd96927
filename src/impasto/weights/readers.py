"""Weight files of any known dialect, read into our own form.

Add a dialect: one row in a file like `vgg.py`, joined here.
"""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path

from torch import Tensor

from impasto.core.errors import UnknownName, WeightsError
from impasto.weights import adain, johnson, squeezenet, vgg
from impasto.weights.arrays import digest_of
from impasto.weights.card import CARD_KEY, Card, Loaded, card_in, save
from impasto.weights.catalogue import CATALOGUE, WEIGHT_SUFFIXES, entry_of, imported_path, located
from impasto.weights.checkpoint_format import CheckpointFormat, Origin
from impasto.weights.containers import Contents, opened
from impasto.weights.download import Progress


def _has_card(contents: Contents) -> bool:
    return CARD_KEY in contents.metadata


def _read_own(contents: Contents, origin: Origin) -> tuple[dict[str, Tensor], Card]:
    return contents.tensors, card_in(contents, origin.file_name)


_OWN = CheckpointFormat(name="impasto", about="our own safetensors with a card", matches=_has_card, read=_read_own)

_ROWS = (_OWN, *vgg.ROWS, *squeezenet.ROWS, *adain.ROWS, *johnson.ROWS)
DIALECTS: dict[str, CheckpointFormat] = {row.name: row for row in _ROWS}


def loaded(
    name_or_path: str | Path,
    *,
    dialect: str | None = None,
    progress: Progress | None = None,
    allow_unverified: bool = False,
) -> Loaded:
    """The weights of a catalogue name, an imported name or a path, fetched first when they must be."""
    path = located(name_or_path, progress=progress, allow_unverified=allow_unverified)
    entry = CATALOGUE.get(str(name_or_path))
    return read(path, dialect=dialect or (entry.dialect if entry is not None else None))


def read(path: Path, *, dialect: str | None = None) -> Loaded:
    """The weights in a file, under our own keys and with a card; `dialect` settles what keys and shapes leave open.

    Encoders of the VGG kind have the keys `convS_I.weight` and `convS_I.bias`. Raises `WeightsError` for a file that
    cannot be read or is of no known dialect, `WeightsMismatch` for one that is nearly of one.
    """
    if dialect is not None and dialect not in DIALECTS:
        raise UnknownName.of("dialect", dialect, DIALECTS)
    contents = opened(path)
    sha256 = digest_of(path)
    row = _chosen(contents, path.name, sha256) if dialect is None else DIALECTS[dialect]
    if not row.matches(contents) or (_has_card(contents) and row is not _OWN):
        raise WeightsError(f"{path.name} is not of dialect {row.name} ({row.about}); {_described(contents)}.")
    origin = Origin(
        file_name=path.name,
        name=_name_of(path),
        sha256=sha256,
        dialect=row.name,
        entry=entry_of(sha256),
        metadata=contents.metadata,
    )
    tensors, card = row.read(contents, origin)
    return Loaded(card=card, tensors=tensors, sha256=sha256)


def imported(path: Path, *, dialect: str | None = None, name: str | None = None, encoder: str | None = None) -> Path:
    """Read a file (or deeplearn.js folder), keep it in our own form where `located(name)` finds it; its new path.

    `name` is the file's name without its ending where it is not given. An earlier import of that name is replaced.
    `encoder` (a name or a file) is what a decoder was trained with: without it a decoder is refused, and nothing else
    takes it (`OptionError`).
    """
    chosen = name if name is not None else _name_of(path)
    target = imported_path(chosen)
    found = read(path, dialect=dialect)
    seen = None if encoder is None else loaded(encoder)
    card = adain.with_encoder(found, seen, lasting(encoder or ""), path.name)
    save(target, found.tensors, dataclasses.replace(card, name=chosen))
    return target


def lasting(name_or_path: str | Path) -> str:
    """What finds the same weights from any folder: a name as it is, a file's whole path."""
    path = Path(os.path.expanduser(name_or_path))
    return str(path.resolve()) if os.path.isfile(path) else str(name_or_path)


def _chosen(contents: Contents, file_name: str, sha256: str) -> CheckpointFormat:
    """The one dialect that the keys, the shapes and, where those leave it open, the file's digest tell."""
    if _has_card(contents):
        return _OWN
    fitting = [row for row in DIALECTS.values() if row.matches(contents)]
    if not fitting:
        known = "; ".join(f"{row.name}: {row.about}" for row in DIALECTS.values())
        raise WeightsError(f"{file_name} is of no known dialect; {_described(contents)}. Known are: {known}.")
    entry = entry_of(sha256)
    certain = [row for row in fitting if entry is not None and row.name == entry.dialect]
    if len(fitting) > 1 and not certain:
        names = [row.name for row in fitting]
        raise WeightsError(
            f"{file_name} may be {' or '.join(names)}: keys and shapes are the same, but not the colours they take or "
            f"give. Say which with --dialect {'|'.join(names)}."
        )
    return (certain or fitting)[0]


def _described(contents: Contents) -> str:
    first = ", ".join(f"{key} {shape}" for key, shape in list(contents.shapes.items())[:3])
    return f"it has {len(contents.tensors)} tensors, first {first or 'none'}"


def _name_of(path: Path) -> str:
    """The file's name without its endings, in the characters that a name may have."""
    stem = path.name
    while stem.endswith(WEIGHT_SUFFIXES):
        stem = Path(stem).stem
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", stem).strip("-._+") or "weights"
