"""Downloading one file over HTTP: resumed, verified, and moved into place only when complete."""

from __future__ import annotations

import contextlib
import errno
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import filelock
import httpx

from impasto.core.errors import ChecksumMismatch, DownloadFailed, OptionError, WeightsError
from impasto.core.paths import sha256_of

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are here and the bytes that there will be (`None`: the server does not say)."""

MOST_BYTES = 4_000_000_000
"""Larger than any file of the catalogue, for a server that does not say the size."""

_PASSING = {408, 425, 429}  # with all 5xx: worth another try


class _Interrupted(Exception):
    """This connection did not deliver; the next one may."""


@dataclass(frozen=True, kw_only=True)
class Download:
    """A file to fetch, and how.

    `sha256` is the digest in hex or its first 8 or more digits. With `None` the file is refused after the transfer, and
    the error names its digest, unless `allow_unverified`. A server is given up after `attempts` connections in a row
    without progress, with a pause of `backoff_s`, doubled each time, between them, and when it sends more than
    `size_bytes`, or than it announced. `timeout_s` limits one wait for the server, not the transfer.
    """

    target: Path
    sha256: str | None
    progress: Progress | None = None
    timeout_s: float = 30.0
    attempts: int = 4
    backoff_s: float = 1.0
    allow_unverified: bool = False
    size_bytes: int | None = None

    def __post_init__(self) -> None:
        check_digest(self.sha256, self.target.name)

    @property
    def part(self) -> Path:
        """What has been received so far."""
        return self.target.with_name(self.target.name + ".part")

    def fetch(self, *urls: str) -> str:
        """Fetch the target from the first of `urls` that delivers it; the SHA-256 of its bytes.

        A target that exists and fits is kept. Received bytes are kept in `part`, and the next attempt or call resumes
        there; without a digest, which would reveal a part of another file, every call starts over. Raises
        `DownloadFailed`, `ChecksumMismatch` (the file is removed), or `WeightsError` for a file that cannot be
        verified. Passwords in addresses are masked in every message.
        """
        with _with_disk_errors(self.target):
            self.target.parent.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(self.target.with_name(f".{self.target.name}.lock"), mode=0o666):
                if self.sha256 is None:
                    self.part.unlink(missing_ok=True)
                return self._kept() or self._from_any(urls)

    def _fits(self, digest: str) -> bool:
        return self.sha256 is not None and digest.startswith(self.sha256.lower())

    def _kept(self) -> str | None:
        """The digest of a matching file that exists already (another process may have downloaded it meanwhile)."""
        if not self.target.is_file():
            return None
        digest = sha256_of(self.target)
        unverified = self.sha256 is None and self.allow_unverified
        return digest if unverified or self._fits(digest) else None

    def _from_any(self, urls: Sequence[str]) -> str:
        failures: list[WeightsError] = []
        for url in urls:
            if self.sha256 is None:  # bytes of another server may be of another file
                self.part.unlink(missing_ok=True)
            try:
                return self._from_one(url)
            except (DownloadFailed, ChecksumMismatch) as error:
                failures.append(error)
        kind = ChecksumMismatch if any(isinstance(f, ChecksumMismatch) for f in failures) else DownloadFailed
        reasons = " ".join(str(failure) for failure in failures)
        raise kind(reasons or f"no address of {self.target.name} is known.")

    def _from_one(self, url: str) -> str:
        while True:
            continued = _size_bytes(self.part) > 0
            self._fill(url)
            try:
                return self._settled(url)
            except ChecksumMismatch:
                if not continued:
                    raise  # otherwise the part from an earlier call or another server may be wrong: try once more

    def _settled(self, url: str) -> str:
        """Verify the received file and move it into place."""
        digest = sha256_of(self.part)
        if self.sha256 is None and not self.allow_unverified:
            raise WeightsError(
                f"no checksum of {self.target.name} is published; from {masked(url)} its sha256 is {digest}. "
                "Compare it with a source you trust, then pass allow_unverified=True."
            )
        if self.sha256 is not None and not self._fits(digest):
            size_bytes = _size_bytes(self.part)
            self.part.unlink()
            raise ChecksumMismatch(
                f"{masked(url)} gave {size_bytes} bytes with sha256 {digest}; {self.sha256} was expected. They are "
                "removed: try again, or import a copy that you trust."
            )
        self.part.replace(self.target)
        return digest

    def _fill(self, url: str) -> None:
        """Receive until the part file is whole, over as many connections as that takes."""
        most, failures = _size_bytes(self.part), 0
        with httpx.Client(timeout=self.timeout_s, follow_redirects=True) as client:
            while True:
                try:
                    return self._receive(url, client=client)
                except (httpx.UnsupportedProtocol, httpx.TooManyRedirects, httpx.InvalidURL) as error:
                    raise DownloadFailed(f"cannot fetch {masked(url)!r}: {masked(str(error))}.") from error
                except (httpx.TransportError, _Interrupted) as error:
                    here = _size_bytes(self.part)
                    failures = 0 if here > most else failures + 1
                    most = max(most, here)
                    if failures >= self.attempts:
                        reason = str(error) or type(error).__name__
                        raise DownloadFailed(
                            f"cannot fetch {masked(url)}: {masked(reason)}. {here} bytes are kept; try again later to "
                            "resume there."
                        ) from error
                    time.sleep(self.backoff_s * 2 ** max(failures - 1, 0))

    def _receive(self, url: str, *, client: httpx.Client) -> None:
        """One connection: append to the part file, or restart it if the server cannot resume."""
        start = _size_bytes(self.part)
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        with client.stream("GET", url, headers=headers) as response:
            goes_on, total = _answer(response, start)
            if start and response.status_code == 416 and total == start:
                return  # an earlier call received all of it
            if start and (response.status_code == 416 or (response.status_code == 206 and not goes_on)):
                self.part.unlink()
                raise _Interrupted("the server cannot resume the download")
            _check_status(response, url)
            done = start if goes_on else 0
            most = min(size for size in (self.size_bytes, total, MOST_BYTES) if size is not None)
            with self.part.open("ab" if goes_on else "wb") as file:
                for chunk in response.iter_raw():
                    done += len(chunk)
                    if done > most:
                        break
                    file.write(chunk)
                    if self.progress is not None:
                        self.progress(done, total)
        if done > most:
            self.part.unlink()
            raise DownloadFailed(f"{masked(url)} sends more than the {most} bytes of the file, which is removed.")
        if total is not None and done != total:
            raise _Interrupted(f"{done} of {total} bytes came")


def masked(url: str) -> str:
    """The address without user name and password, and without control characters."""
    return re.sub(
        r"//[^/?#]*@", "//***@", "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in url)
    )


def check_digest(sha256: str | None, where: str) -> None:
    """Raise `OptionError` unless `sha256` is `None` or 8 to 64 hex digits."""
    if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{8,64}", sha256):
        raise OptionError(f"the sha256 of {where} is {sha256!r}; 8 to 64 hex digits are needed.")


def _answer(response: httpx.Response, start: int) -> tuple[bool, int | None]:
    """Whether the body begins at `start`, and the size of the whole file in bytes if the server sends it."""
    said = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", response.headers.get("Content-Range", ""))
    if said is not None:
        begin, size = said.groups()
        total = int(size) if size != "*" else None
        return response.status_code == 206 and begin is not None and int(begin) == start, total
    length = response.headers.get("Content-Length", "")
    return False, int(length) if response.status_code == 200 and length.isdigit() else None


def _check_status(response: httpx.Response, url: str) -> None:
    code = response.status_code
    if code in _PASSING or code >= 500:
        raise _Interrupted(f"the server answers {code} {response.reason_phrase}")
    if code not in (200, 206):
        raise DownloadFailed(
            f"{masked(url)} answers {code} {response.reason_phrase}: the file does not exist (any more). "
            "Get a copy elsewhere and import it."
        )


def _size_bytes(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@contextlib.contextmanager
def _with_disk_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        advice = "Set IMPASTO_CACHE to a folder that can hold it."
        if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
            raise DownloadFailed(f"no space left in {target.parent} for {target.name}. Free some. {advice}") from error
        raise DownloadFailed(f"cannot write {target}: {error.strerror or error}. {advice}") from error
