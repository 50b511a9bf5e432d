"""What all pages without charts have in common: one file that needs nothing else; and their tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from string import Template
from typing import Any

import millijoule
from millijoule.report.files import read_part
from millijoule.report.layout import Column

FOOTER = f"Made by millijoule {escape(millijoule.__version__)}. The numbers are in this page as JSON"


def frame(
    kind: str,
    title: str,
    subtitle: str,
    main: str,
    value: Any,
    *,
    heading: str = "",
    verdict: str = "",
    notes: Sequence[str] = (),
    style: str = "",
    footer: str = f"{FOOTER}.",
) -> str:
    """The page as text.

    main, verdict, footer: HTML; the other texts are plain. heading: where it is not the title. value: the page's
    numbers, which it keeps as JSON under the id `kind`. style: of this page, beside that of all.
    """
    return Template(read_part("page/frame.html")).substitute(
        style=read_part("page/style.css") + style,
        title=escape(title),
        heading=escape(heading or title),
        subtitle=escape(subtitle),
        notes="\n".join([*([verdict] if verdict else []), *(f'<p class="note">{escape(note)}</p>' for note in notes)]),
        main=main,
        footer=footer,
        kind=kind,
        # No `<` can end the element or open a comment.
        json=json.dumps(value).replace("<", "\\u003c"),
    )


def html_table(columns: Sequence[Column], rows: Sequence[Sequence[str]], foot: Sequence[str] = ()) -> str:
    """A table; what the terminal's tables have on two lines of a header is broken there."""

    def row(cells: Sequence[str], tag: str) -> str:
        parts = [
            f"<{tag}{' class=text' if column.text else ''}>{escape(cell).replace(chr(10), '<br>')}</{tag}>"
            for column, cell in zip(columns, cells, strict=True)
        ]
        return f"<tr>{''.join(parts)}</tr>\n"

    body = "".join(row(cells, "td") for cells in rows)
    end = f"<tfoot>{row(foot, 'td')}</tfoot>" if foot else ""
    head = row([column.header for column in columns], "th")
    return f"<table>\n<thead>{head}</thead>\n<tbody>\n{body}</tbody>\n{end}</table>\n"
