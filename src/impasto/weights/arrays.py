"""Numbered arrays of TensorFlow programs: a folder as deeplearn.js reads it, or an `.npz` file."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from impasto.core.errors import WeightsError
from impasto.core.paths import sha256_of

MANIFEST = "manifest.json"
_OF_TRAINING = re.compile(r"(_Adam(_\d+)?|beta\d_power)$")  # what the optimiser kept; often not in the folder


def is_npz(path: Path) -> bool:
    """Whether a file is a zip of numpy arrays."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    return bool(names) and all(name.endswith(".npy") for name in names)


def in_npz(path: Path) -> dict[str, Tensor]:
    """The arrays of an `.npz` file by name; objects in it are never unpickled. Raises `WeightsError`."""
    try:
        with np.load(path, allow_pickle=False) as found:
            return {name.removesuffix(":0"): _tensor(found[name]) for name in found.files}
    except (ValueError, OSError, KeyError, zipfile.BadZipFile, TypeError) as error:
        raise WeightsError(f"{path.name} cannot be read as .npz ({error}); plain arrays are needed.") from error


def in_folder(path: Path) -> dict[str, Tensor]:
    """The variables that a folder's `manifest.json` lists with file and shape, each a file of little-endian float32.

    What an optimiser kept is left out. Raises `WeightsError`.
    """
    return {name: _variable(path, name, file, shape) for name, (file, shape) in _listed(path).items()}


def digest_of(path: Path) -> str:
    """The sha256 of a file, or of the digests of the manifest and all files that it lists."""
    if not path.is_dir():
        return sha256_of(path)
    names = sorted({MANIFEST, *(file for file, _ in _listed(path).values())})
    return hashlib.sha256("\n".join(f"{name} {sha256_of(path / name)}" for name in names).encode()).hexdigest()


def _listed(path: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    manifest = path / MANIFEST
    if not manifest.is_file():
        raise WeightsError(f"{path} is a folder without {MANIFEST}; name a weight file, or a deeplearn.js folder.")
    try:
        rows: Any = json.loads(manifest.read_text(encoding="utf-8"))
        found = {
            str(name): (str(row["filename"]), tuple(int(side) for side in row["shape"]))
            for name, row in rows.items()
            if not _OF_TRAINING.search(name)
        }
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise WeightsError(
            f"{manifest} is no list of variables with filename and shape ({type(error).__name__}: {error}); "
            "fetch it again (with git lfs pull, where it came from a repository)."
        ) from error
    if strays := [file for file, _ in found.values() if file in ("", ".", "..") or Path(file).name != file]:
        raise WeightsError(f"{manifest} names {strays[0]!r}, which does not lie in its folder; that is not read.")
    return found


def _variable(folder: Path, name: str, file: str, shape: tuple[int, ...]) -> Tensor:
    try:
        data = (folder / file).read_bytes()
    except OSError as error:
        raise WeightsError(f"{folder / file} cannot be read ({error.strerror or error}).") from error
    count = int(np.prod(shape, dtype=np.int64))
    if min(shape, default=1) < 0 or len(data) != 4 * count:
        raise WeightsError(
            f"{folder / file} has {len(data)} bytes; {4 * count} are needed for {name} {shape}. Fetch it again."
        )
    return _tensor(np.frombuffer(data, dtype="<f4").reshape(shape))


def _tensor(array: np.ndarray[Any, Any]) -> Tensor:
    return torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("="), order="C"))
