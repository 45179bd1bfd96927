"""All errors that impasto raises deliberately.

A message states the value found, the requirement and the remedy on one line: the command line prints it and exits with
`exit_code`. Options are named as in Python, in backquotes: `size`, `method=optimise`; the command line renders
them as flags. Backquotes around a single word have no other use.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ImpastoError(Exception):
    """Base of all errors that a user can cause and correct."""

    exit_code = 1


class OptionError(ImpastoError):
    """An option has a value outside its range, or options contradict each other."""

    exit_code = 2


class UnknownName(OptionError):
    """An unknown name (layer, loss, encoder, style…)."""

    @classmethod
    def of(cls, kind: str, name: str, *, known: Iterable[str]) -> UnknownName:
        """The error for `name`, with the nearest known name and the list of all."""
        names = sorted(known)
        by_lower = {known_name.lower(): known_name for known_name in names}
        near = difflib.get_close_matches(str(name).lower(), by_lower, n=1, cutoff=0.4)
        hint = f" Did you mean {by_lower[near[0]]!r}?" if near else ""
        return cls(f"unknown {kind} {name!r}.{hint} Known: {', '.join(names) or 'none'}.")


class ImageError(ImpastoError):
    """A picture that cannot be used."""


class ImageUnreadable(ImageError):
    """The file is missing, truncated, or not a picture."""


class ImageUnwritable(ImageError):
    """The picture cannot be written: unknown format, too large for the format, or an error of the file system."""


class ImageTooSmall(ImageError):
    """The picture has too few pixels for the operation."""


class ImageTooLarge(ImageError):
    """The picture has more pixels than the limit (a decompression bomb, or no memory for it)."""


class WeightsError(ImpastoError):
    """A weight file that cannot be used."""


class WeightsMismatch(WeightsError):
    """Keys or shapes differ from the network's; the message lists every difference."""


class ChecksumMismatch(WeightsError):
    """The bytes are not those that the catalogue promises."""


class DownloadFailed(WeightsError):
    """The download failed; the received part is kept for the next attempt."""


class MissingExtra(ImpastoError):
    """An optional package is not installed; the message names the command that installs it."""


class DataError(ImpastoError):
    """A training folder or list without usable pictures or labels."""


class NotFinite(ImpastoError):
    """A loss or a picture became NaN or infinite, and smaller steps did not help."""


class StateError(ImpastoError):
    """A saved state, checkpoint or recipe that does not match the request."""


class BatchError(ImpastoError):
    """A manifest, store or worker process that stops a batch."""


class VideoError(ImpastoError):
    """A film that cannot be used."""


class VideoUnreadable(VideoError):
    """The file is missing, cut short, or not a film; or a frame of it differs from the others in size."""


class VideoUnwritable(VideoError):
    """The film cannot be written: no encoder, a stream that the container cannot hold, or a file system error."""
