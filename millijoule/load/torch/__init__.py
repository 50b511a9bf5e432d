"""Networks of PyTorch: modules by `package.module:factory`, exported programs, and numbers without structure.

A module goes through torch.export, functional operators included, and its calls through
`millijoule.load.channels_first`. Only inference is looked at: the module is put into evaluation mode.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millijoule.errors import ModelError
from millijoule.graph import Graph
from millijoule.load.torch.users_code import import_torch, running
from millijoule.model import Model

if TYPE_CHECKING:
    import torch


def load_module(reference: str, input_shape: Sequence[int] | None = None, *, numbers: bool = True) -> Graph | Model:
    """The network that a factory makes: `package.module:callable` or `file.py:callable`, or a module so called.

    input_shape: batch included; default: what the module or its framework says of itself. numbers: False makes it
    without its parameters' numbers, which then take no memory; what cannot be made so is made with them.
    Raises ModelError, in one line that names the user's line, for what raises there or cannot be exported; ToolError
    if torch is missing.
    """
    from millijoule.load.torch.factory import find, make

    import_torch()
    factory, name = find(reference)
    if not numbers:
        try:
            module = make(factory, reference, numbers=False)
            return from_module(module, input_shape or default_input(module, factory), name)
        except ModelError:
            # Some modules look at their numbers while they are made; those are made as usual.
            pass
    module = make(factory, reference)
    return from_module(module, input_shape or default_input(module, factory), name)


def from_module(module: torch.nn.Module, input_shape: Sequence[int] | None = None, name: str = "") -> Graph | Model:
    """The network of a module: a Graph if its parameters have no numbers (meta device, FakeTensorMode).

    Raises ModelError as `load_module` does.
    """
    torch = import_torch()
    from millijoule.load.torch.exported import read_program

    name = name or type(module).__name__.lower()
    shape = tuple(input_shape or default_input(module) or ())
    if not shape:
        raise ModelError(
            f"{name}: what shape has its input? give --shape, as 1x3x224x224 (batch, channels, height, width)"
        )
    if any(size < 1 for size in shape):
        raise ModelError(f"{name}: the input has shape {'x'.join(map(str, shape))}; every size must be 1 or more")
    module = module.eval()
    first = next(module.parameters(), None)
    without_numbers = first is not None and first.is_meta
    if without_numbers:
        module = module.to("meta")
    with running(name, "cannot be exported"):
        example = torch.zeros((1, *shape[1:]), device="meta" if without_numbers else "cpu")
        program = torch.export.export(module, (example,), strict=False)
    return read_program(program, name)


def default_input(module: torch.nn.Module, factory: object = None) -> tuple[int, ...] | None:
    """The shape that a module, or torchvision's weights for its factory, state; None if they do not."""
    example: Any = getattr(module, "example_input_array", None)
    if hasattr(example, "shape"):
        return tuple(example.shape)
    for attribute in ("pretrained_cfg", "default_cfg"):
        size = (getattr(module, attribute, None) or {}).get("input_size")
        if size:
            return (1, *size)
    size = getattr(module, "image_size", None)
    if isinstance(size, int):
        return (1, 3, size, size)
    if (getattr(factory, "__module__", None) or "").startswith("torchvision.models."):
        from torchvision.models import get_model_weights

        try:
            weights = list(get_model_weights(factory))
            crop = weights[0].transforms().crop_size[0]
        except (ValueError, AttributeError, IndexError):
            return None
        return (1, 3, crop, crop)
    return None


def load_file(path: Path, input_shape: Sequence[int] | None, *, trust: bool) -> Graph | Model:
    """The network of a PyTorch file. ModelError if it has none, or runs code and is not trusted."""
    from millijoule.load.torch.checkpoint import load_checkpoint

    if path.suffix.lower() == ".pt2":
        return load_program(path, trust=trust)
    return load_checkpoint(path, input_shape, trust=trust)


def load_program(path: Path, *, trust: bool) -> Graph | Model:
    """The network of a .pt2 file, as torch.export.save writes it.

    torch reads parts of it as code (pickles, symbolic expressions), so that it is read only if the user trusts it.
    """
    if not trust:
        raise ModelError(
            f"{path}: torch runs code from .pt2 files while it reads them; add --trust if you know where it is from"
        )
    torch = import_torch()
    from millijoule.load.metadata import NAME, restored
    from millijoule.load.names import identifier
    from millijoule.load.torch.exported import read_program

    kept = {NAME: ""}  # torch fills in what it is asked for
    with running(str(path), "cannot be read as an exported program"):
        program = torch.export.load(path, extra_files=kept)
    found = read_program(program, identifier(path.stem).strip("_") or "model")
    return restored(found, kept[NAME], str(path)) if isinstance(found, Model) else found


__all__ = ["default_input", "from_module", "load_file", "load_module", "load_program"]
