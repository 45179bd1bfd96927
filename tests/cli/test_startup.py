from __future__ import annotations

import subprocess
import sys
import time

import pytest

from impasto.cli.main import COMMANDS, application, main
from impasto.cli.stylize import stylize

HEAVY = ("torch", "numpy", "skimage", "PIL", "httpx", "av")


@pytest.mark.parametrize("words", [["--help"], ["stylize", "--help"], ["--version"]])
def test_help_and_version_import_nothing_heavy(words: list[str], record_property: pytest.RecordProperty) -> None:
    """Their time is noted, not judged: it depends on the machine."""
    code = (
        "import sys\nfrom impasto.cli.main import main\n"
        f"code = main({words!r})\nloaded = [m for m in {HEAVY!r} if m in sys.modules]\n"
        "sys.exit(f'imported {loaded}' if loaded else code)"
    )
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    record_property("seconds", round(time.monotonic() - began, 3))
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_check_for_imports_can_fail() -> None:
    code = f"import sys, numpy\nsys.exit(any(m in sys.modules for m in {HEAVY!r}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 1


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "impasto", "--version"], capture_output=True, text=True, check=True)
    import impasto

    assert done.stdout.strip() == impasto.__version__


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(capsys: pytest.CaptureFixture[str], name: str) -> None:
    if name in application():
        assert main([name, "--help"]) == 0
        assert f"impasto {name}" in capsys.readouterr().out


def test_paragraphs_of_help_flow(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stylize", "--help"]) == 0
    first, *rest = (stylize.__doc__ or "").split("\n\n")
    assert not any("\n" in paragraph for paragraph in [first, *rest])
    assert first in capsys.readouterr().out


def test_a_closed_pipe_is_quiet() -> None:
    code = "import sys\nfrom impasto.cli.main import main\nsys.exit(main(['stylize', '--help']))"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 1
