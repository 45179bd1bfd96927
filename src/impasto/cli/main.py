"""The command `impasto`.

Each command is a module in this folder with an `app` of its name, imported when it is called for; the modules import
torch only inside the functions that need it, so that help and version come at once.

The parser is cyclopts: it reads frozen dataclasses, so that an option is written once, in `config`; it can flatten them
into a command, hint at the nearest flag, and load commands on demand. Its import takes 0.07 s; tyro 0.08 s and
jsonargparse 0.09 s were the others tried.
"""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import io
import os
import sys
import traceback
from collections.abc import Sequence

from cyclopts import App, CycloptsError

import impasto
from impasto.cli.failures import described, printable, unexpected, wrong_use
from impasto.cli.stopping import INTERRUPTED
from impasto.core.errors import ImpastoError, OptionError

COMMANDS = {
    "stylize": "Repaint pictures in the style of others.",
    "batch": "Repaint any number of pictures, on all cores, GPUs or a cluster.",
    "texture": "Make a texture of any size from a style.",
    "video": "Repaint a film, steadily and with its sound.",
    "live": "Paint the camera picture.",
    "redo": "Make a picture again from the recipe in its metadata.",
    "evaluate": "Measure a result against its content and style.",
    "analyze": "Analyse pictures and encoders.",
    "studio": "Open a local web page for painting.",
    "export": "Networks for other engines, and a page that paints in a browser.",
    "style": "Keep styles in small files, and show them.",
    "models": "Weights: list, show, fetch, import.",
    "train": "Train networks.",
    "demo": "Repaint a photograph that comes with the package.",
}
FAILED, WRONG_USE = 1, 2


def application(words: Sequence[str] = ()) -> App:
    """The command with its subcommands, of which only those among `words` are imported."""
    app = App(
        name="impasto",
        help="Neural style transfer: paint a picture in the style of another.",
        help_epilogue="With --debug, before or after a command, errors show where they come from.",
        version=impasto.__version__,
        suppress_keyboard_interrupt=False,
        help_format="plaintext",
    )
    for name, about in COMMANDS.items():
        if importlib.util.find_spec(f"impasto.cli.{name}") is not None:
            called = name in words
            app.command(f"impasto.cli.{name}:app", name=name, help=None if called else about)
            if called:
                _let_help_flow(app[name])
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit code: 0 done, 1 failed, 2 wrong use, 130 stopped by Ctrl-C."""
    _let_threads_sleep()
    _let_streams_escape()
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = _taken(words, "--debug")
    try:
        _check_not_empty(words)
        code = application(words)(words, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except BaseException as error:
        if isinstance(error, SystemExit):
            raise
        if debug:
            traceback.print_exc()
        return _reported(error)


def _check_not_empty(words: Sequence[str]) -> None:
    """Raise `OptionError` for an empty word, which would be read as the current folder."""
    for before, word in zip(("impasto", *words), words, strict=False):
        if not word.strip() or (word.startswith("-") and word.endswith("=")):
            where = word or f"the word after {before}"
            raise OptionError(f"{where} is empty; a value is needed. Is a variable of the shell empty?")


def _let_help_flow(app: App) -> None:
    """Join the lines of each paragraph of the docstrings: as plain text they would break twice."""
    command = app.default_command
    if command is not None and command.__doc__:
        paragraphs = inspect.cleandoc(command.__doc__).split("\n\n")
        command.__doc__ = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    for name in app:
        if not name.startswith("-"):
            _let_help_flow(app[name])


def _let_threads_sleep() -> None:
    """Let OpenMP's threads sleep while they wait; it reads this when torch is imported.

    By default they spin for milliseconds, which takes the processor from the thread that they wait for when another
    program computes, too: beside one that used one and a half of two cores, six steps at 160 px took 74 s instead of
    3.7 s with two threads. GOMP_SPINCOUNT=1000 took 1.4 times as long as sleeping there, 20000 six times.
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"


def _let_streams_escape() -> None:
    """Let terminals without a letter (cp1252, latin-1), and names that are not UTF-8, be printed as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _reported(error: BaseException) -> int:
    """Print the error to stderr; the exit code."""
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, BrokenPipeError):
        _close_stdout()
        return FAILED
    line, code = described(error), FAILED
    if isinstance(error, CycloptsError):
        line, code = wrong_use(error), WRONG_USE
    elif isinstance(error, ImpastoError):
        code = error.exit_code
    elif line is None:
        print(printable(f"{unexpected(error)} (run with --debug for the traceback)"), file=sys.stderr)
        return code
    print(printable(f"error: {line}"), file=sys.stderr)
    return code


def _taken(words: list[str], flag: str) -> bool:
    """Whether `flag` is among the words before `--`; it is removed."""
    end = words.index("--") if "--" in words else len(words)
    if flag not in words[:end]:
        return False
    words.remove(flag)
    return True


def _close_stdout() -> None:
    """Redirect stdout to the null device, so that the final flush does not fail."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
