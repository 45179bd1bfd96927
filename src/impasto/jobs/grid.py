"""The file that names the experiments of a sweep: options that all share, and those that differ."""

from __future__ import annotations

import functools
import hashlib
import itertools
import re
import tomllib
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from impasto.config.fast_training import FastFitOptions, FastTrainOptions
from impasto.core.errors import OptionError, UnknownName
from impasto.core.options import Options, annotated_fields

O = TypeVar("O", bound=Options)  # noqa: E741

BASE, GRID, RUNS = "base", "grid", "runs"
SAMPLE_EVERY = 500  # where the file does not say it: without samples there is nothing to compare
LONGEST = 100  # characters of a folder's name
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.=+_-]*(?<!\.)")


@dataclass(frozen=True)
class Experiment:
    """One training of a sweep.

    `head` is what stands above its column: the name, or the number of one of a grid. `folder` is the name of its
    folder, `settings` are the options that it does not take from the table that all share, by their field names.
    """

    name: str
    head: str
    folder: str
    settings: Mapping[str, Any]
    options: FastTrainOptions
    fitting: FastFitOptions

    def value(self, field: str) -> Any:
        """The value of an option, whether the file says it or not."""
        return getattr(self.fitting if hasattr(self.fitting, field) else self.options, field)


def experiments(path: Path) -> list[Experiment]:
    """The experiments that a TOML file names: those of its grid, then its runs, in their order.

    `[base]` holds options of all, by the names of the flags of `impasto train fast`; `[grid]` lists of values, of which
    every combination is one experiment; each of `[[runs]]` a name and options of its own. `OptionError` and
    `UnknownName` say what is wrong and where. Paths are as flags would have them: relative to the current folder.
    """
    tables = _tables(path)
    base = _checked(tables.get(BASE, {}), f"{path}, [{BASE}]")
    base = {"sample_every": SAMPLE_EVERY, **base}
    found = [
        *_of_grid(tables.get(GRID, {}), base, where=f"{path}, [{GRID}]"),
        *_of_runs(tables.get(RUNS, []), base, where=f"{path}, [[{RUNS}]]"),
    ]
    if not found:
        raise OptionError(f"{path} names no experiments. Give lists of values in [{GRID}], or names in [[{RUNS}]].")
    known: dict[str, str] = {}
    for experiment in found:
        key = experiment.folder.casefold()  # some file systems take A and a for one
        if key in known:
            raise OptionError(f"{path} names two runs {known[key]!r} and {experiment.name!r}; give each its own name.")
        known[key] = experiment.name
    return found


def written(value: Any) -> str:
    """A value as one would write it: `1e10`, `relu1_1+relu2_1`."""
    if isinstance(value, tuple | list):
        return "+".join(written(item) for item in value)
    if isinstance(value, float):
        short = f"{value:g}"
        return (short if float(short) == value else repr(value)).replace("e+", "e")
    return str(value).lower() if isinstance(value, bool) else str(value)


def flag_name(field: str) -> str:
    """`batch_size` as it stands in the file: `batch-size`."""
    return field.replace("_", "-")


def _tables(path: Path) -> dict[str, Any]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(f"{path} cannot be read ({error.strerror}); name a TOML file.") from error
    except ValueError as error:  # TOMLDecodeError, and bytes that are no UTF-8
        raise OptionError(f"{path} is no TOML: {' '.join(str(error).split())}.") from error
    for name, value in tables.items():
        if name not in (BASE, GRID, RUNS):
            raise UnknownName.of(f"table in {path}:", name, (BASE, GRID, RUNS))
        right = isinstance(value, list) and all(isinstance(v, dict) for v in value) if name == RUNS else isinstance(
            value, dict)  # fmt: skip
        if not right:
            raise OptionError(f"{path}: {name} is {value!r}; write it as {f'[[{name}]]' if name == RUNS else [name]}.")
    return tables


