"""Files of this folder, and where pages are written."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from millijoule.errors import OptionError
from millijoule.whole_file import check_writable


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
    check_writable(target.parent, option)
