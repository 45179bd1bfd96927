"""The commands that the check of the wheel takes from the README."""

from __future__ import annotations

from pathlib import Path

from tools.wheel_check import COMMANDS, first_commands


def test_the_first_commands_are_without_remarks() -> None:
    page = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    commands = first_commands(page)
    assert len(commands) == COMMANDS
    for words in commands:
        assert words[:2] == ["impasto", "stylize"]
        assert words[-2] == "-o"
