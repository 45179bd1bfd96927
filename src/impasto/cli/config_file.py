"""Flags from a preset, and from `--config FILE`, a TOML file or a recipe."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cyclopts import ArgumentCollection, Token

from impasto.cli.flags import flag, flag_text
from impasto.config.presets import PRESETS
from impasto.core.errors import OptionError, UnknownName

SIZES = frozenset({"--size", "--short-side", "--megapixels", "--exact"})  # of these only one counts
REPEATED = ("style", "mask")  # flags that are repeated for several values


def fill_from_preset(preset: str, arguments: ArgumentCollection) -> None:
    """Give the options of a preset to the flags that are not on the command line."""
    by_name = {argument.name: argument for argument in arguments}
    sized = any(by_name[name].tokens for name in SIZES)
    for values in PRESETS[preset].options.values():
        for name, value in values.items():
            argument = by_name[flag(name)]
            if not (argument.tokens or (sized and flag(name) in SIZES)):
                argument.append(Token(keyword=flag(name), value=flag_text(value), source=f"preset {preset}"))


def fill_from_config(arguments: ArgumentCollection) -> None:
    """Give the options in the file of `--config` to the flags that are not on the command line.

    Raises `OptionError` for a file that is not TOML, and `UnknownName` for another key than the name of a flag;
    `ImageError` and `StateError` for a picture or JSON file without a recipe.
    """
    by_name = {argument.name: argument for argument in arguments if argument.name.startswith("--")}
    given = {name for name, argument in by_name.items() if argument.tokens}
    for token in by_name["--config"].tokens[-1:]:
        path = Path(token.value).expanduser()
        values = _in_toml(path) if path.suffix.lower() == ".toml" else _in_recipe(path)
        for name, value in values.items():
            key = flag(name)
            if key not in by_name or key == "--config":
                known = sorted(other.removeprefix("--") for other in by_name.keys() - {"--config"})
                raise UnknownName.of(f"option in {path}", name, known=known)
            if key in given or (key in SIZES and given & SIZES):
                continue
            for text in _texts(name, value, path=path):
                by_name[key].append(Token(keyword=key, value=text, source=str(path)))


def _texts(name: str, value: Any, *, path: Path) -> Iterator[str]:
    """The value as text after the flag, once for each repetition."""
    items = value if isinstance(value, list | tuple) else [value]
    if not all(isinstance(item, str | int | float | Path) for item in items):
        raise OptionError(f"{name} in {path} is {value!r}; a text, number, truth value or list of them is needed.")
    if name in REPEATED:
        yield from map(str, items)
    elif items:
        yield ",".join(map(str, items))  # all digits of a float


def _in_toml(path: Path) -> dict[str, Any]:
    """The values by option; tables are headings only."""
    try:
        with path.open("rb") as file:
            read = tomllib.load(file)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OptionError(f"{path} cannot be read ({reason}); a TOML file is needed, as in: size = 512") from error
    options: dict[str, Any] = {}
    for key, value in read.items():
        for name, one in (value if isinstance(value, Mapping) else {key: value}).items():
            name = name.replace("-", "_")
            if name in options:
                raise OptionError(f"{path} has {name} twice. Remove one.")
            options[name] = one
    return options


def _in_recipe(path: Path) -> dict[str, Any]:
    """The styles and the painting options of the recipe; content, output and format are not taken from it."""
    from impasto import api
    from impasto.methods.table import own_groups

    job = api.recipe_of(path).moved(path.parent, Path.cwd()).job
    options: dict[str, Any] = {
        "style": [f"{style.source}:{style.weight!r}" for style in job.styles],
        "style_scale": [style.scale for style in job.styles],
        "mask": [style.mask for style in job.styles if style.mask is not None],
    }
    for values in own_groups(job.to_dict(), job.paint.method).values():
        if isinstance(values, Mapping):
            options |= {name: value for name, value in values.items() if value is not None}
    return options
