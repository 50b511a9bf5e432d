"""What a history has found so far, on disk, so that it can be stopped."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from millijoule.errors import DataError, OptionError
from millijoule.whole_file import check_writable, remove_half_written, write_text

FILE = "history.json"


@dataclass(frozen=True)
class Result:
    """What one method reaches. error: share of the test images that are wrong. params: numbers that were learnt, of a
    forest its nodes, of a support vector machine its vectors' numbers. macs: of one answer, 0 for comparisons alone.
    epochs: passes over the training images with labels. updates: how often the weights were changed in them. Both are
    None where there is no such thing. seconds, cpu_seconds: training and testing, since the method was last begun.
    """

    year: int
    method: str
    error: float
    params: int
    macs: int
    epochs: int | None
    updates: int | None
    seconds: float
    cpu_seconds: float


class Record:
    """Keeps results in `folder`/history.json. identity: of the data and settings; another's results are refused.

    Raises OptionError for results of another history, DataError if they cannot be read.
    """

    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        self.path, self.identity = folder / FILE, identity
        check_writable(folder, "--out")
        self.results = self._read()

    def _read(self) -> dict[str, Result]:
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
            results = {each["method"]: Result(**each) for each in found["methods"]}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise DataError(f"'{self.path}' cannot be read ({error}): remove it to start again") from None
        for name, value in self.identity.items():
            if found.get(name) != value:
                raise OptionError(f"'{self.path}' is of a history with another {name}: choose another --out")
        return results

    def add(self, result: Result) -> None:
        self.results[result.method] = result
        self.path.parent.mkdir(parents=True, exist_ok=True)
        remove_half_written(self.path)
        methods = [{field.name: getattr(each, field.name) for field in fields(each)} for each in self.results.values()]
        write_text(self.path, json.dumps({**self.identity, "methods": methods}, indent=2) + "\n")
