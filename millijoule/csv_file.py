"""Tables of text with a header, read strictly."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from millijoule.errors import DataError


def read_csv(path: Path, required: Sequence[str], optional: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """(line, column → text without blanks around it) for every row of a CSV file; a missing optional column is empty.

    Lines that start with # and empty lines are left out. Raises DataError that names the file and the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: not UTF-8 text") from None
    return parse_csv(text, str(path), required, optional)


def package_csv(room: str, name: str, required: Sequence[str], optional: Sequence[str] = ()) -> list[dict[str, str]]:
    """The rows of a table that comes with the package, in the folder `data` of a room."""
    text = (files("millijoule") / room / "data" / name).read_text(encoding="utf-8")
    return [row for _, row in parse_csv(text, name, required, optional)]


def parse_csv(
    text: str, name: str, required: Sequence[str], optional: Sequence[str]
) -> list[tuple[int, dict[str, str]]]:
    """As read_csv, from text."""
    known = (*required, *optional)
    # Comment lines become empty ones, which the reader skips, so that line numbers stay those of the file.
    lines = ["" if line.startswith("#") else line for line in text.splitlines()]
    reader = csv.reader(io.StringIO("\n".join(lines)), strict=True)
    header: list[str] = []
    rows = []
    try:
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if not any(cells):
                continue
            if not header:
                header = cells
                _check_header(header, name, required, known)
                continue
            if len(cells) != len(header):
                raise DataError(f"{name}, line {reader.line_num}: {len(cells)} cells; the header has {len(header)}")
            rows.append((reader.line_num, dict.fromkeys(known, "") | dict(zip(header, cells, strict=True))))
    except csv.Error as error:
        raise DataError(f"{name}, line {reader.line_num}: {error}") from None
    if not header:
        raise DataError(f"{name}: empty; the first line must name the columns {', '.join(required)}")
    if not rows:
        raise DataError(f"{name}: a header and no rows")
    return rows


def _check_header(header: Sequence[str], name: str, required: Sequence[str], known: Sequence[str]) -> None:
    for column in required:
        if column not in header:
            raise DataError(
                f"{name}: no column '{column}'; there are {', '.join(header)}, needed {', '.join(required)}"
            )
    for column in header:
        if column not in known or header.count(column) > 1:
            raise DataError(f"{name}: column '{column}' is twice there or not known; known are {', '.join(known)}")
