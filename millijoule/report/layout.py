"""Tables as wide as the terminal allows, plain text where there is none.

Columns of numbers never wrap; names are folded over lines where there is no room.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.control import strip_control_codes
from rich.segment import Segment, Segments
from rich.style import Style
from rich.text import Text

GAP = "  "
"""Between columns."""
WIDE = 100
"""Columns from which a table shows everything."""
TEXT_LEAST = 16
"""Characters that a column of text keeps where others could go instead."""
TEXT_LEAST_OF_ALL = 6
"""Characters that a column of text keeps in any case."""


def print_tables(tables: Sequence[RenderableType], console: Console | None = None) -> None:
    """Print to stdout, a blank line between one and the next; without colour if stdout is no terminal."""
    console = console or Console(markup=False, highlight=False, emoji=False)
    for index, table in enumerate(tables):
        if index:
            console.print()
        console.print(table)


@dataclass(frozen=True)
class Column:
    """header: may have a second line for unit or origin. text: flush left and folded where there is no room. wide_only:
    left out below WIDE. rank: where the rest does not fit, the column of the highest rank goes first; 0 always stays.
    """

    header: str
    text: bool = False
    wide_only: bool = False
    rank: int = 0


@dataclass(frozen=True)
class Responsive:
    """What `make(width)` returns for the width there is."""

    make: Callable[[int], RenderableType]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self.make(options.max_width)


def make_table(columns: Sequence[Column], rows: Sequence[Sequence[str]], total: bool = False) -> RenderableType:
    """total: the last row is a total, below a line.

    Rows are laid out here, not by rich.Table, which takes longer for a deep network's layers than counting them.
    """

    def segments(width: int) -> Iterator[Segment]:
        shown = _fitting(columns, rows, width)
        header = [columns[index].header for index in shown]
        body = [[row[index] for index in shown] for row in rows]
        texts = [columns[index].text for index in shown]
        widths = _widths(texts, [header, *body], width)
        rule = "-" * (sum(widths) + len(GAP) * (len(widths) - 1))
        yield from _lines(header, widths, texts, bold=True, bottom=True)
        yield Segment(rule + "\n")
        for row in body[:-1] if total else body:
            yield from _lines(row, widths, texts)
        if total:
            yield Segment(rule + "\n")
            yield from _lines(body[-1], widths, texts, bold=True)

    return Responsive(lambda width: Segments(segments(width)))


def _widths(texts: Sequence[bool], rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """Of each column: what its widest cell needs; the widest text gives way where that is too much together."""
    cells = list(zip(*rows, strict=True))
    widths = [max((cell_len(line) for cell in column for line in cell.splitlines()), default=0) for column in cells]
    widths = [max(each, TEXT_LEAST_OF_ALL) if text else each for each, text in zip(widths, texts, strict=True)]
    giving = [index for index, text in enumerate(texts) if text]
    for _ in range(sum(widths) + len(GAP) * (len(widths) - 1) - width):
        widest = max(giving, key=widths.__getitem__, default=None)
        if widest is None or widths[widest] <= TEXT_LEAST_OF_ALL:
            break
        widths[widest] -= 1
    return widths


def _lines(
    cells: Sequence[str], widths: Sequence[int], texts: Sequence[bool], bold: bool = False, bottom: bool = False
) -> Iterator[Segment]:
    """A row, over as many lines as its highest cell needs. bottom: cells that need fewer stand at the bottom."""
    folded = [_fold(cell, width, text) for cell, width, text in zip(cells, widths, texts, strict=True)]
    height = max(map(len, folded))
    if bottom:
        folded = [[""] * (height - len(cell)) + cell for cell in folded]
    for number in range(height):
        parts = []
        for lines, width, text in zip(folded, widths, texts, strict=True):
            line = lines[number] if number < len(lines) else ""
            blank = " " * (width - cell_len(line))
            parts.append(line + blank if text else blank + line)
        yield Segment(GAP.join(parts), Style(bold=True) if bold else None)
        yield Segment("\n")


def _fold(cell: str, width: int, text: bool) -> list[str]:
    lines = [line if line.isprintable() else strip_control_codes(line) for line in cell.splitlines()] or [""]
    if not text or all(cell_len(line) <= width for line in lines):
        return lines
    # rich folds between words, and within those that are too long, and knows characters of double width.
    console = Console(file=io.StringIO(), width=width)
    return [part.plain.rstrip() for line in lines for part in Text(line).wrap(console, width, overflow="fold")]


def _fitting(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """The columns that are shown."""

    def needed(index: int) -> int:
        texts = (*columns[index].header.splitlines(), *(row[index] for row in rows))
        widest = max(map(cell_len, texts), default=0)
        return min(widest, TEXT_LEAST) if columns[index].text else widest

    shown = [index for index, column in enumerate(columns) if width >= WIDE or not column.wide_only]
    while sum(needed(index) + 2 for index in shown) - 2 > width:
        last = max(shown, key=lambda index: columns[index].rank)
        if columns[last].rank == 0:
            break
        shown.remove(last)
    return shown
