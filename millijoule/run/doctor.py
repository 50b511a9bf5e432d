"""What is installed, what is missing, and the command that gets it."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from millijoule.run.qemu import MACHINES

OLDEST_PYTHON = (3, 11)

# Distribution on PyPI, what it is for.
PACKAGES = (
    ("numpy", "all arithmetic"),
    ("ziglang", "C compiler for this computer and every Cortex-M"),
    ("unicorn", "emulator for Cortex-M firmware"),
    ("pyelftools", "sizes and symbols of firmware"),
    ("ortools", "memory plans where simple placement is not optimal"),
    ("pillow", "reading images"),
    ("rich", "tables and progress in the terminal"),
    ("torch", "training"),
    ("scikit-learn", "the data set 'digits'"),
    ("datasets", "data sets by name from Hugging Face"),
)

# Program, what it is for, the command that gets it.
PROGRAMS = (
    (
        "arm-none-eabi-gcc",
        "the other firmware compiler (--compiler gcc; make in the project)",
        "apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi",
    ),
    ("make", "building an emitted project by its Makefile", "apt-get install make"),
    (
        "qemu-system-arm",
        f"the other emulator (--emulator qemu), for {', '.join(core.removeprefix('cortex-') for core in MACHINES)}; "
        "the only one for m55 and m85",
        "apt-get install qemu-system-arm",
    ),
)


@dataclass(frozen=True)
class Check:
    """One thing that millijoule can use. version: empty if it is not found. how_to_get: a shell command."""

    name: str
    found: bool
    version: str
    what_for: str
    how_to_get: str


def doctor() -> tuple[Check, ...]:
    """Look for everything that millijoule can use. Nothing is imported; programs are asked for their version."""
    python = tuple(map(int, platform.python_version_tuple()[:2])) >= OLDEST_PYTHON
    return (
        Check("python", python, platform.python_version(), "everything", "apt-get install python3"),
        *(_package(*entry) for entry in PACKAGES),
        *(_program(*entry) for entry in PROGRAMS),
    )


def _package(name: str, what_for: str) -> Check:
    try:
        found = version(name)
    except PackageNotFoundError:
        found = ""
    return Check(name, bool(found), found, what_for, f"pip install {name}")


def _program(name: str, what_for: str, how_to_get: str) -> Check:
    found = ""
    if shutil.which(name):
        try:
            result = subprocess.run([name, "--version"], capture_output=True, text=True, timeout=20)
            match = re.search(r"\d+(\.\d+)+", result.stdout)
            found = match[0] if match else "of unknown version" if result.returncode == 0 else ""
        except (OSError, subprocess.TimeoutExpired):
            pass
    if found and name == "arm-none-eabi-gcc" and not _has_newlib(name):
        return Check(name, False, f"{found} without newlib", what_for, how_to_get)
    return Check(name, bool(found), found, what_for, how_to_get)


def _has_newlib(gcc: str) -> bool:
    """A compiler prints the bare name of a file that it does not find."""
    result = subprocess.run([gcc, "-print-file-name=nano.specs"], capture_output=True, text=True)
    return result.stdout.strip() != "nano.specs"
