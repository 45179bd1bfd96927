"""Laws that every option of the product obeys. A new dataclass in `config` is tested without an edit here."""

from __future__ import annotations

import dataclasses
import importlib
import json
import pkgutil

import pytest

import impasto.config
from impasto.core.errors import OptionError, UnknownName
from impasto.core.options import Choice, Options, Range, annotated_fields, from_dict, help_text, rules


def option_classes() -> list[type[Options]]:
    found: dict[str, type[Options]] = {}
    for module in pkgutil.iter_modules(impasto.config.__path__):
        here = importlib.import_module(f"impasto.config.{module.name}")
        for value in vars(here).values():
            if isinstance(value, type) and issubclass(value, Options) and value.__module__ == here.__name__:
                found[f"{module.name}.{value.__name__}"] = value
    return list(found.values())


CLASSES = option_classes()
every_class = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)


def required(cls: type[Options]) -> dict[str, object]:
    """Values for the fields without default: numbers, strings and lists of what they hold."""
    values: dict[str, object] = {}
    for field, hint in annotated_fields(cls):
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            kind = str(hint)
            values[field.name] = [] if "tuple" in kind else 1.0 if "float" in kind else "x"
    return values


def test_there_are_some() -> None:
    assert {"LossOptions", "OptimiseOptions", "SizeOptions", "FitOptions"} <= {cls.__name__ for cls in CLASSES}


@every_class
def test_frozen_and_keyword_only(cls: type[Options]) -> None:
    made = from_dict(cls, required(cls))
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(made, dataclasses.fields(cls)[0].name, None)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        cls("positional")  # type: ignore[call-arg]


@every_class
def test_defaults_make_the_round_trip_through_json(cls: type[Options]) -> None:
    made = from_dict(cls, required(cls))
    assert from_dict(cls, json.loads(json.dumps(made.to_dict()))) == made


@every_class
def test_plain_options_say_what_they_are(cls: type[Options]) -> None:
    for field, hint in annotated_fields(cls):
        nested = isinstance(hint, type) and issubclass(hint, Options)
        assert nested or help_text(hint), f"{cls.__name__}.{field.name} has no help"


@every_class
def test_what_lies_outside_is_refused(cls: type[Options]) -> None:
    for field, hint in annotated_fields(cls):
        for rule in rules(hint):
            kind = Options if isinstance(rule, Choice) else None
            bad: object = "no such name" if kind else _outside(rule)
            if bad is None:
                continue
            value = [bad] if isinstance(getattr(from_dict(cls, required(cls)), field.name), tuple) else bad
            with pytest.raises(UnknownName if kind else OptionError):
                from_dict(cls, required(cls) | {field.name: value})


def _outside(rule: Range | Choice) -> object:
    assert isinstance(rule, Range)
    if rule.low is not None:
        return int(rule.low) - 1
    return None if rule.high is None else int(rule.high) + 1
