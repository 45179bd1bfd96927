"""Below the command line, messages name options as Python does; `cli/flags.py` alone turns them into flags."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import impasto

SOURCE = Path(impasto.__file__).parent
FLAG = re.compile(r"(?<![\w-])--[a-z{]")
ALLOWED = ("torchrun --nproc_per_node", "pip install --force-reinstall")
"""Options of other programs."""
CSS_FILES = ("analysis/charts.py",)
"""Files with CSS variables, which are spelt like flags."""
OPTION = re.compile(r"`([a-z][a-z0-9_]*)(?:=[^`]*)?`")


def texts(path: Path) -> list[tuple[int, str]]:
    """Every string of a module with its line, also documentation; the parts of an f-string are joined by `{}`."""
    found, inside = [], set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            inside |= {id(part) for part in node.values}
            parts = [part.value if isinstance(part, ast.Constant) else "{}" for part in node.values]
            found.append((node.lineno, "".join(map(str, parts))))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            found.append((node.lineno, node.value))
    return found


def flags(root: Path) -> list[str]:
    """`FILE:LINE: TEXT` of each string below `cli/` that names a flag."""
    rows = []
    for path in sorted(root.rglob("*.py")):
        where = path.relative_to(root).as_posix()
        if where.startswith("cli/") or where in CSS_FILES:
            continue
        for line, text in texts(path):
            for allowed in ALLOWED:
                text = text.replace(allowed, "")
            if FLAG.search(text):
                rows.append(f"{where}:{line}: {text.strip()}")
    return rows


def option_names() -> set[str]:
    """Every field of the dataclasses in `config/` and every argument and field of a command in `cli/`."""
    names = set()
    for path in [*SOURCE.glob("config/*.py"), *SOURCE.glob("cli/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                names.add(node.target.id)
            elif isinstance(node, ast.arg):
                names.add(node.arg)
    return names


def unknown_options(root: Path, names: set[str]) -> list[str]:
    """`FILE:LINE: NAME` of each option in an error's message below `cli/` that no command has."""
    rows = []
    for path in sorted(root.rglob("*.py")):
        where = path.relative_to(root).as_posix()
        if where.startswith("cli/"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                message = "".join(
                    part.value
                    for argument in node.exc.args
                    for part in ast.walk(argument)
                    if isinstance(part, ast.Constant) and isinstance(part.value, str)
                )
                rows += [f"{where}:{node.lineno}: {name}" for name in OPTION.findall(message) if name not in names]
    return rows


def test_no_message_below_the_command_line_names_a_flag() -> None:
    assert flags(SOURCE) == []


def test_every_option_in_an_error_exists() -> None:
    assert unknown_options(SOURCE, option_names()) == []


@pytest.mark.parametrize(
    "text",
    [
        'raise ValueError("use --size 256")',
        'raise ValueError(f"--{name} is missing")',
        'raise ValueError("a" "b --no-audio")',
        'def f():\n    """As --init does."""',
    ],
)
def test_a_flag_is_found(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(text)
    assert len(flags(tmp_path)) == 1


@pytest.mark.parametrize("text", ["x = 'a -- b'", "# --size", "x = 'run torchrun --nproc_per_node 2'", "x = '-----'"])
def test_other_dashes_are_allowed(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(text)
    assert flags(tmp_path) == []


def test_a_misspelt_option_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text('raise ValueError(f"{x} px. Use a smaller `sise` or `size`.")')
    assert unknown_options(tmp_path, {"size"}) == ["a.py:1: sise"]
