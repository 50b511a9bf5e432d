"""The command line: parses, calls, prints; nothing else. One file for each command or family of commands."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

import millijoule
from millijoule.cli.check import CHECK
from millijoule.cli.cost import COST
from millijoule.cli.data import DATA
from millijoule.cli.deploy import DEPLOY
from millijoule.cli.diagnose import DIAGNOSE
from millijoule.cli.export import EXPORT
from millijoule.cli.fit import FIT
from millijoule.cli.history import HISTORY
from millijoule.cli.lists import DEVICES, DOCTOR, ZOO
from millijoule.cli.measure import MEASURE
from millijoule.cli.plan import PLAN
from millijoule.cli.predict import PREDICT
from millijoule.cli.price import PRICE
from millijoule.cli.quantize import QUANTIZE
from millijoule.cli.reduce import REDUCE
from millijoule.cli.shrink import DISTILL, PRUNE
from millijoule.cli.survey import AUDIT, COMPARE, EXPLAIN
from millijoule.cli.train import EVALUATE, LOOK, TRAIN
from millijoule.errors import MillijouleError

COMMANDS = (
    *(DEPLOY, DATA, TRAIN, EVALUATE, PREDICT, LOOK, HISTORY),
    *(QUANTIZE, DIAGNOSE, PRUNE, DISTILL),
    *(COST, COMPARE, EXPLAIN, AUDIT, PLAN, REDUCE, EXPORT),
    *(MEASURE, CHECK, FIT, PRICE),
    *(DEVICES, ZOO, DOCTOR),
)

EPILOG = (
    "Data goes to stdout, messages to stderr. Exit code 0: done; 1: the model does not fit, or exceeds a budget; "
    "2: an error."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser(arguments).parse_args(arguments)
    try:
        with _ended_by_signals():
            options.command(options)
        sys.stdout.flush()
    except MillijouleError as error:
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        # Where the interrupt fell into an exec (dataclasses and named tuples are made by it), `python -m` would end
        # with SIGINT whatever is returned here: CPython remembers until the next exec.
        exec("")
        return _fail("interrupted; nothing was left half written", 2)
    except BrokenPipeError:
        # The reader of a pipe has seen enough: not an error. Python would complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        return _fail(f"{error.strerror or error}{where}", 2)
    return 0


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM, and SIGHUP of a terminal that closes, end a command like Ctrl-C: what is half written is removed."""

    def end(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        if before[number] == signal.SIG_DFL:
            signal.signal(number, end)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, before[number])


def _fail(message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return code


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, as every other error."""
        self.exit(2, f"error: {message}; see `{self.prog} --help`\n")


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="millijoule", description="What a CNN costs on a device, and how it runs there for less.", epilog=EPILOG
    )
    parser.add_argument("--version", action="version", version=f"millijoule {millijoule.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        sub = commands.add_parser(command.name, help=command.text, description=command.text, epilog=EPILOG)
        sub.set_defaults(command=command.run)
        sub.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
        if command.name in arguments:  # those of the others would only cost time
            command.options(sub)
    return parser
