"""What the charts share: Plotly, their size, their colours."""

from __future__ import annotations

from html import escape
from textwrap import wrap
from typing import Any

from millijoule.errors import ToolError

WIDTH, HEIGHT = 1040, 640
MARGINS = {"l": 70, "r": 30, "t": 60, "b": 60}
INK = "#1b1f24"
OUTLINE = {"width": 1, "color": INK}

# Okabe and Ito's palette, which people with any kind of colour blindness can tell apart.
BLUE, ORANGE, GREEN, SKY, RED, PURPLE, YELLOW = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#56B4E9",
    "#D55E00",
    "#CC79A7",
    "#F0E442",
)


def plotly() -> Any:
    """plotly.graph_objects. Raises ToolError, with the command that installs it, if it is missing."""
    try:
        import plotly.graph_objects
    except ImportError:
        raise ToolError("charts need Plotly; get it: pip install 'millijoule[charts]'") from None
    return plotly.graph_objects


def layout(title: str, **more: Any) -> dict[str, Any]:
    """The layout of a chart of fixed size, so that labels placed once lie right. more: what differs."""
    return {
        "title": {"text": title, "x": 0, "xref": "paper", "font": {"size": 18}},
        "width": WIDTH,
        "height": HEIGHT,
        "margin": MARGINS,
        "template": "plotly_white",
        "font": {"size": 13, "color": INK},
        "hoverlabel": {"font": {"size": 13}},
        **more,
    }


def wrapped(text: str) -> str:
    """Plain text for a hover label, in lines that fit beside a mark."""
    return "<br>".join(escape(line) for line in wrap(text, 64))
