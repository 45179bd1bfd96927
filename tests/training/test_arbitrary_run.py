"""Training runs of networks for any style, from options to a weight file; few steps on tiny pictures."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from impasto.config.arbitrary_training import VARIANTS, ArbitraryFitOptions, ArbitraryTrainOptions
from impasto.core.errors import DataError, OptionError, StateError, UnknownName
from impasto.core.paths import sha256_of
from impasto.encoders.table import Encoder
from impasto.encoders.vgg import Vgg
from impasto.nets import table as nets
from impasto.training.arbitrary_run import prepare_arbitrary
from impasto.training.checkpoints import averaged
from impasto.training.data import Pair
from impasto.training.fit import Progress, fit
from impasto.weights.card import Card, load, save

Options = Callable[..., ArbitraryTrainOptions]


def trained(
    options: ArbitraryTrainOptions, fitting: ArbitraryFitOptions, folder: Path, *, steps: int | None = None
) -> list[Progress]:
    """The steps of a training that is stopped after `steps`."""
    rows, running = [], prepare_arbitrary(options, fitting).train(folder)
    for progress in running:
        rows.append(progress)
        if progress.step == steps:
            running.close()  # type: ignore[attr-defined]
    return rows


def test_the_variants_of_the_options_are_those_of_the_table() -> None:
    assert tuple(nets.VARIANTS) == VARIANTS


@pytest.mark.parametrize("variant", nets.VARIANTS)
def test_every_variant_trains_and_is_loaded(
    variant: str, adain_options: Options, brief: ArbitraryFitOptions, tmp_path: Path
) -> None:
    options = adain_options(
        variant=variant, name="mine", identity_weight=1.0, smoothness_weight=1.0, noise_weight=1.0, motion_weight=1.0
    )
    short = dataclasses.replace(brief, steps=2)
    rows = trained(options, short, tmp_path / "out")
    assert [row.step for row in rows] == [1, 2]
    assert rows[-1].skipped == 0
    assert set(rows[-1].losses) == {"content", "style", "identity", "smoothness", "noise", "motion", "range"}
    network = nets.load_network(tmp_path / "out" / "network.safetensors", precision="float32")
    assert (network.card.kind, network.name) == ("arbitrary", "mine")
    kept = averaged(tmp_path / "out" / "checkpoint.pt")
    for name, value in network.net.state_dict().items():  # type: ignore[attr-defined]
        torch.testing.assert_close(value, kept[name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("variant", ["adain", "adain-colour", "predicted"])
def test_stopped_and_resumed_is_as_if_never_stopped(
    variant: str, adain_options: Options, brief: ArbitraryFitOptions, tmp_path: Path
) -> None:
    options = adain_options(variant=variant, identity_weight=1.0, noise_weight=1.0)
    whole = trained(options, brief, tmp_path / "whole")
    first = trained(options, brief, tmp_path / "parts", steps=3)
    assert not (tmp_path / "parts" / "network.safetensors").exists()
    second = trained(options, brief, tmp_path / "parts")
    assert [row.step for row in second] == [4]
    assert first + second == whole
    for name in ("network.safetensors", "log.jsonl", "training.json"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert trained(options, brief, tmp_path / "parts") == []  # nothing left to do but the file
    again = tmp_path / "parts" / "network.safetensors"
    assert again.read_bytes() == (tmp_path / "whole" / "network.safetensors").read_bytes()
    other = trained(options, dataclasses.replace(brief, seed=1), tmp_path / "other")
    assert other != whole  # the law can fail


@pytest.mark.parametrize("variant", ["adain", "adain-colour", "predicted"])
def test_training_lowers_the_loss(
    variant: str, adain_options: Options, brief: ArbitraryFitOptions, tmp_path: Path
) -> None:
    prepared = prepare_arbitrary(adain_options(variant=variant), brief)
    batch = prepared.batches(0)
    options = dataclasses.replace(brief, steps=12, learning_rate=1e-3)
    totals = [
        sum(row.losses.values())
        for row in fit(prepared.task, lambda step: batch, options=options, folder=tmp_path / "o")
    ]
    assert totals[-1] < 0.95 * totals[0]


def test_the_card(adain_options: Options, brief: ArbitraryFitOptions, there: Path, tmp_path: Path) -> None:
    options = adain_options(licence="MIT", about="drawn by code")
    trained(options, dataclasses.replace(brief, steps=1), tmp_path / "out")
    card = load(tmp_path / "out" / "network.safetensors").card
    encoder = there / "tiny.safetensors"
    assert card.network == {
        "architecture": "mirrored",
        "encoder": {"name": str(encoder), "sha256": sha256_of(encoder)},
    }
    assert (card.licence, card.source) == ("MIT", "drawn by code")
    assert card.training["encoder_sha256"] == sha256_of(encoder)
    assert card.training["fit"]["steps"] == 1
    assert card.training["pictures"]["contents"] == 5
    assert card.training["pictures"]["styles"] == 4
    assert card.training["options"]["contents"] == ["contents"]
    assert card.training["options"]["encoder"] == "narrow"
    assert "memory_gb" not in card.training["options"]
    assert str(tmp_path) not in json.dumps(card.training)


def test_an_encoder_by_name_is_named_so(
    adain_options: Options, brief: ArbitraryFitOptions, there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from impasto.weights.readers import import_weights

    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))
    import_weights(there / "tiny.safetensors", name="eye")
    trained(adain_options(encoder="eye"), dataclasses.replace(brief, steps=1), tmp_path / "out")
    assert nets.load_network(tmp_path / "out" / "network.safetensors").card.network["encoder"]["name"] == "eye"


def test_a_folder_belongs_to_one_training(
    adain_options: Options, brief: ArbitraryFitOptions, styles: Path, tmp_path: Path
) -> None:
    one = dataclasses.replace(brief, steps=1)
    trained(adain_options(), one, tmp_path / "out")
    assert trained(adain_options(memory_gb=0), one, tmp_path / "out") == []  # changes nothing that is seen
    for refused, message in (
        (adain_options(style_weight=5.0), "another style_weight"),
        (adain_options(variant="wct"), "another variant"),
        (adain_options(contents=(styles,)), "another contents, pictures"),
    ):
        with pytest.raises(StateError, match=message):
            trained(refused, one, tmp_path / "out")
    with pytest.raises(StateError, match="another learning_rate"):
        trained(adain_options(), dataclasses.replace(one, learning_rate=1.0), tmp_path / "out")
    (styles / "3.png").rename(styles / "4.png")
    with pytest.raises(StateError, match="another pictures"):
        trained(adain_options(), one, tmp_path / "out")
    for text in ("no JSON", "[]", "{}"):
        (tmp_path / "out" / "training.json").write_text(text)
        with pytest.raises(StateError, match="give another output folder"):
            trained(adain_options(), one, tmp_path / "out")


def test_pictures_that_cannot_be_read_are_told_and_change_no_resuming(
    adain_options: Options, brief: ArbitraryFitOptions, contents: Path, styles: Path, tmp_path: Path
) -> None:
    (contents / "2.png").write_bytes(b"no picture")
    (styles / "0.png").write_bytes(b"")
    whole = trained(adain_options(), brief, tmp_path / "whole")
    assert len(whole[-1].unreadable) == 2
    assert "2.png" in whole[-1].unreadable[0]
    assert "0.png" in whole[-1].unreadable[1]
    trained(adain_options(), brief, tmp_path / "parts", steps=3)
    trained(adain_options(), brief, tmp_path / "parts")
    one, other = (tmp_path / name / "network.safetensors" for name in ("whole", "parts"))
    assert one.read_bytes() == other.read_bytes()
    for path in styles.iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError, match="none of 4 pictures can be read"):
        trained(adain_options(), brief, tmp_path / "none")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"style_layers": ("relu1_1", "relu9_1"), "style_layer_weights": (1.0,)}, UnknownName, "layer 'relu9_1'"),
        ({"content_layers": ("relu4_9",)}, UnknownName, "layer 'relu4_9'"),
        ({"style_losses": ("grm",)}, UnknownName, "style loss 'grm'. Did you mean 'gram'"),
        ({"style_layer_weights": (1.0, 2.0)}, OptionError, "has 2 numbers; 5 layers need as many, or one"),
        ({"style_layers": ("relu1_1",) * 5}, OptionError, "`style_layers` names a layer twice"),
        ({"content_layers": ()}, OptionError, "`content_layers` is empty"),
        ({"style_losses": ()}, OptionError, "`style_losses` is empty"),
        ({"content_weight": 0.0, "style_weight": 0.0}, OptionError, "are all 0"),
        ({"contents": ()}, OptionError, "`contents` is missing"),
        ({"styles": ()}, OptionError, "`styles` is missing"),
        ({"sizes": 3}, OptionError, "`crop_px` is 32; 128 or more"),
        ({"crop_px": 44}, OptionError, "a multiple of 8, is needed. Use `crop_px=48`"),
        ({"variant": "predicted", "crop_px": 46}, OptionError, "`crop_px=48`"),
        ({"encoder": "nowhere.safetensors"}, Exception, "the weight file nowhere.safetensors does not exist"),
    ],
)
def test_wrong_options_are_told_before_a_picture_is_read(
    options: dict[str, Any],
    error: type[Exception],
    message: str,
    adain_options: Options,
    brief: ArbitraryFitOptions,
    unread: None,
    tmp_path: Path,
) -> None:
    with pytest.raises(error, match=message):
        trained(adain_options(**options), brief, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_folders_that_do_not_serve(
    adain_options: Options, brief: ArbitraryFitOptions, unread: None, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    for source, message in ((tmp_path / "empty", "holds no picture"), (tmp_path / "none", "neither a folder nor")):
        with pytest.raises(DataError, match=message):
            trained(adain_options(styles=(source,)), brief, tmp_path / "out")


Stages = tuple[tuple[int, int], ...]


@pytest.fixture
def encoder_of(make_encoder: Callable[..., Encoder], tmp_path: Path) -> Callable[[Stages], str]:
    """The file of a random VGG with the stages `(width, convolutions)`."""

    def saved(stages: Stages) -> str:
        made = make_encoder(stages=stages)
        save(path := tmp_path / "other.safetensors", made.net.convs_folded(), card=made.card)  # type: ignore[operator]
        return str(path)

    return saved


@pytest.mark.parametrize("variant", nets.VARIANTS)
def test_an_encoder_that_does_not_serve(
    variant: str,
    adain_options: Options,
    brief: ArbitraryFitOptions,
    unread: None,
    encoder_of: Callable[[Stages], str],
    tmp_path: Path,
) -> None:
    shallow = encoder_of(((4, 2), (6, 2), (8, 1)))
    with pytest.raises(OptionError, match=f"does not fit `variant={variant}`: unknown layer 'relu[45]_1'"):
        trained(adain_options(variant=variant, encoder=shallow), brief, tmp_path / "out")


def test_an_encoder_that_is_no_vgg(
    adain_options: Options, brief: ArbitraryFitOptions, unread: None, tmp_path: Path
) -> None:
    from impasto.encoders.squeezenet import SqueezeNet

    network = {"architecture": "squeezenet-1.0"}
    card = Card(kind="encoder", name="squeezenet", network=network, preprocess="squeezenet-bgr")
    net = SqueezeNet(matrix=((1, 0, 0), (0, 1, 0), (0, 0, 1)), offset=(0, 0, 0))
    save(path := tmp_path / "squeezenet.safetensors", net.state_dict(), card=card)
    with pytest.raises(OptionError, match="squeezenet is not a purely sequential network"):
        trained(adain_options(encoder=str(path)), brief, tmp_path / "out")
    with pytest.raises(OptionError, match="does not fit `variant=predicted`: unknown layer 'relu1_1'"):
        trained(adain_options(encoder=str(path), variant="predicted"), brief, tmp_path / "out")


def test_other_encoders_of_the_kind_serve(
    adain_options: Options, brief: ArbitraryFitOptions, encoder_of: Callable[[Stages], str], tmp_path: Path
) -> None:
    wider = encoder_of(((4, 1), (5, 1), (6, 3), (10, 2), (12, 1)))
    trained(adain_options(encoder=wider), dataclasses.replace(brief, steps=1), tmp_path / "out")
    assert nets.load_network(tmp_path / "out" / "network.safetensors").encoder.width("relu4_1") == 10


def test_pictures_smaller_than_the_crop(
    adain_options: Options, brief: ArbitraryFitOptions, styles: Path, tmp_path: Path
) -> None:
    from PIL import Image

    for path in styles.iterdir():
        Image.new("RGB", (3, 1), (200, 40, 10)).save(path)
    rows = trained(adain_options(), dataclasses.replace(brief, steps=1), tmp_path / "out")
    assert rows[0].skipped == 0


def test_preparing_is_repeatable_and_leaves_the_callers_random_numbers(
    adain_options: Options, brief: ArbitraryFitOptions
) -> None:
    before = torch.get_rng_state()
    one, other = (prepare_arbitrary(adain_options(variant="predicted"), brief) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    first, second = (prepared.task.network.state_dict() for prepared in (one, other))
    assert all(torch.equal(first[name], second[name]) for name in first)
    a, b = one.batches(3), other.batches(3)
    assert isinstance(a, Pair)
    assert torch.equal(a.contents, b.contents)
    assert torch.equal(a.styles, b.styles)


def test_contents_and_styles_are_drawn_apart(
    adain_options: Options, brief: ArbitraryFitOptions, contents: Path
) -> None:
    pair = prepare_arbitrary(adain_options(styles=(contents,)), brief).batches(0)
    assert not torch.equal(pair.contents, pair.styles)


def test_a_source_named_twice_counts_twice(adain_options: Options, brief: ArbitraryFitOptions, contents: Path) -> None:
    assert len(prepare_arbitrary(adain_options(contents=(contents, contents)), brief).datasets[0]) == 10


def test_samples(adain_options: Options, brief: ArbitraryFitOptions, tmp_path: Path) -> None:
    from impasto.image import files

    plain = trained(adain_options(), brief, tmp_path / "plain")
    watching = dataclasses.replace(brief, sample_every=2)
    watched = trained(adain_options(), watching, tmp_path / "watched")
    assert [dataclasses.replace(row, sample=None) for row in watched] == plain
    names = [row.sample and row.sample.name for row in watched]
    assert names == [None, "step-000002.png", None, "step-000004.png"]
    picture = files.read(tmp_path / "watched" / "samples" / "step-000004.png").pixels
    assert picture.shape == (1, 3, 5 * 32 + 4 * 4, 5 * 32 + 4 * 4)  # four of each, and themselves
    one, other = (tmp_path / name / "network.safetensors" for name in ("plain", "watched"))
    assert load(one).tensors.keys() == load(other).tensors.keys()
    assert all(torch.equal(value, load(other).tensors[name]) for name, value in load(one).tensors.items())


def test_encoder_is_back_on_the_processor(
    adain_options: Options, brief: ArbitraryFitOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As far as that can be seen without another device."""
    placed: list[str] = []
    plain = torch.nn.Module.to

    def to(self: torch.nn.Module, *args: Any, **options: Any) -> torch.nn.Module:
        if isinstance(self, Vgg) and args:
            placed.append(str(args[0]))
        return plain(self, *args, **options)

    monkeypatch.setattr(torch.nn.Module, "to", to)
    trained(adain_options(), dataclasses.replace(brief, steps=1), tmp_path / "out")
    trained(adain_options(), brief, tmp_path / "stopped", steps=1)
    assert placed == ["cpu", "cpu"] * 2
