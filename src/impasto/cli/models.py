"""`impasto models`: the weights that there are, and those on this machine."""

from __future__ import annotations

import dataclasses
import json as json_text
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

if TYPE_CHECKING:
    from rich.console import Console

    from impasto.weights.card import Card

app = App(name="models", help="Weights: list, show, fetch, import.", version_flags=())

Json = Annotated[bool, Parameter(negative=(), show_default=False, help="Print JSON.")]
Quiet = Annotated[bool, Parameter(negative=(), show_default=False, help="No progress.")]
Output = Annotated[Path, Parameter(name=("--output", "-o"), negative=(), help="Picture file to write.")]
Unverified = Annotated[
    bool, Parameter(negative=(), show_default=False, help="Accept a file whose checksum nobody publishes.")
]


@app.command(name="list")
def list_models(*, json: Json = False) -> int:
    """List the weights by name: those on this machine, and those that can be fetched."""
    rows = _rows()
    if json:
        print(json_text.dumps(rows, indent=1))
        return 0
    from rich.table import Table

    from impasto.cli.bars import as_size

    table = Table(box=None, pad_edge=False)
    for title in ("name", "kind", "where", "size", "licence", "about"):
        table.add_column(title, justify="right" if title == "size" else "left", no_wrap=title in ("name", "kind"))
    for row in rows:
        kind = f"{row['kind']}, {len(row['styles'])} styles" if len(row["styles"]) > 1 else row["kind"]
        table.add_row(row["name"], kind, row["where"], as_size(row["size_bytes"]), row["licence"], row["about"])
    _stdout().print(table)
    return 0


@app.command
def show(
    name: Annotated[str, Parameter(help="Name of impasto models list, or a weight file.")], /, *, json: Json = False
) -> int:
    """Show the card of weights: what network they are of, where they come from, how good they are.

    Weights that are not on this machine are not fetched; what the catalogue says of them is shown.
    """
    from impasto.weights import catalogue

    entry = catalogue.CATALOGUE.get(name)
    here = {found.name for found in catalogue.installed()}
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
    """Fetch weights to this machine, and print where they are.

    The same command goes on with a broken transfer. IMPASTO_CACHE names the folder, IMPASTO_MIRROR another server,
    IMPASTO_OFFLINE=1 forbids any connection.
    """
    from impasto.cli.bars import Bar, fetched
    from impasto.core.errors import WeightsError
    from impasto.weights import catalogue

    with Bar(quiet=quiet) as bar:
        try:
            path = catalogue.located(name, progress=fetched(bar, name), allow_unverified=allow_unverified)
        except WeightsError as error:
            raise type(error)(str(error).replace("allow_unverified=True", "--allow-unverified")) from error
    print(path)
    return 0


@app.command(name="import")
def import_model(
    file: Annotated[
        Path,
        Parameter(help="Weight file of any project: .pth, .pt, .safetensors, .npz; or a deeplearn.js folder."),
    ],
    /,
    *,
    name: Annotated[str | None, Parameter(help="Name to give it; without, the file's name.")] = None,
    checkpoint_format: Annotated[
        str | None, Parameter(name="--format", help="Checkpoint format, where a file fits several.")
    ] = None,
    encoder: Annotated[
        str | None, Parameter(help="Of a decoder: the encoder that it was trained with, a name or a file.")
    ] = None,
) -> int:
    """Read weights of another project and keep them in our own form, under a name; print where they are."""
    from impasto.weights import readers
    from impasto.weights.card import card_of

    path = readers.import_weights(file, checkpoint_format=checkpoint_format, name=name, encoder=encoder)
    card = card_of(path)
    print(path)
    if card is not None:
        print(f"{card.name} is of kind {card.kind}: {card.source}", file=sys.stderr)
    return 0


@app.command
def sheet(
    styles: Annotated[
        tuple[str, ...],
        Parameter(help="Networks, all of whose styles are shown, or single styles; without, all on this machine."),
    ] = (),
    /,
    *,
    output: Output = Path("styles.png"),
    content: Annotated[
        tuple[Path, ...],
        Parameter(negative=(), help="Photograph to paint; repeat it. Without, one that comes with scikit-image."),
    ] = (),
    size: Annotated[int, Parameter(help="Long side in pixels at which it is painted and shown.")] = 320,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Paint a photograph in every trained style that is here, on one sheet with their names."""
    from impasto import api
    from impasto.cli import outputs
    from impasto.cli.bars import Bar
    from impasto.core.options import Range
    from impasto.image.formats import check_writable

    Range(32, 4096).check("--size", size)
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
    """The catalogue, then what was imported; `styles` are those that a network here has learned."""
    from impasto.styles.catalogue import StyleCatalogue
    from impasto.weights import card, catalogue

    styles = StyleCatalogue().networks
    here = {found.name: found for found in catalogue.installed()}
    rows = []
    for name, entry in catalogue.CATALOGUE.items():
        found = here.pop(name, None)
        absent = "missing" if entry.bundled else "to be fetched"
        rows.append(
            {
                "name": name,
                "kind": entry.kind,
                "where": found.origin if found else absent,
                "size_bytes": found.size_bytes if found else entry.size_bytes,
                "licence": entry.licence,
                "about": entry.about,
                "path": str(found.path) if found else None,
                "styles": list(styles.get(name, ())) if found else [],
            }
        )
    for name, found in here.items():
        its = card.load(found.path).card
        rows.append(
            {
                "name": name,
                "kind": its.kind,
                "where": found.origin,
                "size_bytes": found.size_bytes,
                "licence": its.licence,
                "about": its.notes or its.source,
                "path": str(found.path),
                "styles": list(styles.get(name, ())),
            }
        )
    return rows


def card_values(card: Card) -> dict[str, Any]:
    """What a card says, by name."""
    return dataclasses.asdict(card)


def print_values(values: Mapping[str, Any], *, as_json: bool) -> None:
    """As one JSON object, or as a table of two columns without what is empty; the styles of a card a line each."""
    if as_json:
        print(json_text.dumps(values, indent=1, ensure_ascii=False))
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    for name, value in values.items():
        if value not in (None, "", {}, (), []):
            table.add_row(name.replace("_", " "), _text(name, value))
    _stdout().print(table)


def _text(name: str, value: Any) -> str:
    if name == "styles" and isinstance(value, list):
        return "\n".join(": ".join(part for part in (row["name"], row.get("about")) if part) for row in value)
    return value if isinstance(value, str) else json_text.dumps(value, ensure_ascii=False)


def _stdout() -> Console:
    """Wide where it is no terminal, so that nothing is broken or cut in a pipe."""
    from rich.console import Console

    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 250)
