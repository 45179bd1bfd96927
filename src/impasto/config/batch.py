"""Options of folders and batches: which pictures are made, and on how many processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from impasto.core.options import Choice, Doc, Options, Range

PAIRS = ("all", "zip")
FORMATS = ("png", "jpg", "webp", "tif", "avif", "gif", "bmp")


@dataclass(frozen=True, kw_only=True)
class FolderOptions(Options, title="Several pictures"):
    """What becomes of several pictures."""

    pairs: Annotated[
        str | None,
        Doc(
            "Each style paints by itself: all paints every content in every style, zip the first in the first and so "
            "on, in the order of their names. Without it several styles are mixed, and the styles of a folder or of a "
            "network paint each by itself."
        ),
        Choice(PAIRS),
    ] = None
    format: Annotated[str | None, Doc("Format of outputs in a folder; png by default."), Choice(FORMATS)] = None


@dataclass(frozen=True, kw_only=True)
class BatchOptions(Options, title="Batch"):
    """How a batch is run. None of these changes a picture."""

    workers: Annotated[
        int, Doc("Processes that paint, each with its share of the cores; 0 is one per core or device."), Range(0, 4096)
    ] = 0
    devices: Annotated[
        tuple[str, ...],
        Doc("Devices, with one worker each: numbers of NVIDIA GPUs, or all; without it `device` counts."),
    ] = ()
    attempts: Annotated[int, Doc("A picture that fails so often is put aside with its error."), Range(1, 100)] = 3
    timeout: Annotated[
        float, Doc("Seconds of work after which a picture is put aside; 0 is no limit."), Range(0, 1_000_000)
    ] = 0.0
    retry: Annotated[bool, Doc("Try pictures again that were put aside in an earlier run.")] = False
    beside: Annotated[
        bool,
        Doc("Where the outputs were painted with other options, write beside them, under names with a number."),
    ] = False
    tar: Annotated[
        int, Doc("Write WebDataset tar shards of so many pictures instead of files; 0 writes files."), Range(0, 1000000)
    ] = 0
    ray: Annotated[
        str | None,
        Doc("Paint on a Ray cluster: its address, auto for the one of this machine, or local to start one."),
    ] = None
