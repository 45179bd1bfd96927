"""Opening a weight file of any container, recognised by its content, never by its name."""

from __future__ import annotations

import json
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from impasto.core.errors import WeightsError
from impasto.weights import arrays, onnx, tensorflow, torch7
from impasto.weights.signatures import file_head, is_table, is_torch7
from impasto.weights.torch7 import Torch7Object

MODULES = "torch7 modules"
"""The entry of the metadata that lists the modules of a network of Torch 7: kinds and numbers, as JSON."""

_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "params")
_PREFIXES = ("module.", "_orig_mod.")
_DEEPEST_WRAP = 4
_FORBIDDEN = re.compile(r"(?:Unsupported global: GLOBAL|Unsupported class|Trying to \w+ unsupported GLOBAL) ([\w.]+)")


@dataclass(frozen=True, kw_only=True)
class Contents:
    """The tensors of a weight file, on the CPU, and its metadata (empty for all but safetensors)."""

    tensors: dict[str, Tensor]
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each tensor."""
        return {key: tuple(tensor.shape) for key, tensor in self.tensors.items()}


def open_checkpoint(path: Path) -> Contents:
    """The tensors of a file, or of a deeplearn.js folder, without wrapping dicts and the prefix `module.`.

    Python objects in a checkpoint are never unpickled. The tensors may be mapped from the file: copy those that are
    kept. Raises `WeightsError`.
    """
    if path.is_dir():
        return Contents(tensors=arrays.in_folder(path))
    path = tensorflow.index_of(path)
    head = file_head(path)
    if _is_safetensors(head, path):
        return _safetensors(path)
    if is_table(path):
        return Contents(tensors=_by_variable(tensorflow.in_checkpoint(path)))
    if (model := onnx.parsed_model(path, head)) is not None:
        return Contents(tensors=_without_prefixes(onnx.initialisers(model, path)))
    if is_torch7(head):
        return _of_modules(torch7.in_file(path), path)
    if arrays.is_npz(path):
        return Contents(tensors=arrays.in_npz(path))
    state = _state(_unpickled(path, head), path)
    named = {key: value for key, value in state.items() if isinstance(key, str)}
    tensors = {key: _plain(value, key, path=path) for key, value in named.items() if isinstance(value, Tensor)}
    if not tensors:
        raise WeightsError(f"{path.name} holds no tensors by name; a state dict is needed.")
    return Contents(tensors=_without_prefixes(tensors))


def _of_modules(content: Any, path: Path) -> Contents:
    """The tensors of a network of Torch 7, `modules.0.weight` …, and in the metadata its modules' kinds and numbers.

    Modules that only train or hold others are left out: `nn.TotalVariation`, `nn.Sequential`, `nn.ConcatTable`.
    """
    model = content.get("model") if isinstance(content, dict) else content
    if not (isinstance(model, Torch7Object) and model.kind == "nn.Sequential"):
        raise WeightsError(f"{path.name} is a Torch 7 file without a network; a table with a 'model' is needed.")
    rows, tensors = list[dict[str, Any]](), dict[str, Tensor]()
    for module in _leaves(model):
        named = {name: value for name, value in module.fields.items() if isinstance(name, str)}
        tensors |= {f"modules.{len(rows)}.{k}": v for k, v in named.items() if isinstance(v, Tensor) and v.numel()}
        numbers = {name: value for name, value in named.items() if isinstance(value, float)}
        rows.append({"kind": module.kind.removeprefix("nn.").removeprefix("cudnn."), "numbers": numbers})
    return Contents(tensors=tensors, metadata={MODULES: json.dumps(rows)})


def _leaves(module: Torch7Object) -> Iterator[Torch7Object]:
    """The modules without parts, in the order in which they run."""
    parts = module.fields.get("modules")
    if isinstance(parts, dict):
        for index in sorted(key for key in parts if isinstance(key, float)):
            if isinstance(parts[index], Torch7Object):
                yield from _leaves(parts[index])
    elif module.kind != "nn.TotalVariation":
        yield module


def _by_variable(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The variables under their names as deeplearn.js writes them, without slashes."""
    return {key.replace("/", "_"): tensor for key, tensor in tensors.items()}


def _plain(tensor: Tensor, key: str, *, path: Path) -> Tensor:
    """The tensor, unless it is sparse or quantised, or claims more values than the file stores."""
    plain = tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
    if not plain or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise WeightsError(
            f"{key} in {path.name} is not a plain tensor of {tuple(tensor.shape)} values; it is damaged."
        )
    return tensor.detach()


def _is_safetensors(head: bytes, path: Path) -> bool:
    header_bytes = int.from_bytes(head[:8], "little")
    fits = head[8:9] == b"{" and 8 + header_bytes <= path.stat().st_size
    return fits or path.suffix == ".safetensors"


def _safetensors(path: Path) -> Contents:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return Contents(
                tensors={key: file.get_tensor(key) for key in file.keys()},  # noqa: SIM118 (not a dict)
                metadata=dict(file.metadata() or {}),
            )
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path.name} is damaged or not a safetensors file ({error}); download it again.") from error


def _unpickled(path: Path, head: bytes) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks on old pickle protocols
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # a broken pickle can raise anything
        raise WeightsError(_reason(str(error), path.name)) from error


def _reason(message: str, name: str) -> str:
    """One line in place of the many of `torch.load`."""
    if "TorchScript" in message:
        return f"{name} is a TorchScript program; save its state_dict() with torch.save and use that."
    culprit = _FORBIDDEN.search(message)
    if culprit:
        return (
            f"{name} holds Python objects ({culprit[1]}), and unpickling those can run any code; "
            "only tensors are read. Where you trust it, save its state_dict() with torch.save and use that."
        )
    return f"{name} is damaged, or neither safetensors nor a PyTorch checkpoint; download it again."


def _state(content: Any, path: Path) -> Mapping[Any, Any]:
    for _ in range(_DEEPEST_WRAP):
        if not isinstance(content, Mapping):
            break
        inner = next((content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            return content
        content = inner
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path.name} holds a {type(content).__name__}; a dict of named tensors is needed.")
    return content


def _without_prefixes(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    while prefix := next((p for p in _PREFIXES if all(key.startswith(p) for key in tensors)), None):
        tensors = {key.removeprefix(prefix): tensor for key, tensor in tensors.items()}
    return {re.sub(r"^features\.module\.", "features.", key): tensor for key, tensor in tensors.items()}