def _of_grid(table: Mapping[str, Any], base: Mapping[str, Any], *, where: str) -> Iterator[Experiment]:
    """Every combination of the values in a table of lists; the last option changes fastest."""
    along: dict[str, list[Any]] = {}
    for key, values in table.items():
        field = _field(key, along, where)
        if not isinstance(values, list) or not values:
            raise OptionError(f"{where}: {key} is {values!r}; a list of values is needed.")
        along[field] = [_value(field, v, f"{where}, value {i} of {key}") for i, v in enumerate(values, start=1)]
        texts = [written(value) for value in along[field]]
        if doubled := sorted({text for text in texts if texts.count(text) > 1}):
            raise OptionError(f"{where}: {key} has {', '.join(doubled)} twice; once is enough.")
    for number, values in enumerate(itertools.product(*along.values()) if along else [], start=1):
        settings = dict(zip(along, values, strict=True))
        name = "_".join(f"{flag_name(field)}={written(value)}" for field, value in settings.items())
        yield _experiment(name, str(number), settings, base)


def _of_runs(tables: Sequence[Mapping[str, Any]], base: Mapping[str, Any], *, where: str) -> Iterator[Experiment]:
    for number, table in enumerate(tables, start=1):
        name = table.get("name")
        if not isinstance(name, str) or not name.strip():
            said = "has no name" if name is None else f"has the name {name!r}"
            raise OptionError(f'{where}, run {number} {said}; give it a text: name = "few epochs".')
        own = {key: value for key, value in table.items() if key != "name"}
        yield _experiment(name, name, _checked(own, f"{where}, run {name!r}"), base)


def _experiment(name: str, head: str, settings: Mapping[str, Any], base: Mapping[str, Any]) -> Experiment:
    values = {**base, **settings}
    options, fitting = _made(FastTrainOptions, values), _made(FastFitOptions, values)
    return Experiment(name, head, _folder(name), settings, options, fitting)


def _made(cls: type[O], values: Mapping[str, Any]) -> O:
    """The values that are options of `cls`."""
    return cls(**{name: value for name, value in values.items() if _options()[name][0] is cls})


def _folder(name: str) -> str:
    """A name for files that says the name of a run, and is another for another name."""
    if _SAFE.fullmatch(name) and len(name) <= LONGEST and not name.endswith((".html", ".json", ".png")):
        return name
    plain = re.sub(r"[^A-Za-z0-9=+_-]+", "-", name).strip("-")[: LONGEST - 20]
    return f"{plain or 'run'}-{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:8]}"


@functools.cache
def _options() -> dict[str, tuple[type[Options], Any]]:
    """Class and type of every option by the name of its field."""
    classes = (FastTrainOptions, FastFitOptions)
    return {field.name: (cls, hint) for cls in classes for field, hint in annotated_fields(cls)}


def _checked(table: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The values of a table by their field names."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        field = _field(key, found, where)
        found[field] = _value(field, value, where)
    return found


def _field(key: str, others: Mapping[str, Any], where: str) -> str:
    """The field that a key stands for; it may be written with - or _."""
    field = key.replace("-", "_")
    if field not in _options():
        raise UnknownName.of(f"option in {where}:", key, map(flag_name, _options()))
    if field in others:
        raise OptionError(f"{where} has {key} twice, with - and with _; write it once.")
    if field == "name" and where.endswith(f"[{GRID}]"):
        raise OptionError(f"{where}: name is what one network is called, and nothing to vary. Name runs in [[{RUNS}]].")
    return field


def _value(field: str, value: Any, where: str) -> Any:
    """A value of an option's type, within its range. One value does for a list of one."""
    cls, hint = _options()[field]
    if _is_list(hint) and not isinstance(value, list):
        value = [value]
    try:
        return getattr(cls(**{field: value}), field)
    except OptionError as error:
        raise type(error)(f"{where}: {error}") from error


def _is_list(hint: Any) -> bool:
    if typing.get_origin(hint) is Annotated:
        hint = typing.get_args(hint)[0]
    return typing.get_origin(hint) is tuple
