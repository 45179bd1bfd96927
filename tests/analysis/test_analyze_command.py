"""`impasto analyze` from flags to files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from torch import Tensor

import impasto.api
from impasto.cli.main import main
from impasto.encoders.table import Encoder
from impasto.image import files
from impasto.weights.card import save


@pytest.fixture
def weights(tmp_path: Path, encoder: Encoder) -> str:
    path = tmp_path / "narrow.safetensors"
    save(path, encoder.net.convs.state_dict(), card=encoder.card)
    return str(path)


@pytest.fixture
def picture(tmp_path: Path, draw_photo: Callable[[int, int], Tensor]) -> Path:
    path = tmp_path / "photo.png"
    files.write(path, draw_photo(36, 48))
    return path


@pytest.fixture
def style(tmp_path: Path, draw_painting: Callable[[int, int], Tensor]) -> Path:
    path = tmp_path / "wave.png"
    files.write(path, draw_painting(40, 48))
    return path


def test_reconstruct_writes_picture_and_animation(
    tmp_path: Path, picture: Path, weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--content-layer", "relu1_1", "--steps", "3", "--size", "40", "--animation", str(tmp_path / "r.gif")]
    code = main(
        ["analyze", "reconstruct", str(picture), "--encoder", weights, *words, "-o", str(tmp_path / "r.png"), "--json"]
    )
    row = json.loads(capsys.readouterr().out)
    assert code == 0
    assert (row["size"], row["steps"]) == ([40, 30], 3)
    with Image.open(tmp_path / "r.gif") as film:
        assert film.n_frames == 3  # type: ignore[attr-defined]
    note = json.loads(files.read_notes(tmp_path / "r.png")["impasto-analysis"])
    assert note["options"]["target"]["content_layer"] == "relu1_1"


def test_style_layers_may_be_repeated(tmp_path: Path, picture: Path, weights: str) -> None:
    words = ["--style-layer", "relu1_1", "--style-layer", "relu2_1", "--steps", "2", "--size", "40"]
    assert (
        main(["analyze", "reconstruct", str(picture), "--encoder", weights, *words, "-o", str(tmp_path / "r.png")]) == 0
    )
    note = json.loads(files.read_notes(tmp_path / "r.png")["impasto-analysis"])
    assert note["options"]["target"]["style_layer"] == ["relu1_1", "relu2_1"]


@pytest.mark.parametrize(
    "words",
    [
        ["layers", "--layers", "relu1_1,relu2_1", "--steps", "1"],
        ["gram", "--layers", "relu1_1,relu2_1", "--order", "clustered"],
        ["features", "--layer", "relu2_1", "--channels", "4"],
    ],
)
def test_every_sheet_is_written_and_named(
    words: list[str], tmp_path: Path, picture: Path, weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name, *rest = words
    output = tmp_path / "sheet.png"
    assert main(["analyze", name, str(picture), "--encoder", weights, "--size", "40", *rest, "-o", str(output)]) == 0
    assert capsys.readouterr().out.strip() == str(output)
    assert files.read(output).pixels.shape[-1] > 100


def test_a_sweep_goes_on_and_reports(
    tmp_path: Path, picture: Path, style: Path, weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--encoder", weights, "--style", str(style), "--steps", "1", "--size", "48", "-o", str(tmp_path / "s")]
    words = [*words, "--method", "optimise"]
    command = ["analyze", "sweep", str(picture), *words, "--vary", "strength=0.5,1", "--json"]
    assert main(command) == 0
    first = json.loads(capsys.readouterr().out)
    assert (first["painted"], first["kept"]) == (2, 0)
    assert all(Path(path).is_file() for path in first["files"].values())
    assert main([*command, "--vary", "content_layers=relu2_1,relu9_1"]) == 1
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["kept"] == 2


def test_a_failed_run_is_reported_with_quiet(
    tmp_path: Path, picture: Path, style: Path, weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--encoder", weights, "--style", str(style), "--method", "optimise", "--steps", "1", "--size", "48"]
    sweep = ["--vary", "content_layers=relu9_1", "-o", str(tmp_path / "s"), "--quiet"]
    assert main(["analyze", "sweep", str(picture), *words, *sweep]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: run 1/1")
    assert "relu9_1" in line


def test_a_mix_sweep_measures_towards_both_styles(tmp_path: Path, picture: Path, style: Path, weights: str) -> None:
    words = ["--style", str(style), "--style", str(picture), "--steps", "1", "--size", "48", "-o", str(tmp_path / "s")]
    words = [*words, "--method", "optimise"]
    assert main(["analyze", "sweep", str(picture), "--encoder", weights, *words, "--vary", "mix=0,1"]) == 0
    cells = json.loads((tmp_path / "s" / "results.json").read_text())["runs"]
    assert "style-gram to wave.png" in cells[0]["measures"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["reconstruct", "-o", "r.png"], 2, "--content-layer"),
        (["reconstruct", "--content-layer", "relu1_9", "-o", "r.png"], 2, "Did you mean"),
        (["reconstruct", "--content-layer", "relu1_1", "-o", "r.doc"], 2, ".doc"),
        (["reconstruct", "--content-layer", "relu1_1", "-o", "photo.png"], 2, "replaced"),
        (["reconstruct", "--content-layer", "relu1_1", "-o", "r.png", "--animation", "r.avi"], 2, ".avi"),
        (["layers", "--size", "20", "-o", "r.png"], 1, "Use a larger --size"),
        (["gram", "--order", "clusterd", "-o", "r.png"], 2, "clustered"),
        (["sweep", "--style", "wave.png", "--vary", "strengt=1", "-o", "s"], 2, "'strength'"),
        (["sweep", "--style", "wave.png", "--vary", "strength=20", "-o", "s"], 2, "between 0 and 10"),
        (["sweep", "--style", "wave.png", "--vary", "strength=1", "-o", "wave.png"], 2, "folder"),
    ],
)
def test_wrong_use_is_told_in_one_line(
    words: list[str],
    code: int,
    said: str,
    picture: Path,
    style: Path,
    weights: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(picture.parent)
    name, *rest = words
    assert main(["analyze", name, "photo.png", "--encoder", weights, *rest]) == code
    message = capsys.readouterr().err.strip()
    assert said in message
    assert "Traceback" not in message
    assert len(message.splitlines()) == 1


def test_a_picture_is_rebuilt_from_python(picture: Path, weights: str) -> None:
    made = impasto.api.reconstruct(
        picture,
        content_layer="relu1_1",
        through=impasto.api.EncoderViewOptions(encoder=weights, size=40),
        options=impasto.api.RebuildOptions(steps=2),
    )
    assert made.pixels.shape == (1, 3, 30, 40)
