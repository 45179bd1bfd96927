from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import pytest
from cyclopts import App

from impasto.cli.flags import flag, flag_text, flagged, plain, takes_options, with_flags
from impasto.cli.stylize import from_preset
from impasto.config.arbitrary import ArbitraryOptions
from impasto.config.console import ConsoleOptions
from impasto.config.job import Job, LookOptions, PaintOptions
from impasto.config.optimise import LossOptions, OptimiseOptions
from impasto.config.pictures import ColourOptions, OutputOptions, SizeOptions
from impasto.config.presets import PRESETS
from impasto.config.training import BackboneOptions, FitOptions
from impasto.core.errors import OptionError
from impasto.core.options import Options, from_dict

GROUPS: list[type[Options]] = [
    PaintOptions,
    SizeOptions,
    ColourOptions,
    ArbitraryOptions,
    LossOptions,
    OptimiseOptions,
    OutputOptions,
    ConsoleOptions,
    BackboneOptions,
    FitOptions,
]


def parsed(group: type[Options], *words: str) -> Any:
    def given(**options: Options) -> Options:
        return options["read"]

    parameter = inspect.Parameter("read", inspect.Parameter.KEYWORD_ONLY, annotation=group)
    given.__signature__ = inspect.Signature([parameter])  # type: ignore[attr-defined]
    given.__annotations__ = {"read": group, "return": group}
    app = App()
    app.default(takes_options(given))
    return app(list(words), exit_on_error=False, print_error=False, result_action="return_value")


@pytest.mark.parametrize("group", GROUPS)
def test_every_option_has_a_flag_that_reads_its_own_default(group: type[Options]) -> None:
    for field in dataclasses.fields(group):  # type: ignore[arg-type]
        if field.default in (None, ()):
            continue
        words = [flag(field.name)] if field.default is False else [flag(field.name), flag_text(field.default)]
        found = getattr(parsed(group, *words), field.name)
        assert found == (True if field.default is False else field.default)


@pytest.mark.parametrize("group", GROUPS)
def test_help_shows_every_flag_once(group: type[Options], capsys: pytest.CaptureFixture[str]) -> None:
    parsed(group, "--help")
    shown = capsys.readouterr().out.split()
    for field in dataclasses.fields(group):  # type: ignore[arg-type]
        assert shown.count(flag(field.name)) >= 1
    assert not any(word.startswith(("--empty-", "--no-")) for word in shown)


@pytest.mark.parametrize("group", GROUPS)
def test_plain_gives_the_class_that_was_flagged(group: type[Options]) -> None:
    assert plain(group, flagged(group)()) == group()
    assert type(parsed(group)) is group


def test_nested_options_become_flags_and_plain_objects_again() -> None:
    look = parsed(LookOptions, "--size", "64", "--strength", "2")
    assert look == LookOptions(size=SizeOptions(size=64), paint=PaintOptions(strength=2.0))
    assert type(look.size) is SizeOptions


def test_lists_take_commas_and_repeats() -> None:
    assert parsed(OptimiseOptions, "--steps", "60,40", "--steps", "20").steps == (60, 40, 20)
    assert parsed(LossOptions, "--style-layers", " relu1_1, relu2_1 ").style_layers == ("relu1_1", "relu2_1")


@pytest.mark.parametrize("text", ["640x480", "640,480", "640X480", "640×480"])
def test_a_pair_is_written_in_any_of_the_usual_ways(text: str) -> None:
    assert parsed(SizeOptions, "--exact", text).exact == (640, 480)


@pytest.mark.parametrize(
    ("group", "words", "message"),
    [
        (SizeOptions, ["--exact", "640"], "--exact is '640'; width and height are needed"),
        (SizeOptions, ["--exact", "640xtall"], "--exact has 'tall'; a whole number"),
        (OptimiseOptions, ["--steps", "60,x"], "--steps has 'x'; a whole number"),
        (OptimiseOptions, ["--steps", "60,0"], "--steps is 0; it must be between 1 and 1e+06"),
        (PaintOptions, ["--strength", "11"], "--strength is 11; it must be between 0 and 10"),
        (PaintOptions, ["--strength", "nan"], "--strength is nan"),
    ],
)
def test_bad_values_are_told_with_their_flag(group: type[Options], words: list[str], message: str) -> None:
    with pytest.raises(OptionError) as caught:
        parsed(group, *words)
    assert message in with_flags(str(caught.value))


def test_a_flag_that_is_on_can_be_turned_off() -> None:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class On(Options):
        light: bool = True

    assert parsed(On).light
    assert not parsed(On, "--no-light").light


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_valid_options(name: str) -> None:
    job = from_dict(Job, {"content": "a", "styles": [], **PRESETS[name].options})
    for group, values in PRESETS[name].options.items():
        assert all(getattr(getattr(job, group), field) == value for field, value in values.items())


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_sets_what_flags_leave_open(name: str) -> None:
    app = App(config=(from_preset,))

    @app.default
    @takes_options
    def command(*, preset: str = "", look: LookOptions) -> LookOptions:
        return look

    words = ["--preset", name, "--steps", "7"]
    look = app(words, exit_on_error=False, print_error=False, result_action="return_value")
    for group, values in PRESETS[name].options.items():
        for field, value in values.items():
            assert getattr(getattr(look, group), field) == ((7,) if field == "steps" else value)


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("`style_scale` is 2", "--style-scale is 2"),
        ("leave it out with `audio=False`", "leave it out with --no-audio"),
        ("give `exact_grid=True`", "give --exact-grid"),
        ("use `method=optimise`, or `method=arbitrary`.", "use --method optimise, or --method arbitrary."),
        ("a file of `impasto style save`, not `Loud`", "a file of `impasto style save`, not `Loud`"),
    ],
)
def test_errors_name_options_as_flags(message: str, shown: str) -> None:
    assert with_flags(message) == shown
