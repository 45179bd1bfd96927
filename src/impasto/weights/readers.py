"""Weight files of any known checkpoint format, read into our own form.

A new checkpoint format is one row in a file like `vgg.py`, joined here.
"""

from __future__ import annotations

import dataclasses
import glob
import hashlib
import os
import re
from pathlib import Path

from torch import Tensor

from impasto.core.errors import OptionError, UnknownName, WeightsError
from impasto.core.paths import sha256_of
from impasto.weights import adain, jcjohnson, johnson, squeezenet, tensorflow, vgg
from impasto.weights.card import CARD_KEY, Card, Loaded, card_in, check_values, save
from impasto.weights.catalogue import CATALOGUE, WEIGHT_SUFFIXES, check_digest_of, entry_of, imported_path, located
from impasto.weights.checkpoint_format import CheckpointFormat, Origin
from impasto.weights.containers import Contents, open_checkpoint
from impasto.weights.download import Progress


def _has_card(contents: Contents) -> bool:
    return CARD_KEY in contents.metadata


def _read_own(contents: Contents, origin: Origin) -> tuple[dict[str, Tensor], Card]:
    for key, tensor in contents.tensors.items():
        check_values(tensor, key=key, file_name=origin.file_name)
    return contents.tensors, card_in(contents, origin.file_name)


_OWN = CheckpointFormat(name="impasto", about="safetensors with an impasto card", matches=_has_card, read=_read_own)

_ROWS = (_OWN, *vgg.ROWS, *squeezenet.ROWS, *adain.ROWS, *johnson.ROWS, *jcjohnson.ROWS)
FORMATS: dict[str, CheckpointFormat] = {row.name: row for row in _ROWS}
"""Every checkpoint format by name."""


def load_weights(
    name_or_path: str | Path,
    *,
    checkpoint_format: str | None = None,
    progress: Progress | None = None,
    allow_unverified: bool = False,
) -> Loaded:
    """The weights of a catalogue name, an imported name or a path; downloaded first if necessary.

    Raises `UnknownName`, or `WeightsError` and its subclasses.
    """
    path = located(name_or_path, progress=progress, allow_unverified=allow_unverified)
    entry = None if path == Path(os.path.expanduser(name_or_path)) else CATALOGUE.get(str(name_or_path))
    if entry is None:
        return read_checkpoint(path, checkpoint_format=checkpoint_format)
    weights = read_checkpoint(path, checkpoint_format=checkpoint_format or entry.checkpoint_format)
    if entry.bundled is None:
        check_digest_of(entry, weights.sha256)
    return weights


def read_checkpoint(path: Path, *, checkpoint_format: str | None = None) -> Loaded:
    """The weights in a file (or deeplearn.js folder), under our own keys and with a card.

    `checkpoint_format` names a row of `FORMATS` where keys and shapes fit several. VGG encoders have the keys
    `convS_I.weight` and `convS_I.bias`. Raises `WeightsError` for a file that is unreadable or of no known format,
    `WeightsMismatch` where keys or shapes differ from those of its format.
    """
    if checkpoint_format is not None and checkpoint_format not in FORMATS:
        raise UnknownName.of("checkpoint format", checkpoint_format, known=FORMATS)
    contents = open_checkpoint(path)
    sha256 = _digest_of(path)
    row = (
        _matching_format(contents, path.name, sha256=sha256)
        if checkpoint_format is None
        else FORMATS[checkpoint_format]
    )
    if not row.matches(contents) or (_has_card(contents) and row is not _OWN):
        raise WeightsError(
            f"{path.name} is not of checkpoint format {row.name} ({row.about}); {_summary(contents)}. "
            "Leave the format out to have it recognised."
        )
    origin = Origin(
        file_name=path.name,
        name=_stem(path),
        sha256=sha256,
        checkpoint_format=row.name,
        entry=entry_of(sha256),
        metadata=contents.metadata,
    )
    tensors, card = row.read(contents, origin)
    return Loaded(card=card, tensors=tensors, sha256=sha256)


def import_weights(
    path: Path,
    *,
    checkpoint_format: str | None = None,
    name: str | None = None,
    encoder: str | None = None,
    replace: bool = False,
) -> Path:
    """Read a file (or deeplearn.js folder) and store it in our own form under a name for `located`; the stored path.

    Without `name`, the file's name without its suffix. An earlier import of the same name is kept, and an `OptionError`
    raised, unless `replace`. `encoder` (a name or a file) is the encoder that a decoder was trained with; it is
    required for decoders and refused for all other files (`OptionError`).
    """
    chosen_name = name if name is not None else _stem(path)
    target = imported_path(chosen_name)
    if target.exists() and not replace:
        raise OptionError(f"{chosen_name} is already imported. Choose another `name`, or replace it with `replace`.")
    weights = read_checkpoint(path, checkpoint_format=checkpoint_format)
    encoder_weights = None if encoder is None else load_weights(encoder)
    card = adain.with_encoder(weights, encoder_weights, name=lasting(encoder or ""), file_name=path.name)
    save(target, weights.tensors, card=dataclasses.replace(card, name=chosen_name))
    return target


def lasting(name_or_path: str | Path) -> str:
    """A reference valid in any working folder: a name unchanged, a file as its absolute path."""
    path = Path(os.path.expanduser(name_or_path))
    return str(path.resolve()) if os.path.isfile(path) else str(name_or_path)


def _matching_format(contents: Contents, file_name: str, *, sha256: str) -> CheckpointFormat:
    """The format that keys, shapes and, where several fit, the catalogue's digest decide on."""
    if _has_card(contents):
        return _OWN
    fitting = [row for row in FORMATS.values() if row.matches(contents)]
    if not fitting:
        known = "; ".join(f"{row.name}: {row.about}" for row in FORMATS.values())
        raise WeightsError(f"{file_name} has no known checkpoint format; {_summary(contents)}. Known: {known}.")
    entry = entry_of(sha256)
    published = [row for row in fitting if entry is not None and row.name == entry.checkpoint_format]
    if len(fitting) > 1 and not published:
        names = [row.name for row in fitting]
        raise WeightsError(
            f"{file_name} may be {' or '.join(names)}: keys and shapes are the same, but the colours of input or "
            f"output differ. Choose one with `checkpoint_format={'|'.join(names)}`."
        )
    return (published or fitting)[0]


def _digest_of(path: Path) -> str:
    """The SHA-256 of a file or folder; of a TensorFlow checkpoint in several files, of all their digests."""
    index = tensorflow.index_of(path)
    data = sorted(index.parent.glob(f"{glob.escape(index.stem)}.data-*")) if index.suffix == ".index" else []
    if not data:
        return sha256_of(path)
    return hashlib.sha256("\n".join(sha256_of(file) for file in (index, *data)).encode()).hexdigest()


def _summary(contents: Contents) -> str:
    first = ", ".join(f"{key} {shape}" for key, shape in list(contents.shapes.items())[:3])
    return f"it has {len(contents.tensors)} tensors, first {first or 'none'}"


def _stem(path: Path) -> str:
    """The file's name without its suffixes, in the characters that a name may have."""
    stem = tensorflow.DATA_FILE.sub("", path.name)
    while stem.endswith(WEIGHT_SUFFIXES):
        stem = Path(stem).stem
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", stem).strip("-._+") or "weights"
