"""`impasto models`: the weights of the catalogue and those on this machine."""

from __future__ import annotations

import dataclasses
import json as json_text
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from impasto.cli.failures import printable
from impasto.cli.flags import output_flag

if TYPE_CHECKING:
    from rich.console import Console

    from impasto.weights.card import Card
    from impasto.weights.catalogue import Installed

app = App(name="models", help="Weights: list, show, fetch, import, remove.", version_flags=())

Json = Annotated[bool, Parameter(negative=(), show_default=False, help="Print JSON.")]
STYLE_COLUMN = 28
"""Characters of the column of style names, which is wrapped."""

Quiet = Annotated[bool, Parameter(negative=(), show_default=False, help="No progress.")]
Output = Annotated[Path, output_flag("Picture file to write.")]
Unverified = Annotated[
    bool, Parameter(negative=(), show_default=False, help="Accept a file without a published checksum.")
]


@app.command(name="list")
def list_models(*, json: Json = False) -> int:
    """List weights by name: those on this machine, and those that can be downloaded.

    The styles column lists the names of trained styles, for --style.
    """
    rows = _rows()
    if json:
        print(json_text.dumps(rows, indent=1))
        return 0
    from rich.table import Table

    from impasto.cli.bars import as_size

    table = Table(box=None, pad_edge=False)
    for title in ("name", "kind", "where", "size"):
        table.add_column(title, justify="right" if title == "size" else "left", no_wrap=title in ("name", "kind"))
    table.add_column("styles", max_width=STYLE_COLUMN, overflow="fold")
    table.add_column("about", ratio=1)
    for row in rows:
        size = as_size(row["size_bytes"])
        cells = (row["name"], row["kind"], row["where"], size, ", ".join(row["styles"]), row["about"])
        table.add_row(*(printable(cell) for cell in cells))
    _stdout().print(table)
    return 0


@app.command
def show(
    name: Annotated[str, Parameter(help="Name of impasto models list, or a weight file.")], /, *, json: Json = False
) -> int:
    """Show the card of weights: network, source, licence, training and measures.

    Weights that are not on this machine are not downloaded; their catalogue entry is shown.
    """
    from impasto.weights import catalogue

    entry = catalogue.CATALOGUE.get(name)
    here = {row.name for row in catalogue.installed()}
    if entry is not None and name not in here:
        values = {**dataclasses.asdict(entry), "where": "missing" if entry.bundled else "not fetched"}
    else:
        from impasto.weights import readers

        loaded = readers.load_weights(name, allow_unverified=True)
        count = sum(tensor.numel() for tensor in loaded.tensors.values())
        path = str(catalogue.located(name))
        values = {**card_values(loaded.card), "parameters": count, "sha256": loaded.sha256, "path": path}
    print_values(values, as_json=json)
    return 0


@app.command
def get(
    name: Annotated[str, Parameter(help="Name of impasto models list.")],
    /,
    *,
    allow_unverified: Unverified = False,
    quiet: Quiet = False,
) -> int:
    """Download weights, verify their checksum, and print the path of the file.

    An interrupted download is resumed by the same command. IMPASTO_CACHE sets the folder, IMPASTO_MIRROR another
    server, and IMPASTO_OFFLINE=1 forbids any connection.
    """
    from impasto.cli.bars import Bar, fetch_progress
    from impasto.core.errors import WeightsError
    from impasto.weights import catalogue

    with Bar(quiet=quiet) as bar:
        try:
            path = catalogue.located(name, progress=fetch_progress(bar, name), allow_unverified=allow_unverified)
            catalogue.check_cached(name, path)
        except WeightsError as error:
            raise type(error)(str(error).replace("allow_unverified=True", "--allow-unverified")) from error
    print(path)
    return 0


@app.command(name="import")
def import_model(
    file: Annotated[Path, Parameter(help="Weight file of any project (docs/weights.md), or a deeplearn.js folder.")],
    /,
    *,
    name: Annotated[str | None, Parameter(help="Name to store it under. Without: the name of the file.")] = None,
    checkpoint_format: Annotated[str | None, Parameter(help="Checkpoint format, if the file fits several.")] = None,
    encoder: Annotated[str | None, Parameter(help="Encoder that a decoder was trained with: a name or a file.")] = None,
    replace: Annotated[bool, Parameter(negative=(), help="Replace an earlier import of this name.")] = False,
) -> int:
    """Convert weights of another project and store them under a name; print the path of the file."""
    from impasto.weights import readers
    from impasto.weights.card import card_of

    path = readers.import_weights(
        file, checkpoint_format=checkpoint_format, name=name, encoder=encoder, replace=replace
    )
    card = card_of(path)
    print(path)
    if card is not None:
        print(printable(f"{card.name} is of kind {card.kind}: {card.source}"), file=sys.stderr)
    return 0


