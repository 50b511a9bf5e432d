"""Files of numbers: state dicts as torch.save writes them, safetensors. They have no structure.

What torch.save writes is a pickle, which can run any code when it is read: torch's weights-only reader reads it, which
knows tensors and containers and nothing else. Whole modules are read only if the user trusts the file.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from millijoule.errors import ModelError
from millijoule.graph import Graph
from millijoule.load.metadata import NAME
from millijoule.load.torch.users_code import first_line, import_torch, running
from millijoule.model import Model

SUFFIXES = (".bin", ".ckpt", ".pt", ".pth", ".safetensors", ".th")
LARGEST_HEADER_BYTES = 100_000_000
EXTRA = f"extra/{NAME}"
"""Where an archive of torch.save has what its tensors do not say."""
FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
"""Float types of safetensors as numpy reads them; BF16 as the upper halves of float32."""


def load_checkpoint(path: Path, input_shape: Sequence[int] | None, *, trust: bool) -> Graph | Model:
    """The network of a whole module in a file, if the user trusts it.

    Raises ModelError that says what is in the file and what to do, for everything else.
    """
    if path.suffix.lower() == ".safetensors":
        _numbers_only(path, {name: entry.shape for name, entry in _safetensors(path).items()})
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(name.endswith("/constants.pkl") for name in archive.namelist()):
                raise ModelError(f"{path}: TorchScript, which is not supported: export the module with torch.export")
    content = _read(path, trust)
    torch = import_torch()
    if not isinstance(content, torch.nn.Module):
        _numbers_only(path, _shapes(content))
    from millijoule.load.torch import from_module

    return from_module(content, input_shape, type(content).__name__.lower())


def read_arrays(path: Path, *, trust: bool) -> dict[str, np.ndarray]:
    """The float arrays of a file of numbers, by name; of the one with most of them, if it holds several sets.

    Raises ModelError if there are none, or the file is damaged or would run code and is not trusted.
    """
    if path.suffix.lower() == ".safetensors":
        return {name: entry.read(path) for name, entry in _safetensors(path).items() if entry.dtype in FLOATS}
    content = _read(path, trust)
    torch = import_torch()
    if isinstance(content, torch.nn.Module):
        content = content.state_dict()
    tensors = max(_sets(content), key=len, default={})
    if not tensors:
        raise ModelError(f"{path}: holds no tensors by name")
    if any(tensor.is_sparse or tensor.is_quantized for tensor in tensors.values()):
        raise ModelError(f"{path}: holds sparse or quantized tensors; dense float ones are needed")
    floats = {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point()}
    return {name: tensor.detach().cpu().float().numpy() for name, tensor in floats.items()}


def read_kept(path: Path) -> str:
    """What a file of numbers keeps for this package, as `metadata.to_text` wrote it; empty if it keeps nothing."""
    if path.suffix.lower() == ".safetensors":
        kept = _header(path)[0].get("__metadata__") or {}
        return str(kept.get(NAME, "")) if isinstance(kept, Mapping) else ""
    if not zipfile.is_zipfile(path):
        return ""
    try:
        with zipfile.ZipFile(path) as archive:
            name = next((name for name in archive.namelist() if name.endswith(f"/{EXTRA}")), "")
            return archive.read(name).decode(errors="replace") if name else ""
    except zipfile.BadZipFile:
        raise ModelError(f"{path}: its archive is damaged: get the file again") from None


def _sets(content: Any) -> Iterator[dict[str, Any]]:
    """The tensors of every mapping, nested ones too."""
    if isinstance(content, Mapping):
        yield {str(name): value for name, value in content.items() if hasattr(value, "is_floating_point")}
        for value in content.values():
            yield from _sets(value)


def _read(path: Path, trust: bool) -> Any:
    torch = import_torch()
    from pickle import UnpicklingError

    if trust:
        with running(str(path), "cannot be read"):
            return torch.load(path, map_location="cpu", weights_only=False)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        text = str(error)
        if "Unsupported" in text or "GLOBAL" in text:
            raise ModelError(
                f"{path}: a Python pickle, as PyTorch writes them, of more than tensors, which runs code when it is "
                "read; add --trust if you know where it is from"
            ) from None
        raise ModelError(f"{path}: a damaged Python pickle, as PyTorch writes them: get the file again") from None
    except Exception as error:
        # torch raises RuntimeError, EOFError, KeyError and others for damaged archives.
        with path.open("rb") as file:
            start = file.read(2)
        kind = "a zip archive" if start == b"PK" else "a Python pickle" if start[:1] == b"\x80" else "a file"
        raise ModelError(
            f"{path}: {kind}, not as PyTorch writes them, or damaged ({first_line(error)[:120]})"
        ) from None


def _shapes(content: Any) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors in nested containers."""
    if hasattr(content, "shape"):
        return {"": tuple(content.shape)}
    found: dict[str, tuple[int, ...]] = {}
    if isinstance(content, Mapping):
        for key, value in content.items():
            if isinstance(value, Mapping) or hasattr(value, "shape"):
                found |= {f"{key}.{rest}".rstrip("."): shape for rest, shape in _shapes(value).items()}
    return found


@dataclass(frozen=True)
class _Entry:
    """A tensor of a safetensors file: its type there, its shape, and its bytes' place in the file."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    def read(self, path: Path) -> np.ndarray:
        array = np.fromfile(path, FLOATS[self.dtype], prod(self.shape), offset=self.begin)
        if self.dtype == "BF16":
            # The upper half of a float32.
            array = (array.astype(np.uint32) << 16).view(np.float32)
        return array.astype(np.float32).reshape(self.shape)


def _safetensors(path: Path) -> dict[str, _Entry]:
    """The tensors that the header tells of."""
    header, length = _header(path)
    size = path.stat().st_size
    try:
        entries = {}
        for name, entry in header.items():
            if name != "__metadata__":
                begin, end = (8 + length + int(place) for place in entry["data_offsets"])
                shape = tuple(map(int, entry["shape"]))
                if min(shape, default=0) < 0:
                    raise ValueError
                entries[name] = _Entry(str(entry["dtype"]), shape, begin, end)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _damaged(path) from None
    for name, found in entries.items():
        wanted = prod(found.shape) * np.dtype(FLOATS[found.dtype]).itemsize if found.dtype in FLOATS else None
        if not 8 + length <= found.begin <= found.end <= size or wanted not in (None, found.end - found.begin):
            raise ModelError(
                f"{path}: '{name}', {found.dtype} of shape {found.shape}, lies at bytes {found.begin} to {found.end} "
                f"of {size}: the file is truncated or damaged"
            )
    return entries


def _header(path: Path) -> tuple[dict[str, Any], int]:
    """Type, shape and place of every tensor, and metadata: JSON behind its length in eight bytes; and that length."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length)) if length <= LARGEST_HEADER_BYTES else None
    except ValueError:
        raise _damaged(path) from None
    if not isinstance(header, dict):
        raise _damaged(path)
    return header, length


def _damaged(path: Path) -> ModelError:
    return ModelError(f"{path}: its safetensors header is damaged: get the file again")


def _numbers_only(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> NoReturn:
    if not shapes:
        raise ModelError(f"{path}: holds no tensors and no module")
    name, shape = next(iter(shapes.items()))
    raise ModelError(
        f"{path}: numbers without a structure ({len(shapes)} arrays, the first is '{name}' of shape {shape}); give the "
        "module that they are for, as package.module:factory, with a factory that loads them, or deploy a network of "
        "the zoo with --weights"
    )
