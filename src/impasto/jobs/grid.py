"""The TOML file of a sweep of trainings: options of all experiments, and those that differ."""

from __future__ import annotations

import functools
import itertools
import tomllib
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from impasto.analysis.runs import file_stem
from impasto.config.fast_training import FastFitOptions, FastTrainOptions
from impasto.core.errors import OptionError, UnknownName
from impasto.core.options import Options, annotated_fields

O = TypeVar("O", bound=Options)  # noqa: E741

BASE, GRID, RUNS = "base", "grid", "runs"
SAMPLE_EVERY = 500  # unless the file sets it: without samples there is nothing to compare


@dataclass(frozen=True)
class Experiment:
    """One training of a sweep.

    `head` is the heading of its column: the name, or the number in a grid. `folder` is the name of its folder,
    `settings` are its own options by field name, without the table `[base]`.
    """

    name: str
    head: str
    folder: str
    settings: Mapping[str, Any]
    options: FastTrainOptions
    fitting: FastFitOptions

    def value(self, field: str) -> Any:
        """The value of an option, which may be its default."""
        return getattr(self.fitting if hasattr(self.fitting, field) else self.options, field)


def experiments(path: Path) -> list[Experiment]:
    """The experiments of a TOML file: its grid, then its runs, in the order of the file.

    `[base]` has options of all experiments, named like the flags of `impasto train fast`; `[grid]` has lists of values,
    whose combinations are an experiment each; each of `[[runs]]` has a name and its own options. Paths are relative to
    the current folder. Raises `OptionError` and `UnknownName` with the place in the file.
    """
    tables = _tables(path)
    base = _checked(tables.get(BASE, {}), f"{path}, [{BASE}]")
    base = {"sample_every": SAMPLE_EVERY, **base}
    planned = [
        *_of_grid(tables.get(GRID, {}), base, where=f"{path}, [{GRID}]"),
        *_of_runs(tables.get(RUNS, []), base, where=f"{path}, [[{RUNS}]]"),
    ]
    if not planned:
        raise OptionError(f"{path} has no experiments. Add lists of values in [{GRID}], or named runs in [[{RUNS}]].")
    known: dict[str, str] = {}
    for experiment in planned:
        key = experiment.folder.casefold()  # some file systems ignore case
        if key in known:
            raise OptionError(
                f"{path} has two runs {known[key]!r} and {experiment.name!r}; names must differ in more than case."
            )
        known[key] = experiment.name
    return planned


def value_text(value: Any) -> str:
    """A value as text: `1e10`, `relu1_1+relu2_1`."""
    if isinstance(value, tuple | list):
        return "+".join(value_text(item) for item in value)
    if isinstance(value, float):
        short = f"{value:g}"
        return (short if float(short) == value else repr(value)).replace("e+", "e")
    return str(value).lower() if isinstance(value, bool) else str(value)


def flag_name(field: str) -> str:
    """The name in the file: `batch-size` for `batch_size`."""
    return field.replace("_", "-")


def _tables(path: Path) -> dict[str, Any]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(f"{path} cannot be read ({error.strerror}); name a TOML file.") from error
    except ValueError as error:  # TOMLDecodeError, and bytes that are not UTF-8
        raise OptionError(f"{path} is not TOML: {' '.join(str(error).split())}.") from error
    for name, value in tables.items():
        if name not in (BASE, GRID, RUNS):
            raise UnknownName.of(f"table in {path}:", name, known=(BASE, GRID, RUNS))
        if name == RUNS:
            well_formed = isinstance(value, list) and all(isinstance(run, dict) for run in value)
        else:
            well_formed = isinstance(value, dict)
        if not well_formed:
            raise OptionError(f"{path}: {name} is {value!r}; write it as {f'[[{name}]]' if name == RUNS else [name]}.")
    return tables


def _of_grid(table: Mapping[str, Any], base: Mapping[str, Any], *, where: str) -> Iterator[Experiment]:
    """Every combination of the values in a table of lists, the last option changing fastest."""
    along: dict[str, list[Any]] = {}
    for key, values in table.items():
        field = _field(key, along, where=where)
        if not isinstance(values, list) or not values:
            raise OptionError(f"{where}: {key} is {values!r}; a list of values is needed.")
        along[field] = [_value(field, v, where=f"{where}, value {i} of {key}") for i, v in enumerate(values, start=1)]
        texts = [value_text(value) for value in along[field]]
        if repeated := sorted({text for text in texts if texts.count(text) > 1}):
            raise OptionError(f"{where}: {key} has {', '.join(repeated)} twice; once is enough.")
    for number, values in enumerate(itertools.product(*along.values()) if along else [], start=1):
        settings = dict(zip(along, values, strict=True))
        name = "_".join(f"{flag_name(field)}={value_text(value)}" for field, value in settings.items())
        yield _experiment(name, settings, head=str(number), base=base)


def _of_runs(tables: Sequence[Mapping[str, Any]], base: Mapping[str, Any], *, where: str) -> Iterator[Experiment]:
    for number, table in enumerate(tables, start=1):
        name = table.get("name")
        if not isinstance(name, str) or not name.strip():
            problem = "has no name" if name is None else f"has the name {name!r}"
            raise OptionError(f'{where}, run {number} {problem}; a text is needed: name = "few epochs".')
        own = {key: value for key, value in table.items() if key != "name"}
        yield _experiment(name, _checked(own, f"{where}, run {name!r}"), head=name, base=base)


def _experiment(name: str, settings: Mapping[str, Any], *, head: str, base: Mapping[str, Any]) -> Experiment:
    values = {**base, **settings}
    options, fitting = _made(FastTrainOptions, values), _made(FastFitOptions, values)
    return Experiment(name, head, file_stem(name), settings, options, fitting)


def _made(cls: type[O], values: Mapping[str, Any]) -> O:
    return cls(**{name: value for name, value in values.items() if _options()[name][0] is cls})


@functools.cache
def _options() -> dict[str, tuple[type[Options], Any]]:
    """Class and type of every option by field name."""
    classes = (FastTrainOptions, FastFitOptions)
    return {field.name: (cls, hint) for cls in classes for field, hint in annotated_fields(cls)}


def _checked(table: Mapping[str, Any], where: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in table.items():
        field = _field(key, values, where=where)
        values[field] = _value(field, value, where=where)
    return values


def _field(key: str, others: Mapping[str, Any], *, where: str) -> str:
    """The field of a key, which may be written with - or _."""
    field = key.replace("-", "_")
    if field not in _options():
        raise UnknownName.of(f"option in {where}:", key, known=map(flag_name, _options()))
    if field in others:
        raise OptionError(f"{where} has {key} twice, with - and with _; write it once.")
    if field == "name" and where.endswith(f"[{GRID}]"):
        raise OptionError(f"{where}: name is the name of one network and cannot vary. Name runs in [[{RUNS}]].")
    return field


def _value(field: str, value: Any, *, where: str) -> Any:
    """A value checked against the type and range of its option. A single value is accepted for a list."""
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
