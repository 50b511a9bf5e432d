"""How a user names a Python object."""

from __future__ import annotations


def is_reference(text: str) -> bool:
    """Whether a model's name is that of a factory: `package.module:callable` or `file.py:callable`."""
    place, colon, name = text.rpartition(":")
    dotted = all(part.isidentifier() for part in place.split("."))
    return bool(colon) and all(part.isidentifier() for part in name.split(".")) and (place.endswith(".py") or dotted)
