"""Locations of files, and atomic writes."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from pathlib import Path


def cache_dir() -> Path:
    """Folder of downloaded weights: `$IMPASTO_CACHE`, else the platform's cache folder. Not created here."""
    if given := os.environ.get("IMPASTO_CACHE"):
        return Path(given).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("impasto", appauthor=False))


def first_free(start: str, end: str = "", *, taken: Callable[[str], object]) -> str:
    """The first of the names `wave.png`, `wave-2.png`, `wave-3.png`, … that is not taken."""
    names = (f"{start}{f'-{number}' if number > 1 else ''}{end}" for number in itertools.count(1))
    return next(name for name in names if not taken(name))


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary path next to `path`; it replaces `path` when the block succeeds and is removed when it fails.

    Symbolic links are followed: their target is replaced. The mode of a replaced file is kept.
    """
    path = path.resolve() if path.is_symlink() else path
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem[:32]}-{secrets.token_hex(4)}{path.suffix}")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))  # less the umask, as for any new file
    try:
        yield temporary
        if path.is_file():
            temporary.chmod(stat.S_IMODE(path.stat().st_mode))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Exclusive access to `folder` among processes and threads that use this lock; leaves no file behind.

    Not exclusive on Windows, or on file systems that cannot lock folders.
    """
    with contextlib.ExitStack() as undo:
        with contextlib.suppress(ImportError, OSError):
            import fcntl

            folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(folder, os.O_RDONLY)
            undo.callback(os.close, handle)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def sha256_of(path: Path) -> str:
    """Hex digest of a file's bytes, read in pieces; of a folder, the digest of its files' names and digests."""
    if path.is_dir():
        lines = (f"{file.name} {sha256_of(file)}" for file in sorted(path.iterdir()) if file.is_file())
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