@app.command
def remove(
    names: Annotated[tuple[str, ...], Parameter(negative=(), help="Names of impasto models list.")],
    /,
    *,
    force: Annotated[
        bool, Parameter(negative=(), help="Remove an encoder although an imported network needs it.")
    ] = False,
) -> int:
    """Delete imported or downloaded weights from this machine; print the paths of the deleted files."""
    from impasto.core.errors import OptionError
    from impasto.weights import catalogue

    for name in names:
        users = [user for user in _users_of(name) if user not in names]
        if users and not force:
            raise OptionError(f"{', '.join(users)} cannot paint without {name}. Remove it too, or add --force.")
        print(catalogue.remove_weights(name))
    return 0


def _users_of(encoder: str) -> list[str]:
    """Imported networks whose card names the encoder."""
    from impasto.weights import card, catalogue

    imported = (row for row in catalogue.installed() if row.origin == "imported")
    cards = {row.name: card.card_of(row.path) for row in imported}
    needed = {name: its.network.get("encoder") for name, its in cards.items() if its is not None}
    return [name for name, row in needed.items() if isinstance(row, dict) and row.get("name") == encoder]


@app.command
def sheet(
    styles: Annotated[
        tuple[str, ...],
        Parameter(help="Networks (with all their styles) or single styles. Without: all on this machine."),
    ] = (),
    /,
    *,
    output: Output | None = None,
    content: Annotated[
        tuple[Path, ...],
        Parameter(negative=(), help="Photograph to paint; may be repeated. Without: a photograph of scikit-image."),
    ] = (),
    size: Annotated[int, Parameter(help="Long side of each painting in pixels.")] = 320,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Paint a photograph in every installed trained style, on one labelled contact sheet."""
    from impasto import api
    from impasto.cli import outputs
    from impasto.cli.bars import Bar
    from impasto.core.options import Range
    from impasto.image.formats import check_writable

    Range(32, 4096).check("--size", size)
    output = outputs.unused(Path("styles.png")) if output is None else output
    check_writable(output, 8)
    outputs.check_no_input(output, content)
    names: list[str] = []
    with Bar(quiet=quiet) as bar:

        def tell(done: int, total: int, name: str) -> None:
            if name not in names:
                names.append(name)
            bar.show(done, total, f"painting {done + 1}/{total}  {name}")

        api.sheet_of_styles(styles, content=[*content] or None, size=size, progress=tell).save(output)
    print(json_text.dumps({"output": str(output), "styles": names}, ensure_ascii=False) if json else output, flush=True)
    return 0


def _rows() -> list[dict[str, Any]]:
    """The catalogue, then the imported weights; `styles` are the trained styles of a network on this machine."""
    from impasto.styles.catalogue import StyleCatalogue
    from impasto.weights import catalogue

    styles = StyleCatalogue().networks
    here = {row.name: row for row in catalogue.installed()}
    rows = []
    for name, entry in catalogue.CATALOGUE.items():
        file = here.pop(name, None)
        rows.append(
            {
                "name": name,
                "kind": entry.kind,
                "where": file.origin if file else "missing" if entry.bundled else "to be fetched",
                "size_bytes": file.size_bytes if file else entry.size_bytes,
                "licence": entry.licence,
                "about": entry.about,
                "path": str(file.path) if file else None,
                "styles": list(styles.get(name, ())) if file else [],
            }
        )
    return rows + [_imported_row(file, styles.get(name, ())) for name, file in here.items()]


def _imported_row(file: Installed, styles: Sequence[str]) -> dict[str, Any]:
    """A row of an imported file; a damaged one says so."""
    from impasto.core.errors import WeightsError
    from impasto.weights import card

    row: dict[str, Any] = {"name": file.name, "where": file.origin, "size_bytes": file.size_bytes}
    try:
        its = card.load(file.path).card
    except WeightsError as error:
        damage = {"kind": "damaged", "licence": "", "about": f"{error} Remove it: impasto models remove {file.name}"}
        return {**row, **damage, "path": str(file.path), "styles": []}
    card_rows = {"kind": its.kind, "licence": its.licence, "about": its.notes or its.source}
    return {**row, **card_rows, "path": str(file.path), "styles": list(styles)}


def card_values(card: Card) -> dict[str, Any]:
    """The fields of a card by name."""
    return dataclasses.asdict(card)


def print_values(values: Mapping[str, Any], *, as_json: bool) -> None:
    """Print one JSON object, or a table of two columns without empty values, with a line for each style."""
    if as_json:
        print(json_text.dumps(values, indent=1, ensure_ascii=False))
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    for name, value in values.items():
        if value not in (None, "", {}, (), []):
            table.add_row(name.replace("_", " "), printable(_text(name, value)))
    _stdout().print(table)


def _text(name: str, value: Any) -> str:
    if name == "styles" and isinstance(value, list):
        return "\n".join(": ".join(part for part in (row["name"], row.get("about")) if part) for row in value)
    return value if isinstance(value, str) else json_text.dumps(value, ensure_ascii=False)


def _stdout() -> Console:
    """A console as wide as the terminal; 250 characters in a pipe, so that no row is broken."""
    from rich.console import Console

    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 250)
