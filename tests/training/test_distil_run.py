"""Training runs by teachers, from options to a weight file; few steps on tiny pictures."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from teaching import invert

from impasto.config.distil import DistilOptions
from impasto.config.fast_training import FastFitOptions
from impasto.core.errors import DataError, NotFinite, OptionError, StateError, UnknownName, WeightsMismatch
from impasto.nets import fast as nets
from impasto.training.checkpoints import averaged
from impasto.training.distil_run import prepare_distil
from impasto.training.fit import Progress, fit
from impasto.weights.card import load, save

Options = Callable[..., DistilOptions]

pytestmark = pytest.mark.usefixtures("painters")

PAIR = (Path("dark"), Path("inverted"))


def trained(
    options: DistilOptions,
    fitting: FastFitOptions,
    folder: Path,
    *,
    steps: int | None = None,
    tell: Callable[[str], object] = print,
) -> list[Progress]:
    """The steps of a training that is stopped after `steps`."""
    rows, running = [], prepare_distil(options, fitting, tell=tell).train(folder)
    for progress in running:
        rows.append(progress)
        if progress.step == steps:
            running.close()  # type: ignore[attr-defined]
    return rows


@pytest.mark.parametrize("multi_style", ["conditional", "sum", "average", "alternate"])
def test_every_way_trains_and_is_loaded(
    multi_style: str, distil_options: Options, short: FastFitOptions, tmp_path: Path
) -> None:
    options = distil_options(teachers=PAIR, multi_style=multi_style, name="mine", licence="MIT", about="drawn by code")
    rows = trained(options, dataclasses.replace(short, steps=2), tmp_path / "out")
    assert [row.step for row in rows] == [1, 2]
    assert list(rows[-1].losses) == ["features", "pixels", "range"]
    card = load(tmp_path / "out" / "network.safetensors").card
    assert (card.kind, card.name, card.licence, card.source) == ("fast", "mine", "MIT", "drawn by code")
    names = [style["name"] for style in card.styles]
    assert names == (["dark", "inverted"] if multi_style == "conditional" else [])
    assert card.training["options"]["multi_style"] == multi_style
    assert [teacher["name"] for teacher in card.training["taught_by"]] == ["dark", "inverted"]
    assert card.training["fit"]["steps"] == 2
    assert str(tmp_path) not in json.dumps(card.training)
    net = nets.load_fast_network(tmp_path / "out" / "network.safetensors", precision="float32").net
    kept = averaged(tmp_path / "out" / "checkpoint.pt")
    for name, value in net.state_dict().items():
        torch.testing.assert_close(value, kept[name], rtol=1e-3, atol=1e-4)


def test_without_a_name_it_has_the_first_teachers(
    distil_options: Options, short: FastFitOptions, tmp_path: Path
) -> None:
    trained(distil_options(teachers=PAIR[:1]), dataclasses.replace(short, steps=1), tmp_path / "out")
    card = load(tmp_path / "out" / "network.safetensors").card
    assert (card.name, card.styles, card.network["styles"]) == ("dark", [], 1)


@pytest.mark.parametrize("cached", [False, True])
def test_stopped_and_resumed_is_as_if_never_stopped(
    cached: bool, distil_options: Options, short: FastFitOptions, contents: Path, tmp_path: Path
) -> None:
    folder = invert(contents, tmp_path / "results", but=("1",))

    def options(name: str) -> DistilOptions:
        cache = tmp_path / f"kept-{name}" if cached else None
        return distil_options(teachers=(*PAIR, folder), noise_weight=1.0, cache=cache)

    whole = trained(options("whole"), short, tmp_path / "whole")
    first = trained(options("parts"), short, tmp_path / "parts", steps=3)
    assert not (tmp_path / "parts" / "network.safetensors").exists()
    second = trained(options("parts"), short, tmp_path / "parts")
    assert [row.step for row in second] == [4]
    assert first + second == whole
    for name in ("network.safetensors", "log.jsonl", "training.json"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert trained(options("parts"), short, tmp_path / "parts") == []
    other = trained(options("whole"), dataclasses.replace(short, seed=1), tmp_path / "other")
    assert other != whole  # the law can fail


def test_a_student_that_begins_as_its_teacher_has_nothing_to_learn(
    distil_options: Options, short: FastFitOptions, learned_file: Path, tmp_path: Path
) -> None:
    file = load(learned_file)
    file.tensors["last.conv.weight"].mul_(0.05)  # so that it paints within [0, 1], where teachers stay
    save(learned_file, file.tensors, card=file.card)
    numbers = {
        "widths": (4, 4, 4),
        "blocks": 1,
        "outer_px": 9,
        "skips": False,
        "recolours": False,
        "upsampling": "nearest",
    }
    one = dataclasses.replace(short, steps=1)
    found = {}
    for start in (str(learned_file), None):
        options = distil_options(teachers=(learned_file,), start_from=start, **numbers)
        (row,) = trained(options, one, tmp_path / f"{start is None}")
        found[start is None] = row.losses
    for part in ("pixels", "features"):
        assert found[False][part] < 1e-8
        assert found[True][part] > 1e-2


def test_a_network_that_recolours_begins_in_the_colours_of_its_teachers(
    distil_options: Options, short: FastFitOptions, contents: Path, tmp_path: Path
) -> None:
    folder = invert(contents, tmp_path / "results", but=("0",))
    for multi_style in ("conditional", "sum"):
        options = distil_options(teachers=(Path("dark"), folder), multi_style=multi_style, weights=(3.0, 1.0))
        ready = prepare_distil(options, short)
        crops = torch.cat([ready.batches(step).contents for step in range(40)])
        means = torch.stack([crops.mean((0, 2, 3)) / 4, 1 - crops.mean((0, 2, 3))])
        wanted = means if multi_style == "conditional" else 0.75 * means[:1] + 0.25 * means[1:]
        found = ready.task.network.get_buffer("palette").reshape(-1, 12)[:, :3]
        torch.testing.assert_close(found, wanted, atol=0.1, rtol=0)


def test_styles_that_it_began_with_keep_their_colours(
    distil_options: Options, short: FastFitOptions, tmp_path: Path
) -> None:
    one = dataclasses.replace(short, steps=1)
    trained(distil_options(teachers=(Path("same"), Path("dark"))), one, tmp_path / "out")
    start = tmp_path / "out" / "network.safetensors"
    before = load(start).tensors["palette"]
    options = distil_options(teachers=(Path("dark"), Path("inverted")), start_from=str(start))
    after = prepare_distil(options, dataclasses.replace(short, seed=5)).task.network.get_buffer("palette")
    assert torch.equal(after[0], before[1].float())
    assert not torch.allclose(after[1], before.float().mean(0), atol=1e-3)


def test_training_lowers_the_loss(distil_options: Options, short: FastFitOptions, tmp_path: Path) -> None:
    prepared = prepare_distil(distil_options(teachers=PAIR), short)
    batch = prepared.batches(0)
    options = dataclasses.replace(short, steps=8, learning_rate=1e-2)
    totals = [
        sum(row.losses.values())
        for row in fit(prepared.task, lambda step: batch, options=options, folder=tmp_path / "o")
    ]
    assert totals[-1] < 0.9 * totals[0]


def test_pictures_and_learned_styles_teach_together(
    distil_options: Options,
    short: FastFitOptions,
    learned_file: Path,
    network_file: Path,
    there: Path,
    tmp_path: Path,
) -> None:
    teachers = (learned_file, there / "style.png")
    options = distil_options(teachers=teachers, network=str(network_file))
    rows = trained(options, dataclasses.replace(short, steps=2, sample_every=2), tmp_path / "out")
    assert rows[-1].skipped == 0
    assert rows[-1].sample == tmp_path / "out" / "samples" / "step-000002.png"
    card = load(tmp_path / "out" / "network.safetensors").card
    assert [style["name"] for style in card.styles] == ["learned", "style"]
    licences = [load(path).card.licence for path in (learned_file, network_file)]
    assert [teacher["licence"] for teacher in card.training["taught_by"]] == licences
    stated = [licence for licence in licences if licence != "not stated"]
    assert all(licence in card.notes for licence in stated)
    assert ("whose licences apply" in card.notes) is bool(stated)


def test_epochs_count_contents(distil_options: Options, short: FastFitOptions, tmp_path: Path) -> None:
    rows = trained(distil_options(teachers=PAIR, epochs=2), short, tmp_path / "out")
    assert len(rows) == 5  # five contents, two a step


def test_what_lacks_results_is_told(
    distil_options: Options, short: FastFitOptions, contents: Path, tmp_path: Path
) -> None:
    folder, lines = invert(contents, tmp_path / "results", but=("0", "3")), list[str]()
    one = dataclasses.replace(short, steps=1)
    trained(distil_options(teachers=(folder, *PAIR)), one, tmp_path / "out", tell=lines.append)
    assert lines == ["results has results for 3 of 5 contents; it teaches those only"]
    whole = invert(contents, tmp_path / "all")
    trained(distil_options(teachers=(whole,)), one, tmp_path / "other", tell=lines.append)
    assert len(lines) == 1


def test_pictures_that_cannot_be_read_are_told(
    distil_options: Options, short: FastFitOptions, contents: Path, tmp_path: Path
) -> None:
    (contents / "2.png").write_bytes(b"no picture")
    for path in contents.iterdir():
        if path.stem in "01":
            path.unlink()
    rows = trained(distil_options(teachers=PAIR), dataclasses.replace(short, steps=2), tmp_path / "out")
    assert len(rows[-1].unreadable) == 1
    assert "2.png" in rows[-1].unreadable[0]


def test_a_folder_belongs_to_one_training(distil_options: Options, short: FastFitOptions, tmp_path: Path) -> None:
    one = dataclasses.replace(short, steps=1)
    trained(distil_options(teachers=PAIR), one, tmp_path / "out")
    assert trained(distil_options(teachers=PAIR, memory_gb=0), one, tmp_path / "out") == []
    for changed, message in (
        ({"teachers": PAIR[::-1]}, "another teachers, taught_by"),
        ({"teacher_strength": 0.5}, "another teacher_strength, taught_by"),
        ({"pixel_weight": 3.0}, "another pixel_weight"),
        ({"cache": tmp_path / "kept"}, "another cache"),
    ):
        with pytest.raises(StateError, match=message):
            trained(distil_options(**({"teachers": PAIR} | changed)), one, tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"teachers": ()}, OptionError, "`teachers` is missing"),
        ({"teachers": (Path("drak"),)}, UnknownName, "unknown trained style 'drak'. Did you mean 'dark'"),
        ({"teachers": (Path("dark"), Path("a/dark"))}, OptionError, "two teachers are named dark"),
        ({"teachers": (Path("demanding"),)}, OptionError, "`crop_px` is 32, too small for the teacher demanding"),
        ({"teachers": (Path("broken"),)}, NotFinite, "the teacher broken paints NaN"),
        ({"weights": (1.0, 2.0, 3.0)}, OptionError, "`weights` has 3 numbers; 2 teachers need as many, or one"),
        ({"weights": (1.0, 0.0)}, OptionError, "a teacher of weight 0 is not learned"),
        ({"contents": ()}, OptionError, "`contents` is missing"),
        ({"contents": (Path("nowhere"),)}, DataError, "neither a folder nor"),
        ({"feature_layers": ("relu9_1",)}, UnknownName, "layer 'relu9_1'"),
        ({"feature_layers": ("relu1_1", "relu1_1")}, OptionError, "`feature_layers` names a layer twice"),
        ({"pixel_weight": 0.0, "feature_weight": 0.0}, OptionError, "are both 0"),
        ({"crop_px": 33}, OptionError, "a multiple of 2, is needed"),
        ({"start_from": "tiny"}, WeightsMismatch, "`start_from` does not fit"),
    ],
)
def test_mistakes_are_told_before_a_content_is_read(
    options: dict[str, Any],
    error: type[Exception],
    message: str,
    distil_options: Options,
    short: FastFitOptions,
    there: Path,
    unread: None,
    tmp_path: Path,
) -> None:
    if "start_from" in options:
        options = {"start_from": str(there / "tiny.safetensors")}
    with pytest.raises(error, match=message):
        trained(distil_options(**({"teachers": PAIR} | options)), short, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_without_a_result(
    distil_options: Options, short: FastFitOptions, contents: Path, unread: None, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no picture"):
        trained(distil_options(teachers=(tmp_path / "empty",)), short, tmp_path / "out")
    folder = invert(contents, tmp_path / "results", but=("1", "2", "3", "4"))
    (folder / "0.png").rename(folder / "x.png")
    with pytest.raises(DataError, match="none of the 1 pictures"):
        trained(distil_options(teachers=(folder,)), short, tmp_path / "out")


def test_a_painting_that_cannot_be_kept(distil_options: Options, short: FastFitOptions, tmp_path: Path) -> None:
    from impasto.core.errors import ImageUnwritable

    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ImageUnwritable):
        trained(distil_options(teachers=PAIR, cache=tmp_path / "file"), short, tmp_path / "out")
    assert not (tmp_path / "out" / "network.safetensors").exists()


def test_preparing_is_repeatable_and_leaves_the_callers_random_numbers(
    distil_options: Options, short: FastFitOptions
) -> None:
    before = torch.get_rng_state()
    one, other = (prepare_distil(distil_options(teachers=PAIR), short) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    first, second = (ready.task.network.state_dict() for ready in (one, other))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow
def test_two_processes_train_as_one(
    distil_options: Options, contents: Path, learned_file: Path, tmp_path: Path
) -> None:
    given, results = distil_options(), invert(contents, tmp_path / "results", but=("2",))
    words = [
        "train",
        "distil",
        "--contents",
        str(contents),
        "--teachers",
        str(learned_file),
        "--teachers",
        str(results),
    ]
    words += [
        "--encoder",
        given.encoder,
        "--crop-px",
        "32",
        "--short-side-px",
        "40",
        "--widths",
        "4,6",
        "--blocks",
        "1",
    ]
    words += ["--steps", "3", "--batch-size", "4", "--precision", "float32", "--device", "cpu", "--log-every", "1"]
    words += ["--no-texture-noise", "--smoothness-weight", "1", "--sample-every", "2", "--threads", "1", "--json"]
    two = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m"]
    for name, start in (("one", [sys.executable, "-m"]), ("two", two)):
        command = [*start, "impasto", *words, "-o", str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["steps"] == 3  # the first process alone speaks
        assert done.stderr.count("results has results for 4 of 5 contents") == 1
    one, two_ = (torch.load(tmp_path / name / "checkpoint.pt", weights_only=True) for name in ("one", "two"))
    for part in ("module", "average"):
        for key, value in one[part].items():
            torch.testing.assert_close(value, two_[part][key], atol=2e-4, rtol=0)
