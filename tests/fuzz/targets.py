"""What is fuzzed: how a case is made, and what is done with it.

Cases are files in a folder, or option values. A reader returns, or raises an `ImpastoError`; everything else is a
finding.
"""

from __future__ import annotations

import dataclasses
import importlib
import io
import json
import pkgutil
import typing
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from fuzz.mutations import HOSTILE, damaged, damaged_json, damaged_png
from PIL import Image, PngImagePlugin
from torch import nn

import impasto.config
from impasto.config.job import Job, StyleSource
from impasto.config.pictures import OutputOptions
from impasto.config.training import FitOptions
from impasto.core.errors import ImpastoError
from impasto.core.options import Options, annotated_fields, from_dict
from impasto.core.paths import sha256_of
from impasto.encoders import table as encoders
from impasto.image import files
from impasto.image.profiles import srgb_profile
from impasto.nets import fast, residual
from impasto.session import painting, recipe
from impasto.session.plan import plan_job
from impasto.training import checkpoints
from impasto.weights import card as cards
from impasto.weights import readers

Action = Callable[[], object]


class Unnoticed(Exception):
    """Damage that the library should have refused."""


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A target in a folder: the actions on intact inputs, which succeed, and the action on a random case."""

    intact: list[Action]
    case: Callable[[Random], Action]


def pictures(folder: Path) -> Prepared:
    """Picture files, their pixels and notes."""
    seeds = _picture_files()

    def case(random: Random) -> Action:
        name = random.choice(sorted(seeds))
        mutate = damaged_png if name.endswith("png") and random.random() < 0.5 else damaged
        return _picture(folder / f"case{name}", mutate(seeds[name], random))

    return Prepared([_picture(folder / f"intact{name}", data) for name, data in seeds.items()], case)


def _picture(path: Path, data: bytes) -> Action:
    path.write_bytes(data)

    def read() -> None:
        try:
            files.read_notes(path)
        finally:  # both readers see every case
            picture = files.read(path, max_pixels=1_000_000)
        if not bool(torch.isfinite(picture.pixels).all()):
            raise Unnoticed("the pixels are not finite")

    return read


def _picture_files() -> dict[str, bytes]:
    """Small pictures by the ends of their file names."""
    levels = np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8)
    image = Image.fromarray(levels)
    alpha = image.copy()
    alpha.putalpha(200)
    exif = Image.Exif()
    exif[274], exif[306] = 6, "2026:01:02 03:04:05"
    note = PngImagePlugin.PngInfo()
    note.add_text("impasto", "{}", zip=True)
    block: dict[str, Any] = {"exif": exif, "icc_profile": srgb_profile()}
    frames = [image.rotate(90).resize(image.size), image.rotate(180)]
    deep = Image.fromarray(levels[..., 0].astype(np.uint16) * 257)
    return {
        "-rgb.png": _encoded(image, "PNG", pnginfo=note, **block),
        "-alpha.png": _encoded(alpha, "PNG"),
        "-palette.png": _encoded(image.quantize(16), "PNG", transparency=3, bits=4),
        "-deep.png": _encoded(deep, "PNG", icc_profile=srgb_profile()),
        "-1.jpg": _encoded(image, "JPEG", **block),
        "-progressive.jpg": _encoded(image.convert("CMYK"), "JPEG", progressive=True, comment=b"impasto: {}"),
        "-raw.tif": _encoded(image, "TIFF", exif=exif),
        "-deep.tif": _encoded(deep, "TIFF"),
        "-lzw.tif": _encoded(alpha, "TIFF", compression="tiff_lzw", description="impasto: {}"),
        "-deflate.tif": _encoded(image, "TIFF", compression="tiff_adobe_deflate", icc_profile=srgb_profile()),
        "-jpeg.tif": _encoded(image, "TIFF", compression="jpeg"),
        "-lossy.webp": _encoded(image, "WEBP", **block),
        "-lossless.webp": _encoded(alpha, "WEBP", lossless=True),
        "-1.gif": _encoded(image.quantize(32), "GIF", comment=b"impasto: {}", transparency=2),
        "-frames.gif": _encoded(image, "GIF", save_all=True, append_images=frames),
    }


def _encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def weights(folder: Path) -> Prepared:
    """Weight files: an encoder and a fast network in safetensors, and a state dict of PyTorch."""
    encoder, network, state = _weight_files(folder)
    read: dict[Path, Callable[[Path], object]] = {
        encoder: lambda path: encoders.load_encoder(path, precision="float32"),
        network: lambda path: fast.load_fast_network(path, precision="float32"),
        state: lambda path: readers.read_checkpoint(path, checkpoint_format="torchvision-vgg"),
    }
    seeds = {seed: seed.read_bytes() for seed in read}

    def case(random: Random) -> Action:
        seed = random.choice(list(read))
        path = folder / f"case{seed.suffix}"
        of_card = seed is not state and random.random() < 0.6
        path.write_bytes((_damaged_header if of_card else damaged)(seeds[seed], random))

        def both() -> None:
            cards.card_of(path)
            read[seed](path)

        return both

    return Prepared([lambda seed=seed: read[seed](seed) for seed in read], case)  # type: ignore[misc]


def _damaged_header(data: bytes, random: Random) -> bytes:
    """A safetensors file with a damaged table of tensors, damaged card, or damaged values."""
    size = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + size]), data[8 + size :]
    part = random.randrange(3)
    if part == 0:
        metadata = header["__metadata__"]
        metadata[cards.CARD_KEY] = damaged_json(metadata[cards.CARD_KEY], random)
    elif part == 1:
        header = json.loads(damaged_json(json.dumps(header), random))
    else:
        at = random.randrange(len(body))
        body = body[:at] + random.choice((b"\xff" * 4, b"\0\0\xc0\x7f" * 2)) + body[at + 8 :]
        body = body[: len(data) - 8 - size].ljust(len(data) - 8 - size, b"\xff")
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def _weight_files(folder: Path) -> tuple[Path, Path, Path]:
    stages = ((4, 1), (4, 1))
    tensors = {
        "conv1_1.weight": torch.rand(4, 3, 3, 3), "conv1_1.bias": torch.rand(4),
        "conv2_1.weight": torch.rand(4, 4, 3, 3), "conv2_1.bias": torch.rand(4),
    }  # fmt: skip
    vgg = {"architecture": "vgg", "stages": stages, "padding": "reflect", "pooling": "average"}
    card = cards.Card(kind="encoder", name="narrow", network=vgg, preprocess="imagenet-rgb")
    cards.save(folder / "encoder.safetensors", tensors, card=card)

    numbers: dict[str, Any] = {"widths": (2, 2, 2), "blocks": 1}
    net = residual.Residual(**numbers, styles=2)
    card = cards.Card(
        kind=fast.KIND,
        name="two",
        network={"architecture": "residual", **numbers, "output": "rgb", "styles": 2},
        preprocess="rgb",
        styles=[{"name": "one", "about": "x"}, {"name": "two", "about": "y"}],
    )
    cards.save(folder / "network.safetensors", net.state_dict(), card=card)
    state = {"features.0.weight": torch.rand(4, 3, 3, 3), "features.0.bias": torch.rand(4)}
    torch.save(state, folder / "state.pth")
    return folder / "encoder.safetensors", folder / "network.safetensors", folder / "state.pth"


def recipes(folder: Path) -> Prepared:
    """Recipes in JSON files and in the metadata of a picture."""
    for name in ("content.png", "style.png"):
        Image.new("RGB", (16, 16), "red").save(folder / name)
    inputs = {name: sha256_of(folder / name) for name in ("content.png", "style.png")}
    job = Job(content="content.png", styles=(StyleSource(source="style.png"),))
    job = dataclasses.replace(job, paint=dataclasses.replace(job.paint, method="optimise"))
    whole = recipe.Recipe(job, inputs, {"compact-vgg": "0" * 64}, {"threads": 1, "bits": 8, "quality": 90})
    text = json.dumps({**whole.to_dict(), "job": job.to_dict()})
    (folder / "intact.json").write_text(text)

    def case(random: Random) -> Action:
        if random.random() < 0.3:
            (folder / "case.json").write_bytes(damaged(text.encode(), random))
            return lambda: _follow(folder / "case.json")
        changed = damaged_json(text, random)
        if random.random() < 0.7:
            (folder / "case.json").write_text(changed)
            return lambda: _follow(folder / "case.json")
        note = PngImagePlugin.PngInfo()
        note.add_itxt(recipe.KEY, changed)
        Image.new("RGB", (4, 4)).save(folder / "case.png", pnginfo=note)
        return lambda: _follow(folder / "case.png")

    return Prepared([lambda: _follow(folder / "intact.json")], case)


def _follow(path: Path) -> None:
    """All that `redo` does with a recipe before it reads pixels."""
    found = painting.recipe_of(path)
    found.output_options(OutputOptions())
    found.moved(path.parent, path.parent / "elsewhere").to_json()
    plan_job(recipe.job_again(found, folder=path.parent))


def training_checkpoints(folder: Path) -> Prepared:
    """Training checkpoints with a checksum, and those of `torch.save`, which have none."""
    fit = FitOptions(steps=9)
    sealed, plain = folder / "sealed.pt", folder / "plain.pt"
    checkpoints.save_checkpoint(_state(step=3), sealed, options=fit)
    torch.save(torch.load(sealed, weights_only=True), plain)
    seeds = {path: path.read_bytes() for path in (sealed, plain)}

    def action(path: Path, *, changed: bool) -> Action:
        def restored() -> None:
            checkpoints.averaged(path)
            checkpoints.restore(_state(), path, options=fit)
            if changed:
                raise Unnoticed("a changed checkpoint was restored")

        return restored

    def case(random: Random) -> Action:
        seed, path = random.choice((sealed, plain)), folder / "case.pt"
        if random.random() < 0.3:
            _damage_contents(torch.load(plain, weights_only=True), random, path)
            return action(path, changed=False)
        path.write_bytes(damaged(seeds[seed], random))
        return action(path, changed=seed is sealed and path.read_bytes() != seeds[seed])

    return Prepared([action(sealed, changed=False), action(plain, changed=False)], case)


def _state(*, step: int = 0) -> checkpoints.Trained:
    module = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    optimizer = torch.optim.AdamW(module.parameters())
    if step:
        module(torch.ones(1, 3)).sum().backward()
        optimizer.step()
    average = {name: value.clone() for name, value in module.state_dict().items()}
    return checkpoints.Trained(module, optimizer, average, step)


def _damage_contents(contents: Any, random: Random, path: Path) -> None:
    """Replace one value of a checkpoint, at any depth."""
    at: Any = contents
    while True:
        key = random.choice(list(at))
        if not isinstance(at[key], dict) or not at[key] or random.random() < 0.3:
            break
        at = at[key]
    if random.random() < 0.3:
        del at[key]
    else:
        at[key] = random.choice([value for value in HOSTILE if value != 10**400 and value != "\ud800"])
    torch.save(contents, path)


def options(folder: Path) -> Prepared:
    """Random values for every option dataclass."""
    classes = _option_classes()

    def case(random: Random) -> Action:
        cls = random.choice(classes)
        values = _required(cls)
        fields = dataclasses.fields(cls)
        for field in random.sample(fields, k=min(len(fields), random.choice((1, 1, 2)))):
            values[field.name] = _option_value(values.get(field.name, _default(field)), random)
        return lambda: _round_trip(cls, values)

    return Prepared([lambda cls=cls: _round_trip(cls, _required(cls)) for cls in classes], case)  # type: ignore[misc]


def _round_trip(cls: type[Options], values: dict[str, Any]) -> None:
    made = from_dict(cls, values)
    again = from_dict(cls, json.loads(json.dumps(made.to_dict())))
    if repr(again) != repr(made):
        raise Unnoticed(f"{made} is {again} after a round trip through JSON")


def _option_value(default: Any, random: Random) -> Any:
    if random.random() < 0.3 or default is None:
        return random.choice(HOSTILE)
    if type(default) in (int, float) and random.random() < 0.7:
        return type(default)(default * random.choice((0, 0.5, 1.5, 2, 10)) + random.choice((0, 1)))
    plain = json.loads(json.dumps(default, default=str))
    return json.loads(damaged_json(json.dumps(plain), random))


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    value = field.default_factory() if field.default_factory is not dataclasses.MISSING else None
    return value.to_dict() if isinstance(value, Options) else value


def _option_classes() -> list[type[Options]]:
    modules = [
        importlib.import_module(f"impasto.config.{m.name}") for m in pkgutil.iter_modules(impasto.config.__path__)
    ]
    return [
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Options) and value.__module__ == module.__name__
    ]


def _required(cls: type[Options]) -> dict[str, Any]:
    return {
        field.name: _value_of(hint)
        for field, hint in annotated_fields(cls)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }


def _value_of(hint: Any) -> Any:
    """A value that a required option of this type may have."""
    kind = typing.get_args(hint)[0] if typing.get_origin(hint) is typing.Annotated else hint
    if typing.get_origin(kind) is tuple:
        return []
    return 1 if kind in (int, float) else "x"


TARGETS: dict[str, Callable[[Path], Prepared]] = {
    "pictures": pictures,
    "weights": weights,
    "recipes": recipes,
    "checkpoints": training_checkpoints,
    "options": options,
}
EXPECTED = ImpastoError
