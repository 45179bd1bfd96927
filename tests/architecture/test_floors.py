"""The plan of the house, held by reading every module's source.

Each rule is a function over a folder of sources, and each has a test that shows it can fail.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import impasto

SOURCE = Path(impasto.__file__).parent
TESTS = Path(__file__).parents[1]

FLOORS = (
    ("core",),
    ("config", "image", "weights"),
    ("encoders", "losses", "flow"),
    ("nets", "objective", "metrics"),
    ("stylizers",),
    ("styles",),
    ("methods",),
    ("session",),
    ("training", "video", "analysis", "export"),
    ("api",),
    ("jobs", "live"),
    ("web",),
    ("cli",),
)
"""Folders (and `api.py`) from the ground up. Imports go down only, and not between two of one floor."""

FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}
LONGEST = 400  # lines of a file
BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "misc"}
PIXEL_LITERALS = {255, 0.485, 0.456, 0.406, 0.229, 0.224, 0.225, 103.939, 116.779, 123.68}
PIXEL_FILES = {"image/pixels.py", "image/files.py"}


# Reading the sources


def modules(root: Path) -> dict[str, Path]:
    """Every module by its dotted name inside the package; the package's own `__init__` is the empty name."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(path: Path, known: dict[str, Path]) -> Iterator[tuple[int, str]]:
    """Line and dotted name of each module of the package that a file imports, wherever in the file it does."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            names = [_origin(str(node.module), alias.name, known) for alias in node.names]
        else:
            continue
        for name in names:
            if name == "impasto" or name.startswith("impasto."):
                yield node.lineno, name.removeprefix("impasto").lstrip(".")


def _origin(module: str, name: str, known: dict[str, Path]) -> str:
    """The module that `from module import name` takes something from."""
    inner = f"{module}.{name}".removeprefix("impasto.")
    if any(other == inner or other.startswith(f"{inner}.") for other in known):
        return f"impasto.{inner}" if module.startswith("impasto") else module
    if module == "impasto" and name != "__version__":
        return "impasto.api"  # the root's lazy door
    return module


def folder_of(module: str) -> str:
    return module.split(".")[0]


# The rules: each gives what offends


def unknown_folders(root: Path) -> list[str]:
    return sorted({folder_of(m) for m in modules(root)} - FLOOR.keys() - {"", "__main__"})


def imports_up_or_across(root: Path) -> list[str]:
    known, found = modules(root), []
    for module, path in known.items():
        here = folder_of(module)
        for line, name in imported(path, known):
            there = folder_of(name)
            if there in ("", here) or here in ("", "__main__"):
                continue  # the root has the version, and a lazy door to `api` that counts as `api`
            if FLOOR.get(there, 99) >= FLOOR.get(here, -1):
                found.append(f"{path.relative_to(root)}:{line} imports {name}")
    return found


def long_files(root: Path) -> list[str]:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in modules(root).values()}
    return [f"{path.relative_to(root)} has {n} lines" for path, n in lengths.items() if n >= LONGEST]


def poor_names(root: Path) -> list[str]:
    """Files called `utils` and the like, and those that repeat their folder's name."""
    found = []
    for path in modules(root).values():
        words = set(path.stem.split("_"))
        folder = path.parent.name if path.parent != root else ""
        repeats = folder and words & {folder, folder.removesuffix("s"), folder.removesuffix("es"), f"{folder}s"}
        if repeats or words & BANNED_NAMES or (path.parent.name in BANNED_NAMES and path.parent != root):
            found.append(str(path.relative_to(root)))
    return found


def pixel_literals(root: Path) -> list[str]:
    found = []
    for path in modules(root).values():
        if path.relative_to(root).as_posix() in PIXEL_FILES:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and type(node.value) in (int, float) and node.value in PIXEL_LITERALS:
                found.append(f"{path.relative_to(root)}:{node.lineno} has {node.value}")
    return found


def without_future_annotations(root: Path) -> list[str]:
    found = []
    for path in modules(root).values():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imports = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
        bare = all(isinstance(node, ast.Expr) for node in tree.body)  # a docstring alone
        if not bare and not imports:
            found.append(str(path.relative_to(root)))
    return found


def repeated_test_names(root: Path) -> list[str]:
    counts = Counter(path.name for path in root.rglob("test_*.py"))
    return sorted(name for name, count in counts.items() if count > 1)


RULES = [unknown_folders, imports_up_or_across, long_files, poor_names, pixel_literals, without_future_annotations]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_is_in_order(rule: object) -> None:
    assert rule(SOURCE) == []  # type: ignore[operator]


def test_test_files_have_names_of_their_own() -> None:
    assert repeated_test_names(TESTS) == []


def test_there_is_something_to_read() -> None:
    assert {"core.errors", "encoders.vgg", "stylizers.optimised", ""} <= modules(SOURCE).keys()
    found = {name for _, name in imported(SOURCE / "encoders/table.py", modules(SOURCE))}
    assert {"encoders.vgg", "encoders.gains", "weights.card", "weights.readers"} <= found


# Each rule can fail


