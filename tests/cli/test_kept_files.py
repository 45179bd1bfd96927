"""Files that are there are not replaced unless they are named: default names, sidecars, sheets, saved styles."""

from __future__ import annotations

from pathlib import Path

from in_process import Run

QUICK = ["--style", "wave", "--size", "48"]


def test_default_names_are_numbered(run: Run, here: Path) -> None:
    Path("content-wave.png").write_bytes(b"mine")
    outputs = [run("stylize", "content.png", *QUICK).out.strip() for _ in range(2)]
    assert outputs == ["content-wave-2.png", "content-wave-3.png"]
    assert Path("content-wave.png").read_bytes() == b"mine"


def test_in_a_folder_only_paintings_are_replaced(run: Run, here: Path) -> None:
    Path("out").mkdir()
    Path("out/content-wave.png").write_bytes(Path("style.png").read_bytes())
    outputs = [run("stylize", "content.png", *QUICK, "-o", "out").out.strip() for _ in range(2)]
    assert outputs == ["out/content-wave-2.png"] * 2
    assert Path("out/content-wave.png").read_bytes() == Path("style.png").read_bytes()


def test_a_sidecar_replaces_recipes_only(run: Run, here: Path) -> None:
    Path("out.png.json").write_text('{"notes": 1}')
    refused = run("stylize", "content.png", *QUICK, "--sidecar", "-o", "out.png")
    assert (refused.code, "out.png.json exists and is not a recipe" in refused.err) == (2, True)
    assert not Path("out.png").exists()
    Path("out.png.json").unlink()
    assert [run("stylize", "content.png", *QUICK, "--sidecar", "-o", "out.png").code for _ in range(2)] == [0, 0]


def test_a_saved_style_replaces_saved_styles_only(run: Run, here: Path) -> None:
    Path("kept.safetensors").write_bytes(b"weights of somebody")
    refused = run("style", "save", "style.png", "-o", "kept.safetensors")
    assert (refused.code, "kept.safetensors exists and is not a saved style" in refused.err) == (2, True)
    assert [run("style", "save", "style.png", "-o", "new.safetensors").code for _ in range(2)] == [0, 0]


def test_a_sheet_without_a_name_is_numbered(run: Run, here: Path) -> None:
    Path("styles.png").write_bytes(b"mine")
    assert run("models", "sheet", "wave", "--size", "48").out.strip() == "styles-2.png"
    assert Path("styles.png").read_bytes() == b"mine"
