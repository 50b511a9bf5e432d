"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from millijoule.errors import OptionError


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file with a temporary name beside `path`, renamed to it at the end. Raises OSError; leaves nothing then."""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        temporary.chmod(0o644)  # temporary files are their owner's alone
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8; see whole_file."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content`; see whole_file."""
    with whole_file(path) as file:
        file.write(content)


def remove_half_written(path: Path) -> None:
    """Remove what processes that were killed left of `path`, which no other process may be writing."""
    for half_written in path.parent.glob(f".{path.name}-*"):
        half_written.unlink(missing_ok=True)


def check_writable(folder: Path, option: str) -> None:
    """OptionError, before time is spent, if nothing can be written to `folder`. option: what chooses another."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise OptionError(f"'{folder}' cannot be written ({error.strerror}): choose another {option}") from None
