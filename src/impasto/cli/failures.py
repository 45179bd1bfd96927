"""One-line messages for failures."""

from __future__ import annotations

import errno

from cyclopts import CycloptsError, MissingArgumentError, UnusedCliTokensError

from impasto.cli.flags import with_flags
from impasto.core.errors import ImpastoError

_NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_TORCH_STOPPED = "PytorchStreamWriter failed"  # torch.save on a full disk
OUT_OF_MEMORY = "there is not enough memory for this size. Use a smaller --size, or close other programs."


def described(error: BaseException) -> str | None:
    """The line for a known failure; None for an unknown one, which is a bug."""
    if isinstance(error, ImpastoError):
        return " ".join(with_flags(str(error)).split())
    if isinstance(error, MemoryError):
        return OUT_OF_MEMORY
    if isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _NO_MEMORY):
        return OUT_OF_MEMORY
    if isinstance(error, OSError) and error.errno in _NO_SPACE:
        return f"{error.filename or 'the output'} cannot be written: {error.strerror}. Free some space, and try again."
    if isinstance(error, RuntimeError) and _TORCH_STOPPED in str(error):
        return "a file cannot be written whole; the disk may be full. Free some space, and try again."
    if isinstance(error, OSError) and error.filename is not None and not isinstance(error, ConnectionError):
        return f"{error.filename}: {error.strerror}."
    return None


def printable(text: str) -> str:
    """The text without terminal control codes, which names of files and notes in cards may contain."""
    return "".join(char if char.isprintable() or char in "\n\t" else _masked(char) for char in text)


def _masked(char: str) -> str:
    """A replacement character for a control code; parts of names that are not UTF-8 stay, and are escaped later."""
    return char if "\ud800" <= char <= "\udfff" else "\N{REPLACEMENT CHARACTER}"


def wrong_use(error: CycloptsError) -> str:
    """The line for a command line that cannot be parsed."""
    if isinstance(error, UnusedCliTokensError):
        words = " ".join(error.unused_tokens or ())
        return f"{words!r} belongs to no option. An option takes one value; repeat it for several: --style A --style B"
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        name = error.keyword or error.argument.name
        about = (error.argument.parameter.help or "").partition(". ")[0].rstrip(".")
        command = " ".join(("impasto", *(error.command_chain or ())))
        return f"{name} has no value; it is needed: {about}. {command} --help shows all options."
    return with_flags(str(error))


def unexpected(error: BaseException) -> str:
    """The line for a bug."""
    return " ".join(f"internal error: {type(error).__name__}: {error}".split())
