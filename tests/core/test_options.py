"""Reading, writing and checking option dataclasses."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from impasto.core.errors import OptionError, UnknownName
from impasto.core.options import Choice, Doc, Options, Range, annotated_fields, from_dict, help_text, option, rules


@dataclass(frozen=True, kw_only=True)
class Inner(Options):
    depth: Annotated[int, Doc("How deep."), Range(1, 9)] = 3
    kind: Annotated[str, Doc("What kind."), Choice(("round", "square"))] = "round"


@dataclass(frozen=True, kw_only=True)
class Outer(Options):
    name: str
    weight_px: Annotated[float, Doc("How much."), Range(0)] = 1.0
    many: Annotated[tuple[float, ...], Range(0, 10)] = (1.0,)
    pair: tuple[int, int] | None = None
    place: Path | None = None
    flagged: bool = False
    mode: Literal["a", "b"] = "a"
    number_or_name: int | str = 0
    inner: Inner = field(default_factory=Inner)
    inners: tuple[Inner, ...] = ()


FULL = Outer(
    name="x",
    weight_px=2.5,
    many=(0.0, 3.0),
    pair=(3, 4),
    place=Path("a/b"),
    flagged=True,
    mode="b",
    number_or_name="seven",
    inner=Inner(depth=9, kind="square"),
    inners=(Inner(), Inner(depth=1)),
)


@pytest.mark.parametrize("options", [FULL, Outer(name="only")])
def test_round_trip(options: Outer) -> None:
    assert from_dict(Outer, options.to_dict()) == options


def test_to_dict_is_plain() -> None:
    def plain(value: Any) -> bool:
        if isinstance(value, dict):
            return all(isinstance(k, str) and plain(v) for k, v in value.items())
        if isinstance(value, list):
            return all(plain(v) for v in value)
        return value is None or isinstance(value, str | int | float | bool)

    assert plain(FULL.to_dict())


def test_missing_keys_take_their_defaults() -> None:
    assert from_dict(Outer, {"name": "x"}) == Outer(name="x")


def test_a_missing_key_without_default_is_named() -> None:
    with pytest.raises(OptionError, match="recipe has no name"):
        from_dict(Outer, {}, where="recipe")


def test_unknown_key_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"key in recipe 'wieght_px'. Did you mean 'weight_px'"):
        from_dict(Outer, {"name": "x", "wieght_px": 1}, where="recipe")


def test_unknown_key_of_a_nested_table_says_where() -> None:
    with pytest.raises(UnknownName, match=r"recipe\.inner 'deep'"):
        from_dict(Outer, {"name": "x", "inner": {"deep": 1}}, where="recipe")


def test_a_key_that_is_no_string() -> None:
    with pytest.raises(UnknownName):
        from_dict(Outer, {5: 1})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", 5),
        ("name", None),
        ("weight_px", "1"),
        ("weight_px", True),
        ("weight_px", None),
        ("many", 1.0),
        ("many", ["a"]),
        ("pair", [1]),
        ("pair", [1, 2, 3]),
        ("pair", [1, 2.5]),
        ("place", 5),
        ("flagged", 1),
        ("flagged", "yes"),
        ("mode", "c"),
        ("mode", 5),
        ("number_or_name", 1.5),
        ("inner", 5),
        ("inner", {"depth": "3"}),
        ("inner", {"depth": True}),
        ("inners", [5]),
        ("weight_px", 10**400),
    ],
)
def test_wrong_type(key: str, value: object) -> None:
    with pytest.raises(OptionError, match=key.replace("_", "[_-]")):
        from_dict(Outer, {"name": "x", key: value})


@pytest.mark.parametrize("value", [-1, math.nan, math.inf, -math.inf])
def test_out_of_range(value: float) -> None:
    with pytest.raises(OptionError, match=r"`weight_px` is .*; it must be 0 or more"):
        from_dict(Outer, {"name": "x", "weight_px": value})
    with pytest.raises(OptionError, match="`weight_px`"):
        Outer(name="x", weight_px=value)


def test_a_whole_number_beyond_all_floats_is_out_of_range() -> None:
    with pytest.raises(OptionError, match="`n` is a whole number of 1329 bits; it must be 1 or more"):
        Range(1).check("`n`", 10**400)


def test_every_number_of_a_list_is_checked() -> None:
    with pytest.raises(OptionError, match="`many` is 11; it must be between 0 and 10"):
        Outer(name="x", many=(1.0, 11.0))


def test_none_is_not_held_against_a_range() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Optional(Options):
        size: Annotated[int | None, Range(1)] = None

    assert Optional().size is None


def test_a_choice_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"`kind` 'sqare'. Did you mean 'square'"):
        Inner(kind="sqare")


def test_made_by_hand_it_is_as_strict_and_as_kind() -> None:
    made = Outer(name="x", weight_px=2, many=[1, 2], place="a/b", inner={"depth": 4})  # type: ignore[arg-type]
    assert (made.weight_px, made.many, made.place, made.inner) == (2.0, (1.0, 2.0), Path("a/b"), Inner(depth=4))
    assert isinstance(made.weight_px, float)
    with pytest.raises(OptionError, match="`weight_px` is '2'; float is needed"):
        Outer(name="x", weight_px="2")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="`many` is 3; a list is needed"):
        Outer(name="x", many=3)  # type: ignore[arg-type]


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_a_range_takes_what_lies_in_it_and_nothing_else(value: float) -> None:
    inside = math.isfinite(value) and -2 <= value <= 3
    try:
        Range(-2, 3).check("`x`", value)
        taken = True
    except OptionError:
        taken = False
    assert taken == inside


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (Range(1), "1 or more"),
        (Range(None, 2), "2 or less"),
        (Range(1, 2), "between 1 and 2"),
        (Range(), "a finite number"),
        (Choice(("a", "b")), "one of a, b"),
    ],
)
def test_rules_speak(rule: Range | Choice, text: str) -> None:
    assert str(rule) == text


def test_help_names_the_range_and_the_choices() -> None:
    hints = {f.name: hint for f, hint in annotated_fields(Inner)}
    assert help_text(hints["depth"]) == "How deep. (between 1 and 9)"
    assert help_text(hints["kind"]) == "What kind. (one of round, square)"
    assert help_text(int) == ""
    assert rules(hints["depth"]) == [Range(1, 9)]


def test_flags() -> None:
    assert option("long_side_px") == "`long_side_px`"
