"""Which file each content becomes."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from impasto.cli.mixes import is_folder, outside, style_mixes
from impasto.config.batch import PAIRS, FolderOptions
from impasto.core.errors import ImageUnreadable, ImageUnwritable, OptionError
from impasto.core.paths import first_free
from impasto.styles.weighted import split_weight

Identity = tuple[int, int]
"""Device and inode of a file."""

Found = tuple[Path, Path]
"""A content, and the subfolder that its output goes to."""

SUFFIX = ".png"  # of outputs in a folder, unless another format is asked for
LONGEST_STEM_BYTES = 200  # most file systems allow names of 255 bytes
FILMS = (".gif", ".mp4")


@dataclass(frozen=True)
class Target:
    """A content, the styles that it is painted in, as the command line has them, and the file that it becomes."""

    content: Path
    styles: tuple[str, ...]
    output: Path


def targets(
    contents: Sequence[Path],
    output: Path | None,
    *,
    styles: Sequence[str],
    stem_of: Callable[[str], str],
    styles_of: Callable[[str], Sequence[str]] = lambda text: (),
    folder: FolderOptions | None = None,
    bits: int = 8,
    keeps: Callable[[Path], bool] = lambda _: False,
) -> list[Target]:
    """The output of every content, and of every picture in those that are folders.

    All `styles` are one mix, or are painted separately (`mixes.style_mixes`); `styles_of` gives the styles of a
    network of several. Each mix paints every content or, where `folder.pairs` is "zip", the first the first and so on.

    One picture becomes the file `output`, or a file in the folder `output`, which is one that exists or a name without
    ending; several go into a folder, where those of a folder keep their subfolders. The names are content-style.png,
    content-style1+style2.png, by the `stem_of` each style's text without its weight. Without `output` one picture goes
    into the current folder. Names in a folder are numbered if a file exists for which `keeps` is true. Raises
    before any work what writing would raise after it, and `OptionError` for an output that is one of the inputs.
    """
    folder = folder or FolderOptions()
    mixes = style_mixes(styles, pairs=folder.pairs, output=output, styles_of=styles_of)
    contents_found = _found(contents, output)
    several = is_batch(contents) or len(mixes) > 1 or is_folder(styles[0])
    chosen = _paired(contents_found, mixes, pairs=folder.pairs or PAIRS[0])
    if _into_folder(output, several=several, chosen_format=folder.format):
        suffix = f".{folder.format}" if folder.format else SUFFIX
        made = _named(chosen, output or Path(), stem_of=stem_of, suffix=suffix, keeps=keeps)
    else:
        assert output is not None
        made = [Target(contents_found[0][0], mixes[0], output)]
    _check(made, bits=bits)
    return made


def _into_folder(output: Path | None, *, several: bool, chosen_format: str | None) -> bool:
    """Whether outputs go into a folder; `OptionError` for contradictions."""
    if output is None and several:
        raise OptionError("several pictures are painted; name a folder for the outputs: -o FOLDER")
    if several and output is not None and (output.is_file() or _is_picture(output)):
        raise OptionError(f"{output} is one file, and several pictures are painted. Name a folder: -o FOLDER")
    if several or output is None or output.is_dir() or not output.suffix:
        return True
    if chosen_format is not None:
        raise OptionError(f"--format is for outputs in a folder; the ending of {output} decides its format.")
    return False


def is_batch(contents: Sequence[Path]) -> bool:
    """Whether several contents are possible, also if a folder contains only one."""
    return len(contents) > 1 or contents[0].is_dir()


def unused(path: Path) -> Path:
    """`path`, numbered if the file exists: `styles-2.png`."""
    return Path(first_free(str(path.with_suffix("")), path.suffix, taken=os.path.lexists))


def check_film(path: Path, *, inputs: Iterable[str | Path]) -> None:
    """Raise where a film cannot be written to `path`, or would replace one of the inputs."""
    if path.suffix.lower() not in FILMS:
        raise OptionError(f"{path} has the ending {path.suffix!r}; an animation needs {' or '.join(FILMS)}.")
    if path.is_dir():
        raise ImageUnwritable(f"{path} is a folder; name a file in it.")
    check_no_input(path, inputs)


def snapshot_path(output: Path, step: int) -> Path:
    """`painting-0020.png` for `painting.png`."""
    return output.with_name(f"{output.stem}-{step:04}{output.suffix}")


def unfinished_path(output: Path, inputs: Iterable[str | Path]) -> Path:
    """`painting-unfinished.png` for `painting.png`, numbered if that is one of the inputs."""
    stem, given = os.fsencode(output.stem)[:LONGEST_STEM_BYTES].decode("utf-8", "ignore"), identities(inputs)
    start = output.with_name(f"{stem}-unfinished")
    return Path(first_free(str(start), output.suffix, taken=lambda name: _identity(Path(name)) in given))


def check_snapshots(output: Path, inputs: Iterable[str | Path]) -> None:
    """Raise `OptionError` if a snapshot of any step would replace one of the inputs."""
    pattern = re.compile(re.escape(output.stem) + r"-\d{4,}" + re.escape(output.suffix), re.IGNORECASE)
    folder = output.parent.resolve()
    for path in map(Path, inputs):
        for place in {path.absolute(), path.resolve()}:
            if place.parent.resolve() == folder and pattern.fullmatch(place.name):
                raise OptionError(
                    f"a snapshot of {output} would replace the input {path}. Name another output with -o."
                )


def check_no_input(path: Path, inputs: Iterable[str | Path]) -> None:
    """Raise `OptionError` if `path` is one of the inputs."""
    check_apart(path, identities(inputs))


def check_apart(path: Path, inputs: Set[Identity]) -> None:
    """As `check_no_input`, given the `identities` of the inputs: with many outputs each input is looked at once."""
    if _identity(path) in inputs:
        raise OptionError(f"{path} is one of the inputs and would be replaced. Name another output with -o.")


def identities(paths: Iterable[str | Path]) -> set[Identity]:
    """The identities of the existing files among `paths`, independent of their names."""
    return {identity for path in paths if (identity := _identity(Path(path))) is not None}


def _identity(path: Path) -> Identity | None:
    """The identity of a file, equal for all of its names; None if it does not exist."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _found(contents: Sequence[Path], output: Path | None) -> list[Found]:
    pictures_by_folder = []
    for content in contents:
        if not content.is_dir():
            pictures_by_folder.append((content, Path()))
            continue
        from impasto.image.files import pictures_in

        pictures = outside(pictures_in(content), folder=content, output=output, what="contents")
        if not pictures:
            raise ImageUnreadable(f"{content} holds no pictures.")
        pictures_by_folder += [(path, path.parent.relative_to(content)) for path in pictures]
    return pictures_by_folder


