"""Models from files and modules of other tools: `load(path)`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from millijoule.errors import ModelError
from millijoule.graph import Graph
from millijoule.load.reference import is_reference
from millijoule.model import Model

__all__ = ["is_reference", "load", "load_structure"]

LARGEST_FILE_BYTES = 2**31 - 1
"""Offsets in TFLite files are signed 32-bit; protobuf, which ONNX files are, ends there too."""

_SIGNATURES = (
    (b"\x89HDF\r\n\x1a\n", "a Keras HDF5 file"),
    (b"PK\x03\x04", "a zip archive, as PyTorch and Keras write them"),
    (b"\x80\x02", "a Python pickle, as PyTorch writes them"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself (run: git lfs pull)"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x7fELF", "a compiled program"),
    (b"<", "an HTML or XML page"),
    (b"{", "JSON text"),
)
_TORCH_SUFFIXES = (".bin", ".ckpt", ".pt", ".pt2", ".pth", ".safetensors", ".th")


def load(
    path: Path | str,
    input_shape: Sequence[int] | None = None,
    *,
    network: Graph | None = None,
    trust: bool = False,
) -> Model:
    """The model in a .tflite or .onnx file, quantized ones as int8 models, others as float models; or of PyTorch.

    path: a file, or `package.module:factory` or `file.py:factory`, which makes a torch.nn.Module.
    input_shape: the shape of the input, batch included, of a PyTorch module, or where an ONNX file leaves sizes open.
    network: the structure, of a file that holds numbers alone: a state dict of PyTorch, or safetensors.
    trust: read PyTorch files that can run code while they are read: .pt2 files, and whole modules in .pt files.

    The graph is named after the file. Raises ModelError, in one line that names the file, the operator or the byte,
    if the file cannot be read, is no model, is damaged, or holds something that is not supported.
    """
    if network is not None:
        return _load_weights(Path(path), network, trust)
    found = _load(path, input_shape, trust=trust, numbers=True)
    if not isinstance(found, Model):
        raise ModelError(f"{path}: its parameters are on the meta device and have no numbers: it can only be costed")
    return found


def load_structure(path: Path | str, input_shape: Sequence[int] | None = None, *, trust: bool = False) -> Graph | Model:
    """As `load`, for costing: a PyTorch module is made without its numbers, where it allows it, and takes no memory."""
    return _load(path, input_shape, trust=trust, numbers=False)


def _load(path: Path | str, input_shape: Sequence[int] | None, *, trust: bool, numbers: bool) -> Graph | Model:
    if is_reference(str(path)) and not Path(path).exists():
        from millijoule.load.torch import load_module

        return load_module(str(path), input_shape, numbers=numbers)
    path = Path(path)
    if path.suffix.lower() in _TORCH_SUFFIXES and path.is_file() and path.stat().st_size:
        from millijoule.load.torch import load_file

        return load_file(path, input_shape, trust=trust)
    return _load_file(path, input_shape)


def _load_weights(path: Path, network: Graph, trust: bool) -> Model:
    from millijoule.load.metadata import restored
    from millijoule.load.torch.checkpoint import SUFFIXES, read_arrays, read_kept
    from millijoule.load.weights import with_weights

    if path.suffix.lower() not in SUFFIXES:
        raise ModelError(f"{path}: numbers for '{network.name}' can be read from {', '.join(SUFFIXES)} files")
    if not path.is_file():
        raise ModelError(f"{path}: there is no such file")
    return restored(with_weights(network, read_arrays(path, trust=trust), str(path)), read_kept(path), str(path))


def _load_file(path: Path, input_shape: Sequence[int] | None) -> Model:
    try:
        if path.is_dir():
            raise ModelError(f"{path}: a folder; name a .tflite or .onnx file in it")
        size = path.stat().st_size
        if size > LARGEST_FILE_BYTES:
            raise ModelError(
                f"{path}: {size} bytes; TFLite and ONNX files have {LARGEST_FILE_BYTES} at most (larger ONNX models "
                "keep their numbers in files beside them)"
            )
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror or error}") from None
    if path.suffix.lower() == ".onnx" and data and not _other_format(data):
        from millijoule.load.onnx import load_onnx

        return load_onnx(data, path, _graph_name(path), input_shape)
    if data[4:8] != b"TFL3":
        raise ModelError(f"{path}: {_looks_like(path, data)}; .tflite and .onnx files can be loaded")
    if input_shape is not None:
        raise ModelError(f"{path}: a TFLite file states the shape of its input; leave --shape out")
    from millijoule.load.tflite import load_tflite

    return load_tflite(data, str(path), _graph_name(path))


def _looks_like(path: Path, data: bytes) -> str:
    if not data:
        return "the file is empty"
    if other := _other_format(data):
        return f"not a TFLite file but {other}"
    if len(data) < 8:
        return f"{len(data)} bytes are too few for a TFLite file: it is truncated"
    return f"not a TFLite file: bytes 4 to 7 are {data[4:8]!r}, not b'TFL3'"


def _other_format(data: bytes) -> str | None:
    return next((description for signature, description in _SIGNATURES if data.startswith(signature)), None)


def _graph_name(path: Path) -> str:
    from millijoule.load.names import identifier

    name = identifier(path.stem).strip("_") or "model"
    return f"model_{name}" if name[0].isdigit() else name