def write(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"from __future__ import annotations\n{text}\n", encoding="utf-8")
    return root


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("core__a", "from impasto.config import optimise"),
        ("core__a", "import impasto.encoders.vgg"),
        ("core__a", "def f():\n    from impasto.api import stylize"),
        ("losses__a", "from impasto.encoders.vgg import Vgg"),
        ("encoders__a", "from impasto import losses"),
        ("stylizers__a", "if True:\n    import impasto.training.fit as fit"),
        ("session__a", "from impasto.analysis import sheet"),
        ("styles__a", "from impasto.methods import table"),
        ("methods__a", "from impasto.session.plan import plan_job"),
        ("training__a", "from impasto.api import stylize"),
        ("api", "from impasto.jobs import run"),
        ("web__a", "from impasto.cli.main import main"),
        ("nets__a", "from impasto import stylize"),
        ("core__a", "from impasto.nowhere import x"),
    ],
)
def test_an_import_up_or_across_is_found(file: str, text: str, tmp_path: Path) -> None:
    write(tmp_path, losses__table="", config__optimise="", analysis__sheet="", **{file: text})
    (offence,) = imports_up_or_across(tmp_path)
    assert offence.startswith(file.replace("__", "/"))


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("encoders__a", "from impasto.encoders.vgg import Vgg"),
        ("encoders__a", "from impasto.image import pixels\nimport impasto.core.errors"),
        ("cli__a", "from impasto import api\nfrom impasto.web import pages"),
        ("api", "import impasto\nfrom impasto import __version__\nfrom impasto.session import recipe"),
        ("core__a", "import torch\nimport impastor"),
    ],
)
def test_an_import_down_is_not(file: str, text: str, tmp_path: Path) -> None:
    assert imports_up_or_across(write(write(tmp_path, api="", web__pages=""), **{file: text})) == []


def test_a_relative_import_is_found(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="imports relatively"):
        imports_up_or_across(write(tmp_path, core__a="from .errors import ImpastoError"))


def test_a_new_folder_is_found(tmp_path: Path) -> None:
    assert unknown_folders(write(tmp_path, core__a="", plugins__a="", api="", loose="")) == ["loose", "plugins"]


def test_a_long_file_is_found(tmp_path: Path) -> None:
    write(tmp_path, core__short="\n" * (LONGEST - 3), core__long="\n" * LONGEST)
    assert long_files(tmp_path) == [f"core/long.py has {LONGEST + 2} lines"]


@pytest.mark.parametrize("name", ["losses__losses", "losses__loss_table", "losses__utils", "losses__image_helpers"])
def test_a_poor_name_is_found(name: str, tmp_path: Path) -> None:
    assert poor_names(write(tmp_path, losses__distances="", **{name: ""})) == [name.replace("__", "/") + ".py"]


@pytest.mark.parametrize("text", ["x = y * 255", "x = 255.0", "mean = [0.485, 1]", "x = -123.68", "f(a=[0.229])"])
def test_a_pixel_literal_is_found(text: str, tmp_path: Path) -> None:
    write(tmp_path, encoders__a=text, image__pixels=text, image__files=text)
    (offence,) = pixel_literals(tmp_path)
    assert offence.startswith("encoders/a.py:2 has")


@pytest.mark.parametrize("text", ["x = 256", '"""255 levels"""', "x = True", "x = 0.5", "# 255"])
def test_other_literals_are_not(text: str, tmp_path: Path) -> None:
    assert pixel_literals(write(tmp_path, encoders__a=text)) == []


def test_missing_future_annotations_are_found(tmp_path: Path) -> None:
    (tmp_path / "core").mkdir()
    (tmp_path / "core/a.py").write_text("import os\n")
    (tmp_path / "core/b.py").write_text('"""Only words."""\n')
    assert without_future_annotations(tmp_path) == ["core/a.py"]


def test_two_tests_of_one_name_are_found(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "test_x.py").touch()
    assert repeated_test_names(tmp_path) == ["test_x.py"]


# Importing is quick and quiet


def heavy_imports(names: list[str], *, path: Path | None = None) -> str:
    """What importing modules in a fresh process prints, and the heavy packages it loads."""
    code = (
        f"import sys; sys.path[:0] = {[str(path)] if path else []!r}\n"
        f"for name in {names!r}: __import__(name)\n"
        "heavy = {'torch', 'numpy', 'PIL', 'skimage', 'av', 'httpx', 'safetensors'}\n"
        "print('loads', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    return done.stdout + done.stderr


def test_options_and_commands_load_without_torch() -> None:
    from impasto.cli.main import COMMANDS  # what help and version import; commands import the rest when they run

    known = modules(SOURCE)
    commands = [name for name in ("cli", "cli.main", *(f"cli.{name}" for name in COMMANDS)) if name in known]
    names = [f"impasto.{m}" for m in known if folder_of(m) in ("core", "config")]
    assert {"cli.main", "cli.stylize"} <= set(commands)
    assert "impasto.config.optimise" in names
    assert heavy_imports(["impasto", *names, *(f"impasto.{name}" for name in commands)]) == "loads []\n"


def test_a_heavy_import_is_found(tmp_path: Path) -> None:
    (tmp_path / "heavy_one.py").write_text("import numpy\nprint('hello')\n")
    assert heavy_imports(["heavy_one"], path=tmp_path) == "hello\nloads ['numpy']\n"


def test_importing_everything_prints_nothing() -> None:
    names = [f"impasto.{m}".rstrip(".") for m in modules(SOURCE) if m != "__main__"]
    found = heavy_imports(names)
    assert found.startswith("loads ['PIL'")
