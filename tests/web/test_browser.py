"""The page in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from browser import chromium, needs_chromium


@needs_chromium
def test_the_page_offers_styles_and_every_option(running: Callable[..., Any], token: str) -> None:
    with running() as studio, chromium() as browser:
        page = browser.page()
        page.open(f"{studio.base_url}/#{token}")
        assert page.wait("document.querySelector('[data-key=wave]')?.getAttribute('aria-pressed')") == "true"
        page.wait("document.body.innerHTML.includes('feather')")  # an option of `PaintOptions`, from the form
        assert token not in page.evaluate("document.documentElement.outerHTML + location.href")
        assert all(address.startswith(str(studio.base_url)) for address in page.requests if address != "about:blank")
        assert page.errors == []
