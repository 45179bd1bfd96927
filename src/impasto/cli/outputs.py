"""Which file each content becomes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from impasto.core.errors import ImageUnreadable, ImageUnwritable, OptionError

SUFFIX = ".png"  # of outputs in a folder
FILMS = (".gif", ".mp4")


@dataclass(frozen=True)
class Target:
    """A content and the file that it becomes."""

    content: Path
    output: Path


def targets(contents: Sequence[Path], output: Path | None, *, styles: Sequence[Path], bits: int) -> list[Target]:
    """The output of every content, and of every picture in those that are folders.

    One picture becomes the file `output`, or a file in the folder `output`, which is one that exists or a name without
    ending; several go into a folder, where those of a folder keep their subfolders. The names are content-style.png,
    content-style1+style2.png; without `output` one picture goes into the current folder. Raises before any work what
    writing would raise after it, and `OptionError` for an output that is one of the inputs.
    """
    found = _found(contents, output)
    several = len(contents) > 1 or contents[0].is_dir()
    if output is None and several:
        raise OptionError("there are several contents; name a folder for what they become: -o FOLDER")
    into_folder = several or output is None or output.is_dir() or not output.suffix
    if several and output is not None and (output.is_file() or _is_picture(output)):
        raise OptionError(f"{output} is one file, and there are several contents. Name a folder: -o FOLDER")
    if output is not None and not into_folder:
        made = [Target(found[0][0], output)]
    else:
        made = _named(found, output or Path(), styles)
    _check(made, inputs=[*(target.content for target in made), *styles], bits=bits)
    return made


def check_film(path: Path, *, inputs: Iterable[Path]) -> None:
    """Raise where a film cannot be written to `path`, or would replace one of the inputs."""
    if path.suffix.lower() not in FILMS:
        raise OptionError(f"{path} has the ending {path.suffix!r}; an animation needs {' or '.join(FILMS)}.")
    if path.is_dir():
        raise ImageUnwritable(f"{path} is a folder; name a file in it.")
    check_no_input(path, inputs)


def check_no_input(path: Path, inputs: Iterable[Path]) -> None:
    """Raise `OptionError` where `path` is one of the inputs."""
    for given in inputs:
        if path.exists() and given.exists() and os.path.samefile(path, given):
            raise OptionError(f"{path} is one of the inputs and would be replaced. Name another output with -o.")


def _found(contents: Sequence[Path], output: Path | None) -> list[tuple[Path, Path]]:
    """Each picture with the subfolder that its output goes to."""
    found = []
    for content in contents:
        if not content.is_dir():
            found.append((content, Path()))
            continue
        from impasto.image.files import pictures_in

        kept_out = output.resolve() if output is not None else None
        if kept_out == content.resolve():
            raise OptionError(f"{output} holds the contents; name another folder, or outputs would be repainted.")
        pictures = [path for path in pictures_in(content) if kept_out not in path.resolve().parents]
        if not pictures:
            raise ImageUnreadable(f"{content} holds no pictures.")
        found += [(path, path.parent.relative_to(content)) for path in pictures]
    return found


def _named(found: Sequence[tuple[Path, Path]], folder: Path, styles: Sequence[Path]) -> list[Target]:
    """Names in a folder; where two would be the same, the later ones are numbered."""
    style = "+".join(path.stem for path in styles)
    made: list[Target] = []
    taken: set[str] = set()
    for content, below in found:
        stem = f"{content.stem}-{style}"
        names = (f"{stem}{'' if n == 1 else f'-{n}'}{SUFFIX}" for n in range(1, len(found) + 1))
        output = next(path for path in (folder / below / name for name in names) if str(path).lower() not in taken)
        taken.add(str(output).lower())  # some file systems take names of either case for the same
        made.append(Target(content, output))
    return made


def _check(made: Sequence[Target], *, inputs: Sequence[Path], bits: int) -> None:
    from impasto.image.formats import check_writable

    for target in made:
        check_writable(target.output, bits)
        check_no_input(target.output, inputs)


def _is_picture(path: Path) -> bool:
    from impasto.image.formats import READABLE_SUFFIXES

    return path.suffix.lower() in READABLE_SUFFIXES
