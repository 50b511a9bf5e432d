"""Files of this folder, and files that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from importlib.resources import files
from pathlib import Path

from millijoule.errors import OptionError


def read_part(name: str) -> str:
    """A file of this folder that pages are made of."""
    return (files("millijoule") / "report" / name).read_text(encoding="utf-8")


def check_new(target: Path, *, force: bool, option: str = "--out") -> None:
    """OptionError if something is there that is not to be replaced, or no file can be written there.

    option: which names the file.
    """
    if target.is_dir():
        raise OptionError(f"'{target}' is a folder: name a file with {option}")
    if target.exists() and not force:
        raise OptionError(f"'{target}' exists: add --force to replace it, or choose another {option}")
    if not target.parent.is_dir():
        raise OptionError(f"'{target.parent}' is no folder: make it, or choose another {option}")


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8; see write_bytes."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to a temporary name beside `path`, then rename it. Raises OSError; leaves nothing then."""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    os.close(handle)
    temporary = Path(name)
    try:
        temporary.write_bytes(content)
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
