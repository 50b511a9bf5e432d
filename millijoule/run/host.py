"""The emitted C on this computer: as a library for ctypes, and as a program under sanitizers."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from millijoule.emit.boxes import BOX, COUNT_BYTES
from millijoule.errors import ToolError
from millijoule.run.toolchain import WARNINGS, run_compiler, zig


def build_host(
    folder: Path,
    name: str,
    compiler: str = "zig",
    optimize: str = "-O3",
    sanitize: Sequence[str] = (),
    processor: str = "native",
) -> Path:
    """Compile model.c in `folder` to the shared library `<name>.so`; return its path.

    compiler: `zig` (clang from PyPI's ziglang), or the host's `gcc`, `clang` or `cc`.
    processor: whose instructions may be used: `native`, this computer's, or a name that the compiler's -march takes.
    sanitize: checks such as `undefined`, with gcc or clang. A failed check ends the process: `run_program` is the way
    to see its message. Raises ToolError if the compiler is missing or refuses the source.
    """
    # Zig writes processors with underscores.
    machine = f"-march={processor.replace('-', '_') if compiler == 'zig' else processor}"
    # On AVX2, clang 22's SLP vectorizer gets sums of products of the dsp kernels wrong; with it off, in clang 21 and in
    # gcc the same C is right.
    scalar = ("-fno-slp-vectorize",) if compiler in ("zig", "clang") else ()
    sources = ("-shared", "-fPIC", machine, *scalar, "model.c")
    return _compile(folder, sources, f"{name}.so", compiler, optimize, sanitize)


def run_program(
    folder: Path,
    inputs: np.ndarray,
    output_bytes: int,
    compiler: str = "gcc",
    optimize: str = "-O1",
    sanitize: Sequence[str] = ("address", "undefined"),
) -> np.ndarray:
    """Compile main.c and model.c in `folder` to a program of this computer and run it over int8 inputs (n, …).

    Returns int8 (n, output_bytes). Raises ToolError with the sanitizer's first line if it finds a fault.
    """
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        program = _compile(folder, ("main.c", "model.c"), "host", compiler, optimize, sanitize, work)
        np.ascontiguousarray(inputs, np.int8).tofile(work / "input.bin")
        result = subprocess.run([program], cwd=work, capture_output=True, text=True, errors="replace")
        if result.returncode != 0:
            lines = result.stderr.splitlines()
            fault = next((line for line in lines if "error" in line.lower()), lines[0] if lines else "no message")
            raise ToolError(f"{folder.name}: the program of this computer failed ({result.returncode}): {fault}")
        return np.fromfile(work / "output.bin", np.int8).reshape(len(inputs), output_bytes)


class HostLibrary:
    """`<name>_run` of a library that `build_host` made, and `<name>_detect` of a detector's.

    output_bytes: of all outputs. most_boxes: for how many boxes there is room; 0: it finds none. least_score: of the
    boxes. Raises ToolError if it cannot be loaded.
    """

    def __init__(
        self, path: Path, name: str, input_bytes: int, output_bytes: int, most_boxes: int = 0, least_score: float = 0.0
    ) -> None:
        self.input_bytes, self.output_bytes = input_bytes, output_bytes
        self.most_boxes, self.least_score = most_boxes, least_score
        # Loaded from a copy: the loader would take a second library of the same path for the first.
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
            copy = shutil.copy(path, temporary)
            try:
                library = ctypes.CDLL(copy)
                self._run = getattr(library, f"{name}_run")
                self._detect = getattr(library, f"{name}_detect") if most_boxes else None
            except (OSError, AttributeError) as error:
                raise ToolError(f"{path}: not a library with {name}_run: {error}") from None
        self._run.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
        self._run.restype = ctypes.c_int
        if self._detect:
            self._detect.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_float)

    def run(self, inputs: np.ndarray) -> np.ndarray:
        """int8 (n, bytes) of int8 inputs (n, …): what the sample firmware writes, outputs and boxes.

        Raises ToolError if the library reports a failure.
        """
        flat = np.ascontiguousarray(inputs, np.int8).reshape(len(inputs), self.input_bytes)
        found = COUNT_BYTES + self.most_boxes * BOX.itemsize if self._detect else 0
        outputs = np.zeros((len(flat), self.output_bytes + found), np.int8)
        for source, target in zip(flat, outputs, strict=True):
            status = self._run(source.ctypes.data, target.ctypes.data)
            if status != 0:
                raise ToolError(f"the host library returned {status}")
            if self._detect:
                boxes = np.zeros(self.most_boxes, BOX)
                count = self._detect(boxes.ctypes.data, self.most_boxes, self.least_score)
                found_here = np.int32(count).tobytes() + boxes.tobytes()
                target[self.output_bytes :] = np.frombuffer(found_here, np.int8)
        return outputs


def _compile(
    folder: Path,
    sources: Sequence[str],
    target: str,
    compiler: str,
    optimize: str,
    sanitize: Sequence[str],
    into: Path | None = None,
) -> Path:
    """Compile for this computer into `folder`, or into another folder."""
    checks = [f"-fsanitize={','.join(sanitize)}", "-fno-sanitize-recover=all", "-g"] if sanitize else []
    if compiler == "zig":
        if sanitize:
            raise ToolError("ziglang comes without sanitizers for this computer: choose gcc or clang")
        command = [*zig(), "-fno-sanitize=undefined"]
    elif (found := shutil.which(compiler)) is not None:
        # GCC 12 takes the rest behind a loop over 512-bit vectors for aligned where it is not.
        command = [found, *(["--param=vect-epilogues-nomask=0"] if compiler == "gcc" else [])]
    else:
        raise ToolError(f"the C compiler '{compiler}' is not installed: apt-get install {compiler}, or choose zig")
    with tempfile.TemporaryDirectory(dir=into or folder) as temporary:
        output = (Path(temporary) / target).resolve()
        error = run_compiler([*command, *WARNINGS, optimize, *checks, *sources, "-o", str(output)], folder)
        if error is not None:
            raise ToolError(f"{folder.name}: the C compiler {compiler} failed: {error}")
        path = (into or folder) / target
        os.replace(output, path)
    return path
