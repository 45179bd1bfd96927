"""Training runs of fast networks, from options to a weight file; few steps on tiny pictures."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from impasto.config.fast_training import LOSS_SCALES, MULTI_STYLE, FastFitOptions, FastTrainOptions
from impasto.core.errors import (
    DataError,
    ImageTooSmall,
    ImpastoError,
    NotFinite,
    OptionError,
    StateError,
    UnknownName,
    WeightsMismatch,
)
from impasto.image import files
from impasto.nets import fast as nets
from impasto.nets.layers import PALETTE, is_style_param
from impasto.training import sources
from impasto.training.checkpoints import averaged
from impasto.training.fast_run import prepare_fast, styles_in
from impasto.training.fit import Progress, fit
from impasto.training.pictures import Listed
from impasto.weights.card import load

Options = Callable[..., FastTrainOptions]


def trained(
    options: FastTrainOptions, fitting: FastFitOptions, folder: Path, *, steps: int | None = None
) -> list[Progress]:
    """The steps of a training that is stopped after `steps`."""
    rows, running = [], prepare_fast(options, fitting).train(folder)
    for progress in running:
        rows.append(progress)
        if progress.step == steps:
            running.close()  # type: ignore[attr-defined]
    return rows


@pytest.mark.parametrize("multi_style", MULTI_STYLE)
@pytest.mark.parametrize("scale", LOSS_SCALES)
def test_every_way_trains(
    multi_style: str, scale: str, learned_options: Options, short: FastFitOptions, tmp_path: Path
) -> None:
    options = learned_options(
        multi_style=multi_style, loss_scale=scale, noise_weight=1.0, motion_weight=1.0, name="mine"
    )
    rows = trained(options, dataclasses.replace(short, steps=2, sample_every=2), tmp_path / "out")
    assert [row.step for row in rows] == [1, 2]
    assert set(rows[-1].losses) == {"content", "style", "smoothness", "noise", "motion", "range"}
    file = load(tmp_path / "out" / "network.safetensors")
    assert (file.card.kind, file.card.name) == ("fast", "mine")
    assert [style["name"] for style in file.card.styles] == (
        ["style", "content"] if multi_style == "conditional" else []
    )
    assert file.card.network["styles"] == (2 if multi_style == "conditional" else 1)
    kept = averaged(tmp_path / "out" / "checkpoint.pt")
    for key, value in file.tensors.items():
        assert value.dtype == (torch.float16 if value.ndim == 4 else torch.float32)
        torch.testing.assert_close(value.float(), kept[key], rtol=1e-3, atol=1e-4)
    sample = files.read(tmp_path / "out" / "samples" / "step-000002.png").pixels
    assert sample.shape[-2:] == (6 * 32 + 5 * 4, 3 * 32 + 2 * 4)  # five contents below two styles, or one


def test_stopped_and_resumed_is_as_if_never_stopped(
    learned_options: Options, short: FastFitOptions, tmp_path: Path
) -> None:
    options = learned_options(noise_weight=1.0)
    whole = trained(options, short, tmp_path / "whole")
    first = trained(options, short, tmp_path / "parts", steps=3)
    assert not (tmp_path / "parts" / "network.safetensors").exists()
    second = trained(options, short, tmp_path / "parts")
    assert [row.step for row in second] == [4]
    assert first + second == whole
    for name in ("network.safetensors", "log.jsonl", "training.json"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert trained(options, dataclasses.replace(short, seed=1), tmp_path / "other") != whole  # the law can fail


def test_another_style_is_refused(learned_options: Options, short: FastFitOptions, tmp_path: Path) -> None:
    trained(learned_options(), short, tmp_path / "out", steps=2)
    with pytest.raises(StateError, match="style_weight"):
        trained(learned_options(style_weight=3.0), short, tmp_path / "out")


def test_another_picture_of_the_same_name_is_refused(
    learned_options: Options, short: FastFitOptions, there: Path, tmp_path: Path
) -> None:
    trained(learned_options(), short, tmp_path / "out", steps=2)
    files.write(there / "style.png", torch.rand(1, 3, 80, 90))
    with pytest.raises(StateError, match="another styles_sha256"):
        trained(learned_options(), short, tmp_path / "out")


def test_huge_style_weights_train(learned_options: Options, short: FastFitOptions, tmp_path: Path) -> None:
    rows = trained(
        learned_options(loss_scale="papers", style_weight=10e20, content_weight=10e3), short, tmp_path / "out"
    )
    assert rows[-1].skipped == 0
    start, end = (
        prepare_fast(learned_options(), short).task.network.state_dict(),
        averaged(tmp_path / "out/checkpoint.pt"),
    )
    assert any(not torch.equal(start[key], value) for key, value in end.items())


def test_new_networks_have_no_weave_by_default(learned_options: Options, short: FastFitOptions) -> None:
    net = prepare_fast(learned_options(), short).task.network
    assert {key for key in net.state_dict() if key.endswith(".noise")}
    plain = prepare_fast(learned_options(texture_noise=False, upsampling="nearest"), short).task.network
    assert not {key for key in plain.state_dict() if key.endswith(".noise")}
    assert [layer.conv.doubles for layer in net.up] == ["bilinear"]  # type: ignore[union-attr]
    assert [layer.conv.doubles for layer in plain.up] == ["nearest"]  # type: ignore[union-attr]


def test_batch_norms_keep_the_statistics_of_the_training(
    learned_options: Options, short: FastFitOptions, tmp_path: Path
) -> None:
    trained(learned_options(norm="batch"), dataclasses.replace(short, steps=2), tmp_path / "out")
    network = nets.load_fast_network(tmp_path / "out" / "network.safetensors", precision="float32").of({"style": 1.0})
    norm = network.net.blocks[0].one.norm
    assert norm.running_mean.abs().max() > 0
    assert norm.weight.ndim == 1
    picture = torch.rand(1, 3, 40, 48)
    expected = network.painter.painted(picture)
    with_another = network.net(torch.cat([picture, 0 * picture]))[:1].clamp(0, 1)  # each picture by itself
    torch.testing.assert_close(with_another, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("multi_style", ["conditional", "average"])
def test_training_lowers_the_loss(
    multi_style: str, learned_options: Options, short: FastFitOptions, tmp_path: Path
) -> None:
    prepared = prepare_fast(learned_options(multi_style=multi_style), short)
    batch = prepared.batches(0)
    longer = dataclasses.replace(short, steps=15, learning_rate=3e-3)
    totals = [
        sum(row.losses.values())
        for row in fit(prepared.task, lambda step: batch, options=longer, folder=tmp_path / "o")
    ]
    assert totals[-1] < 0.9 * totals[0]


def test_epochs_set_the_steps(learned_options: Options, short: FastFitOptions, tmp_path: Path) -> None:
    rows = trained(learned_options(epochs=1.2), short, tmp_path / "out")
    assert [(row.step, row.steps) for row in rows] == [(i, 3) for i in (1, 2, 3)]  # 1.2 times 5 contents by 2
    assert load(tmp_path / "out" / "network.safetensors").card.training["fit"]["steps"] == 3


def test_many_contents_keep_the_shown_ones_out(learned_options: Options, short: FastFitOptions) -> None:
    few = prepare_fast(learned_options(), short)
    assert len(few.datasets[0]) == 5
    names = [Listed(Path(f"{i}.png"), f"{i}.png") for i in range(100)]
    held, seen = sources.held_out(names, None)
    assert len(held) == 8
    assert len(seen) == 92
    assert not set(held) & set(seen)


def test_validation_pictures_are_shown(
    learned_options: Options, short: FastFitOptions, there: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    shutil.copy(there / "content.png", folder / "kept.png")
    prepared = prepare_fast(learned_options(validation=folder), dataclasses.replace(short, sample_every=1))
    assert prepared.task.shown is not None
    assert len(prepared.task.shown[0]) == 1
    assert len(prepared.datasets[0]) == 5


def test_a_start_keeps_known_styles_and_begins_others_with_the_mean(
    learned_options: Options, short: FastFitOptions, there: Path, tmp_path: Path
) -> None:
    trained(learned_options(), dataclasses.replace(short, learning_rate=0.1), tmp_path / "first")
    file = load(tmp_path / "first" / "network.safetensors")
    shutil.copy(there / "content.png", there / "third.png")
    given = (there / "third.png", there / "style.png")
    net = prepare_fast(
        learned_options(styles=given, start_from=str(tmp_path / "first" / "network.safetensors")), short
    ).task.network
    assert torch.equal(net.get_buffer(PALETTE), file.tensors[PALETTE].flip(0))  # those of the pictures
    for key, value in ((k, v) for k, v in net.state_dict().items() if k != PALETTE):
        before = file.tensors[key].float()
        torch.testing.assert_close(value, torch.stack([before.mean(0), before[0]]) if is_style_param(key) else before)
    one = prepare_fast(
        learned_options(styles=(there / "style.png",), start_from=str(tmp_path / "first" / "network.safetensors")),
        short,
    ).task.network
    for key, value in one.state_dict().items():
        torch.testing.assert_close(value, file.tensors[key][0] if is_style_param(key) else file.tensors[key].float())
    with pytest.raises(WeightsMismatch, match=r"`start_from`.*blocks\.1"):
        prepare_fast(learned_options(blocks=2, start_from=str(tmp_path / "first" / "network.safetensors")), short)


def test_the_sample_shows_each_style(learned_options: Options, short: FastFitOptions) -> None:
    prepared = prepare_fast(learned_options(), dataclasses.replace(short, sample_every=1))
    task, net = prepared.task, prepared.task.network
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter)
    net.eval()  # as for a sample of a training
    with torch.no_grad():
        cells = task.sample(net)
        contents = task.shown[0]  # type: ignore[index]
        for column in range(2):
            shares = F.one_hot(torch.tensor([column]), 2).float()
            painted = net(contents[1:2], shares).clamp(0, 1)[0]
            torch.testing.assert_close(cells[2, 1 + column], painted, atol=1e-4, rtol=1e-4)
    assert cells.shape == (6, 3, 3, 32, 32)


def test_styles_by_file_folder_and_list(there: Path, styles: Path, tmp_path: Path) -> None:
    assert [style.name for style in styles_in([there / "style.png", styles])] == ["style", "0", "1", "2", "3"]
    table = tmp_path / "list.csv"
    table.write_text("path,name,about\nin/style.png,wave,by somebody\nin/content.png,,\n", encoding="utf-8")
    found = styles_in([table])
    assert [(style.name, style.about) for style in found] == [("wave", "by somebody"), ("content", "")]
    with pytest.raises(OptionError, match="two styles are named style"):
        styles_in([there / "style.png", there / "style.png"])
    with pytest.raises(DataError, match=r"none\.png does not exist"):
        styles_in([there / "none.png"])


@pytest.mark.parametrize(
    ("options", "kind", "match"),
    [
        ({"styles": ()}, OptionError, "`styles` is missing"),
        ({"contents": ()}, OptionError, "`contents` is missing"),
        ({"weights": (1.0, 2.0, 3.0)}, OptionError, "3 numbers; 2 styles"),
        ({"weights": (1.0, 0.0)}, OptionError, "weight 0 is not learned"),
        ({"weights": (0.0,), "multi_style": "sum"}, OptionError, "weight 0 is not learned"),
        ({"alpha": 0.5, "weights": (1.0, 2.0), "multi_style": "sum"}, OptionError, "`alpha`"),
        ({"content_weight": 0.0, "style_weight": 0.0}, OptionError, "both 0"),
        ({"style_losses": ("grams",)}, UnknownName, "gram"),
        ({"style_losses": ("mean-std",), "loss_scale": "papers"}, OptionError, "papers"),
        ({"content_layers": ("relu2_2", "relu2_2")}, OptionError, "twice"),
        ({"style_layers": ("relu9_1",)}, UnknownName, "relu9_1"),
        ({"style_layer_weights": (1.0, 2.0)}, OptionError, "`style_layer_weights` has 2"),
        ({"crop_px": 33}, OptionError, "`crop_px`"),
        ({"encoder": "compact-vgh"}, UnknownName, "compact-vgg"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_written(
    options: dict[str, object],
    kind: type[ImpastoError],
    match: str,
    learned_options: Options,
    short: FastFitOptions,
    tmp_path: Path,
) -> None:
    with pytest.raises(kind, match=match):
        trained(learned_options(**options), short, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_left_out_is_what_suits(learned_options: Options, short: FastFitOptions) -> None:
    plain = prepare_fast(learned_options(), short).task
    assert (list(plain.targets[0]), list(plain.style_layers.values())) == (["mean-std", "gram"], [0.3, 0.6, 1, 1, 1])
    papers = prepare_fast(learned_options(loss_scale="papers"), short).task
    assert (list(papers.targets[0]), list(papers.style_layers.values())) == (["gram"], [1] * 5)
    few = prepare_fast(learned_options(style_layers=("relu1_1", "relu2_1"), style_losses=("covariance",)), short).task
    assert (list(few.targets[0]), list(few.style_layers.values())) == (["covariance"], [1, 1])


def test_alpha_shares_out_two_styles(learned_options: Options, short: FastFitOptions) -> None:
    assert prepare_fast(learned_options(alpha=0.25, multi_style="sum"), short).batches.weights == (0.25, 0.75)


def test_a_style_that_is_too_small_or_no_picture(
    learned_options: Options, short: FastFitOptions, there: Path, tmp_path: Path
) -> None:
    small = there / "small.png"
    files.write(small, torch.rand(1, 3, 30, 90))
    with pytest.raises(ImageTooSmall, match=r"small is 90×30 px; 64"):
        trained(learned_options(styles=(small,)), short, tmp_path / "out")
    text = there / "text.png"
    text.write_text("no picture")
    with pytest.raises(ImpastoError, match="the style text"):
        trained(learned_options(styles=(text,)), short, tmp_path / "out")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match="no picture"):
        trained(learned_options(contents=(empty,)), short, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_weights_that_explode_end_with_one_line(
    learned_options: Options, short: FastFitOptions, tmp_path: Path
) -> None:
    wild = dataclasses.replace(short, steps=60, learning_rate=1e30, clip_norm=0.0)
    with pytest.raises(NotFinite, match="learning_rate"):
        trained(learned_options(), wild, tmp_path / "out")
    assert not (tmp_path / "out" / "network.safetensors").exists()


def test_the_card_names_no_folder(learned_options: Options, short: FastFitOptions, tmp_path: Path) -> None:
    trained(learned_options(licence="MIT", about="drawn"), dataclasses.replace(short, steps=1), tmp_path / "out")
    card = load(tmp_path / "out" / "network.safetensors").card
    assert (card.licence, card.source, card.name) == ("MIT", "drawn", "style")
    assert card.training["options"]["styles"] == ["style", "content"]
    assert card.training["pictures"]["contents"] == 5
    assert str(tmp_path) not in json.dumps(card.training)