def _paired(
    contents: Sequence[Found], mixes: Sequence[tuple[str, ...]], *, pairs: str
) -> list[tuple[Found, tuple[str, ...]]]:
    """Each content with the styles that it is painted in; contents change last, since they are large."""
    if pairs == "all":
        return [(content, mix) for content in contents for mix in mixes]
    if len(contents) != len(mixes):
        raise OptionError(
            f"--pairs zip needs as many styles as contents; there are {len(mixes)} and {len(contents)}. "
            "Give a folder of styles with as many as there are contents."
        )
    return list(zip(contents, mixes, strict=True))


def _named(
    chosen: Sequence[tuple[Found, tuple[str, ...]]],
    folder: Path,
    *,
    stem_of: Callable[[str], str],
    suffix: str,
    keeps: Callable[[Path], bool],
) -> list[Target]:
    """Names in a folder, numbered if two would be equal, or if the file exists and is kept."""
    made: list[Target] = []
    taken: set[str] = set()
    for (content, below), mix in chosen:
        stem = f"{content.stem}-{'+'.join(stem_of(split_weight(text)[0]) for text in mix)}"
        output = first_free(
            str(folder / below / stem),
            suffix,
            taken=lambda name: name.lower() in taken or keeps(Path(name)),  # some file systems ignore case
        )
        taken.add(output.lower())
        made.append(Target(content, mix, Path(output)))
    return made


def _check(made: Sequence[Target], *, bits: int) -> None:
    from impasto.image.formats import check_writable

    given = identities({str(p) for t in made for p in (t.content, *(split_weight(text)[0] for text in t.styles))})
    for target in made:
        check_writable(target.output, bits)
        check_apart(target.output, given)


def _is_picture(path: Path) -> bool:
    from impasto.image.formats import READABLE_SUFFIXES

    return path.suffix.lower() in READABLE_SUFFIXES
