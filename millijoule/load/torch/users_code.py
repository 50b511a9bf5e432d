"""Running what is not ours: the user's module, and torch on it. What goes wrong there is told in one line."""

from __future__ import annotations

import logging
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from types import ModuleType

from millijoule.errors import ModelError, ToolError

OURS = str(Path(__file__).parents[2])


def import_torch() -> ModuleType:
    """torch, or ToolError that says how to get it."""
    try:
        import torch
    except ImportError:
        raise ToolError("PyTorch models need torch, which is missing: pip install 'millijoule[train]'") from None
    return torch


@contextmanager
def running(what: str, failed: str) -> Iterator[None]:
    """Whatever the code inside raises becomes a ModelError: what, the user's line, what failed, and why.

    What it prints goes to stderr, so that stdout stays data; of what fails, only the error is shown, and warnings and
    logs are not.
    """
    printed = StringIO()
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(printed), redirect_stderr(printed):
            warnings.simplefilter("ignore")
            yield
        sys.stderr.write(printed.getvalue())
    except (ModelError, ToolError, KeyboardInterrupt):
        raise
    except BaseException as error:
        where = users_line(error)
        raise ModelError(f"{what}: {f'{where}: ' if where else ''}{failed}: {first_line(error)}") from None
    finally:
        logging.disable(disabled)


def users_line(error: BaseException) -> str:
    """`file.py:12`: the innermost line that is neither torch's, nor Python's own, nor ours."""
    import torch

    foreign = (str(Path(torch.__file__).parent), OURS, str(Path(logging.__file__).parents[1]), "<frozen")
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    lines = [
        f"{frame.filename}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(foreign) or "site-packages" in frame.filename.removeprefix(foreign[0])
    ]
    return lines[-1] if lines else ""


def first_line(error: BaseException) -> str:
    """An exception's kind and the first line of what it says."""
    lines = str(error).strip().splitlines()
    text = lines[0].strip()[:240] if lines else ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
