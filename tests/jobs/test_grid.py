"""Grids: what a file of experiments may say, and what is wrong with one that may not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from impasto.config.fast_training import FastFitOptions, FastTrainOptions
from impasto.core.errors import ImpastoError, OptionError, UnknownName
from impasto.jobs.grid import SAMPLE_EVERY, Experiment, experiments, value_text

PAGE = Path(__file__).parents[2] / "docs" / "train.md"


def parsed(folder: Path, text: str) -> list[Experiment]:
    path = folder / "grid.toml"
    path.write_text(text, encoding="utf-8")
    return experiments(path)


def test_every_combination_of_a_grid(tmp_path: Path) -> None:
    found = parsed(tmp_path, "[grid]\nstyle-weight = [5, 1e10]\npooling = ['max', 'average']\nbatch_size = [2]\n")
    assert [e.name for e in found] == [
        "style-weight=5_pooling=max_batch-size=2",
        "style-weight=5_pooling=average_batch-size=2",
        "style-weight=1e10_pooling=max_batch-size=2",
        "style-weight=1e10_pooling=average_batch-size=2",
    ]
    assert [e.folder for e in found] == [e.name for e in found]
    assert [e.head for e in found] == ["1", "2", "3", "4"]
    assert [(e.options.style_weight, e.options.pooling) for e in found[1:3]] == [(5.0, "average"), (1e10, "max")]
    assert {e.fitting.batch_size for e in found} == {2}


def test_runs_take_from_the_base_what_they_do_not_say(tmp_path: Path) -> None:
    text = "[base]\nsteps = 7\ncontent-weight = 2\n[[runs]]\nname = 'a'\n[[runs]]\nname = 'b'\ncontent_weight = 3\n"
    a, b = parsed(tmp_path, text)
    assert (a.fitting.steps, a.options.content_weight, a.settings) == (7, 2.0, {})
    assert (b.fitting.steps, b.options.content_weight, b.settings) == (7, 3.0, {"content_weight": 3.0})
    assert a.value("steps") == 7
    assert b.value("content_weight") == 3


def test_what_the_file_does_not_say_is_as_the_command_has_it(tmp_path: Path) -> None:
    (run,) = parsed(tmp_path, "[[runs]]\nname = 'a'\n")
    assert run.options == FastTrainOptions()
    assert run.fitting == FastFitOptions(sample_every=SAMPLE_EVERY)
    (silent,) = parsed(tmp_path, "[base]\nsample-every = 0\n[[runs]]\nname = 'a'\n")
    assert silent.fitting.sample_every == 0


def test_the_grid_comes_before_the_runs(tmp_path: Path) -> None:
    found = parsed(tmp_path, "[[runs]]\nname = 'own'\n[grid]\nseed = [0, 1]\n")
    assert [e.name for e in found] == ["seed=0", "seed=1", "own"]


def test_one_value_does_for_a_list(tmp_path: Path) -> None:
    text = "[base]\nstyles = 'a.png'\n[grid]\nwidths = [[4, 8, 8], [8, 8, 8]]\nstyle-losses = ['gram', 'mean-std']\n"
    found = parsed(tmp_path, text)
    assert found[0].options.styles == (Path("a.png"),)
    assert [(e.options.widths, e.options.style_losses) for e in found[:2]] == [
        ((4, 8, 8), ("gram",)),
        ((4, 8, 8), ("mean-std",)),
    ]


def test_the_name_of_the_network_is_that_of_the_base(tmp_path: Path) -> None:
    (run,) = parsed(tmp_path, "[base]\nname = 'wave'\n[[runs]]\nname = 'few steps'\n")
    assert (run.options.name, run.name) == ("wave", "few steps")


@pytest.mark.parametrize("name", ["../up", "..", ".", "a/b", "report.html", "ü", " ", "x" * 300, "-o", "a."])
def test_folders_have_plain_names_of_their_own(name: str, tmp_path: Path) -> None:
    if not name.strip():
        with pytest.raises(OptionError, match="has the name"):
            parsed(tmp_path, f"[[runs]]\nname = '{name}'\n")
        return
    other, run = parsed(tmp_path, f"[[runs]]\nname = '{name}!'\n[[runs]]\nname = '{name}'\n")
    assert re.fullmatch(r"[A-Za-z0-9=+_-]{1,120}", run.folder)
    assert run.folder != other.folder


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("[base]\nstyle-wieght = 5\n[grid]\nseed = [1]", UnknownName, r"\[base\]: 'style-wieght'"),
        ("[grid]\nstyel-px = [5]", UnknownName, r"\[grid\]: 'styel-px'"),
        ("[[runs]]\nname = 'x'\nstep = 5", UnknownName, r"\[\[runs\]\], run 'x': 'step'"),
        ("[bsae]\nsteps = 5", UnknownName, "table in .* 'bsae'.*'base'"),
        ("steps = 5", UnknownName, "table in .* 'steps'"),
        ("[base]\nsteps = 'five'\n[grid]\nseed = [1]", OptionError, r"\[base\]: `steps` is 'five'; int is needed"),
        ("[base]\nsteps = true\n[grid]\nseed = [1]", OptionError, r"\[base\]: `steps` is True"),
        ("[base]\nsteps = 1.5\n[grid]\nseed = [1]", OptionError, r"\[base\]: `steps` is 1.5"),
        ("[base]\nstyle-weight = nan\n[grid]\nseed = [1]", OptionError, r"\[base\]: `style_weight` is nan"),
        ("[base]\nsteps = 1979-05-27\n[grid]\nseed = [1]", OptionError, r"\[base\]: `steps` is"),
        ("[base]\nsteps = {a = 1}\n[grid]\nseed = [1]", OptionError, r"\[base\]: `steps` is"),
        ("[grid]\nbatch-size = [4, 0]", OptionError, r"\[grid\], value 2 of batch-size: `batch_size` is 0; it must be"),
        ("[grid]\npooling = ['max', 'men']", UnknownName, r"value 2 of pooling: unknown `pooling` 'men'"),
        ("[[runs]]\nname = 'x'\npooling = 'men'", UnknownName, r"run 'x': unknown `pooling` 'men'"),
        ("[grid]\nsteps = 5", OptionError, r"\[grid\]: steps is 5; a list"),
        ("[grid]\nsteps = []", OptionError, r"\[grid\]: steps is \[\]; a list"),
        ("[grid]\nstyle-weight = [5, 5.0]", OptionError, r"style-weight has 5 twice"),
        ("[grid]\nname = ['a', 'b']", OptionError, r"cannot vary"),
        ("[base]\nbatch-size = 1\nbatch_size = 2\n[grid]\nseed = [1]", OptionError, "batch_size twice"),
        ("[[runs]]\nsteps = 5", OptionError, "run 1 has no name"),
        ("[[runs]]\nname = 'a'\n[[runs]]\nname = 1", OptionError, "run 2 has the name 1"),
        ("[[runs]]\nname = 'a'\n[[runs]]\nname = 'a'", OptionError, "two runs 'a' and 'a'"),
        ("[[runs]]\nname = 'a'\n[[runs]]\nname = 'A'", OptionError, "two runs 'a' and 'A'"),
        ("[grid]\nseed = [1]\n[[runs]]\nname = 'seed=1'", OptionError, "two runs 'seed=1'"),
        ("[runs]\nname = 'a'", OptionError, r"write it as \[\[runs\]\]"),
        ("grid = 5", OptionError, r"write it as \['grid'\]|write it as \[grid\]"),
        ("[base]\nsteps = 5", OptionError, "has no experiments"),
        ("", OptionError, "has no experiments"),
        ("[base]\n=", OptionError, "is not TOML: .*line 2"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, kind: type[ImpastoError], said: str, tmp_path: Path) -> None:
    with pytest.raises(kind, match=said) as caught:
        parsed(tmp_path, text)
    assert "grid.toml" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="cannot be read"):
        experiments(tmp_path / "nowhere.toml")
    with pytest.raises(OptionError, match="cannot be read"):
        experiments(tmp_path)
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(OptionError, match="is not TOML"):
        experiments(tmp_path / "bytes.toml")


def test_values_as_one_writes_them() -> None:
    values = [1e10, 5.0, 0.1, 1 / 3, 123456789.0, True, (16, 32), ("a", "b"), Path("x/y.png"), 7]
    texts = ["1e10", "5", "0.1", repr(1 / 3), "123456789.0", "true", "16+32", "a+b", "x/y.png", "7"]
    assert [value_text(value) for value in values] == texts


def test_the_example_in_the_docs_is_the_table_of_five(tmp_path: Path) -> None:
    texts = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (five, grid) = [parsed(tmp_path, text) for text in texts]
    rows = [
        (e.fitting.batch_size, e.options.epochs, e.options.style_weight, e.options.content_weight, e.options.pooling)
        for e in five
    ]
    assert rows == [
        (4, 10, 1e10, 1e5, "max"),
        (4, 4, 10e10, 10e3, "max"),
        (4, 2, 10e10, 10e5, "max"),
        (8, 20, 10e10, 10e5, "average"),
        (4, 2, 10e20, 10e3, "max"),
    ]
    assert {(e.options.encoder, e.options.loss_scale) for e in five} == {("vgg16", "papers")}
    assert len(grid) > 1
