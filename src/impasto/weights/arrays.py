"""Numbered arrays of TensorFlow programs: a folder as deeplearn.js reads it, or an `.npz` file."""

from __future__ import annotations

import json
import math
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from impasto.core.errors import WeightsError
from impasto.weights.catalogue import MANIFEST
from impasto.weights.signatures import MOST_BYTES, check_regular, whole_file

MOST_EXPANSION, SMALL_BYTES = 20, 100_000_000
"""Weights hardly compress: an archive above the second is refused if it unpacks to more than so many times its size."""

OPTIMISER_STATE = re.compile(r"([_/]Adam(_\d+)?|beta\d_power|global_step)$")
"""Variables of a training that the network does not need; often missing from the folder."""


def is_npz(path: Path) -> bool:
    """Whether a file is a zip of numpy arrays."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False
    return bool(names) and all(name.endswith(".npy") for name in names)


def in_npz(path: Path) -> dict[str, Tensor]:
    """The arrays of an `.npz` file by name; objects in it are never unpickled.

    Sizes are checked before anything is unpacked. Raises `WeightsError`.
    """
    try:
        _check_unpacked(path)
        with np.load(path, allow_pickle=False) as archive:
            return {name.removesuffix(":0"): _tensor(archive[name]) for name in archive.files}
    except WeightsError:
        raise
    except Exception as error:  # zlib, tokenize and numpy raise many kinds on damaged archives
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"{path.name} cannot be read as .npz ({reason}); plain arrays are needed.") from error


def _check_unpacked(path: Path) -> None:
    """Raise `WeightsError` for decompression bombs, and for headers that contradict the data."""
    with zipfile.ZipFile(path) as archive:
        total_bytes = sum(entry.file_size for entry in archive.infolist())
        allowed_bytes = min(MOST_BYTES, max(SMALL_BYTES, MOST_EXPANSION * path.stat().st_size))
        if total_bytes > allowed_bytes:
            raise WeightsError(
                f"{path.name} unpacks to {total_bytes / 1e9:.1f} GB; a file of its size has at most "
                f"{allowed_bytes / 1e9:.1f} GB of weights. Fetch it again."
            )
        for entry in archive.infolist():
            with archive.open(entry) as file:
                version = np.lib.format.read_magic(file)
                header = (
                    np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                )
                shape, _, dtype = header(file)
                if dtype.hasobject:
                    raise WeightsError(f"{path.name} holds Python objects ({entry.filename}); plain arrays are needed.")
                if file.tell() + math.prod(shape) * dtype.itemsize != entry.file_size:
                    raise WeightsError(f"{path.name} has {entry.filename} of another size than {shape}; it is damaged.")


def in_folder(path: Path) -> dict[str, Tensor]:
    """The variables that a folder's `manifest.json` lists with file and shape, each a file of little-endian float32.

    The optimiser's state is left out. Raises `WeightsError`.
    """
    return {name: _variable(path, name, file=file, shape=shape) for name, (file, shape) in _listed(path).items()}


def _listed(path: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    manifest = path / MANIFEST
    if not manifest.is_file():
        raise WeightsError(f"{path} is a folder without {MANIFEST}; name a weight file, or a deeplearn.js folder.")
    try:
        check_regular(manifest)
        rows: Any = json.loads(whole_file(manifest))
        variables = {
            str(name): (str(row["filename"]), tuple(int(side) for side in row["shape"]))
            for name, row in rows.items()
            if not OPTIMISER_STATE.search(name)
        }
    except (ValueError, KeyError, TypeError, AttributeError, OSError, OverflowError, RecursionError) as error:
        raise WeightsError(
            f"{manifest} is not a list of variables with filename and shape ({type(error).__name__}: {error}); "
            "fetch it again (with git lfs pull, where it came from a repository)."
        ) from error
    outside = [name for name, _ in variables.values() if name in ("", ".", "..") or Path(name).name != name]
    if outside:
        raise WeightsError(f"{manifest} names {outside[0]!r}, which is not a file of its folder; it is not read.")
    if len({name for name, _ in variables.values()}) < len(variables):
        raise WeightsError(f"{manifest} names one file for several variables; it is damaged. Fetch it again.")
    return variables


def _variable(folder: Path, name: str, *, file: str, shape: tuple[int, ...]) -> Tensor:
    path, count = folder / file, math.prod(shape)
    check_regular(path)
    size_bytes = path.stat().st_size
    if min(shape, default=1) < 0 or size_bytes != 4 * count:
        raise WeightsError(f"{path} has {size_bytes} bytes; {4 * count} are needed for {name} {shape}. Fetch it again.")
    try:
        return _tensor(np.frombuffer(whole_file(path), dtype="<f4").reshape(shape))
    except ValueError as error:  # more sides than numpy has
        raise WeightsError(f"{name} in {path.name} has the shape {shape} ({error}); it is damaged.") from error


def _tensor(array: np.ndarray[Any, Any]) -> Tensor:
    return torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("="), order="C"))
