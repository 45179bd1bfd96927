"""Options of folders and batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from impasto.core.options import Choice, Doc, Options, Range

PAIRS = ("all", "zip")
FORMATS = ("png", "jpg", "webp", "tif", "avif", "gif", "bmp")


@dataclass(frozen=True, kw_only=True)
class FolderOptions(Options, title="Several pictures"):
    """Pairing and format of several pictures."""

    pairs: Annotated[
        str | None,
        Doc(
            "Pairing of contents and styles. all: every content in every style; zip: the first in the first and so on, "
            "in the order of their names. Without: several styles are mixed, but the styles of a folder or of a "
            "network are painted separately."
        ),
        Choice(PAIRS),
    ] = None
    format: Annotated[str | None, Doc("Format of outputs in a folder; png by default."), Choice(FORMATS)] = None


@dataclass(frozen=True, kw_only=True)
class BatchOptions(Options, title="Batch"):
    """Execution of a batch; no option changes a picture."""

    workers: Annotated[
        int, Doc("Worker processes, which share the cores equally; 0: one per core or device."), Range(0, 4096)
    ] = 0
    devices: Annotated[tuple[str, ...], Doc("NVIDIA GPUs by number, or all; one worker each. Without: `device`.")] = ()
    attempts: Annotated[
        int, Doc("Attempts per picture before it is recorded as failed, with its error."), Range(1, 100)
    ] = 3
    timeout: Annotated[float, Doc("Time limit per picture in seconds; 0 disables it."), Range(0, 1_000_000)] = 0.0
    retry: Annotated[bool, Doc("Retry the pictures that failed in an earlier run.")] = False
    beside: Annotated[
        bool, Doc("If the outputs were painted with other options, keep them and write numbered names.")
    ] = False
    tar: Annotated[int, Doc("Pictures per WebDataset tar shard; 0 writes single files."), Range(0, 1000000)] = 0
    ray: Annotated[
        str | None, Doc("Ray cluster to paint on: its address, auto to find a running one, or local to start one here.")
    ] = None
