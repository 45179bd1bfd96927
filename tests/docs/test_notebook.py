"""The cells of docs/notebook.md, in order, in one namespace, as a notebook runs them."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import impasto

PAGE = Path(__file__).parents[2] / "docs" / "notebook.md"
CELLS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the pictures that the cells name."""
    monkeypatch.chdir(tmp_path)
    for index, name in enumerate(("photo.jpg", "painting.jpg", "other.jpg")):
        Image.radial_gradient("L").rotate(30 * index).convert("RGB").resize((96, 72)).save(name)
    for name, left in (("left.png", 255), ("right.png", 0)):
        mask = Image.new("L", (96, 72), 255 - left)
        mask.paste(left, (0, 0, 48, 72))
        mask.save(name)
    return tmp_path


def shown_by(cell: str, names: dict[str, Any]) -> Any:
    """The value of the cell's last line, where that is an expression."""
    tree = ast.parse(re.sub(r"size=\d+", "size=64", cell))
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, str(PAGE), "exec"), names)
    return eval(compile(ast.Expression(last.value), str(PAGE), "eval"), names) if last is not None else None


def test_the_cells_run_in_order(desk: Path) -> None:
    names: dict[str, Any] = {}
    painting, shape, steps, method = (shown_by(cell, names) for cell in CELLS)
    assert repr(painting) == "Painting(64×48 px, arbitrary)"
    assert painting._repr_png_().startswith(b"\x89PNG")
    assert shape == (43, 64, 3)
    assert steps == 2
    assert method == "optimise"
    unchanged = impasto.stylize("photo.jpg", "painting.jpg", size=0, strength=0).pixels
    assert (unchanged - impasto.read("photo.jpg").pixels).abs().max() == 0
