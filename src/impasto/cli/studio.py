"""`impasto studio`: a local web page for painting."""

from __future__ import annotations

import sys
import webbrowser
from typing import Annotated

from cyclopts import App, Parameter

from impasto.cli.flags import takes_options
from impasto.config.studio import StudioOptions

app = App(name="studio")


@app.default
@takes_options
def studio(
    *,
    studio: StudioOptions,
    browser: Annotated[bool, Parameter(help="Open the page in a browser.")] = True,
) -> int:
    """Open a local web page for painting.

    The page and its HTTP API (docs/serve.md) listen on the loopback address; nothing leaves the machine. The address
    contains a token that every request needs. Ctrl-C stops the studio.
    """
    from impasto.api import StyleCatalogue
    from impasto.core.extras import optional

    for module in ("starlette", "uvicorn"):
        optional(module, "studio", purpose="the studio")
    from impasto.web.server import serve

    def started(address: str) -> None:
        print(address, flush=True)
        print("The studio is running. Ctrl-C stops it.", file=sys.stderr)
        if browser:
            webbrowser.open(address)

    serve(studio, names=tuple(StyleCatalogue().sources()), started=started)
    return 0
