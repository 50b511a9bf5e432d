"""As much of YAML as the data.yaml of YOLO data sets needs: names with a word, a list, or names below them."""

from __future__ import annotations

import re
from pathlib import Path

from millijoule.errors import DataError

Plain = str | list[str] | dict[str, str] | None


def read_yaml(file: Path) -> dict[str, Plain]:
    """name → text, list of texts, or name → text; anything deeper is passed over. Raises DataError.

    Lists and names stand on lines of their own, indented or with a dash, or in [] or {} after the name, also over
    several lines.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"'{file}' cannot be read ({error})") from None
    content: dict[str, Plain] = {}
    key, opened = "", ""
    for line in text.splitlines():
        line = re.sub(r"(^|\s)#.*", "", line).rstrip()
        if opened:
            opened += " " + line.strip()
        elif match := re.match(r"(['\"]?)(\w+)\1:(?:\s+(.*))?$", line):
            key, value = match[2], (match[3] or "").strip()
            content[key] = _word(value) if value else None
            opened = value if value[:1] in "[{" else ""
        elif match := re.match(r"\s*-\s+(.*)$", line):
            content[key] = [*(old if isinstance(old := content.get(key), list) else []), _word(match[1])]
        elif match := re.match(r"\s+(['\"]?)(\w+)\1:\s+(.*)$", line):
            content[key] = (old if isinstance(old := content.get(key), dict) else {}) | {match[2]: _word(match[3])}
        if opened and opened[-1:] in "]}":
            content[key], opened = _inline(opened), ""
    return content


def _inline(text: str) -> Plain:
    items = [item.strip() for item in re.findall(r"(?:[^,'\"]|'[^']*'|\"[^\"]*\")+", text[1:-1]) if item.strip()]
    if text[0] == "[":
        return [_word(item) for item in items]
    pairs = [item.partition(":") for item in items]
    return {_word(name): _word(value) for name, _, value in pairs}


def _word(text: str) -> str:
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text
