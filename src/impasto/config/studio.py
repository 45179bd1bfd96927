"""Options of the local studio."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from impasto.core.options import Doc, Options, Range


@dataclass(frozen=True, kw_only=True)
class StudioOptions(Options, title="Studio"):
    """Address and limits of the studio."""

    host: Annotated[str, Doc("Address to listen on. Any other than loopback needs a token.")] = "127.0.0.1"
    port: Annotated[int, Doc("Port to listen on; 0 takes a free one."), Range(0, 65535)] = 8471
    token: Annotated[str | None, Doc("Secret that requests must carry. Without: a random one at each start.")] = None
    allow_host: Annotated[tuple[str, ...], Doc("Additional accepted Host names, for example behind a proxy.")] = ()
    keep: Annotated[
        Path | None, Doc("Folder to store finished pictures in. Without: they are deleted when the studio ends.")
    ] = None
    styles: Annotated[
        Path | None, Doc("Folder of pictures and saved styles that the page offers in addition to the trained styles.")
    ] = None
    learn: Annotated[
        bool, Doc("Allow clients to train styles, which are stored on this machine and visible to all clients.")
    ] = True
    queue: Annotated[int, Doc("Maximum number of queued jobs; further requests get status 429."), Range(1, 10_000)] = 32
    client_jobs: Annotated[int, Doc("Maximum number of queued and running jobs per client."), Range(1, 10_000)] = 16
    timeout_s: Annotated[float, Doc("Time limit of a picture in seconds."), Range(1, 86_400)] = 900.0
    long_timeout_s: Annotated[
        float, Doc("Time limit of a film, or of training a style, in seconds."), Range(1, 864_000)
    ] = 14_400.0
    memory_gb: Annotated[float, Doc("Memory limit of the painting process in gigabytes."), Range(1, 4096)] = 8.0
    upload_mb: Annotated[float, Doc("Maximum upload size in megabytes."), Range(0.1, 4096)] = 50.0
    megapixels: Annotated[float, Doc("Maximum picture size in megapixels."), Range(0.1, 1000)] = 50.0
    film_mb: Annotated[float, Doc("Maximum size of an uploaded film in megabytes."), Range(0.1, 65_536)] = 500.0
    film_s: Annotated[float, Doc("Maximum film length in seconds."), Range(0.1, 86_400)] = 600.0
    threads: Annotated[int | None, Doc("Processor threads of the painting process."), Range(1, 4096)] = None
