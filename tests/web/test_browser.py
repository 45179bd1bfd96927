"""The page in a real browser."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_the_page_offers_styles_and_every_option(running: Callable[..., Any], token: str, tmp_path: Path) -> None:
    with running() as studio:
        command = [
            str(CHROMIUM),
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={tmp_path}",
            "--virtual-time-budget=20000",
            "--dump-dom",
            f"{studio.base_url}/#{token}",
        ]
        dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert 'data-key="wave"' in dom
    assert 'aria-pressed="true"' in dom
    assert "feather" in dom  # an option of `PaintOptions`, from the form
    assert token not in dom
