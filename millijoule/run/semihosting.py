"""Arm semihosting for an emulated firmware: files that live in memory.

Source: Arm, "Semihosting for AArch32 and AArch64" (ABI, 2024Q3), sections on SYS_OPEN, SYS_READ,
SYS_WRITE, SYS_WRITE0, SYS_EXIT.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from millijoule.errors import ToolError

SYS_OPEN, SYS_WRITE0, SYS_WRITE, SYS_READ, SYS_EXIT = 0x01, 0x04, 0x05, 0x06, 0x18
APPLICATION_EXIT = 0x20026  # ADP_Stopped_ApplicationExit
OPEN_FOR_WRITING = 4  # modes from here on write
INPUT, OUTPUT = "input.bin", "output.bin"


class Semihosting:
    """Answers a firmware's calls: it reads samples from `input.bin` and writes results to `output.bin`.

    input_bytes: what it reads at a time, a sample or a row of one. output_bytes: of a result, which is written in one
    part or several. touched: called with (address, bytes) of memory that a call reads or writes.
    progress: called with the number of results written.
    """

    def __init__(
        self,
        uc: Any,
        inputs: bytes,
        input_bytes: int,
        output_bytes: int,
        touched: Callable[[int, int], None],
        progress: Callable[[int], None] | None,
    ) -> None:
        self.uc, self.inputs, self.input_bytes, self.output_bytes = uc, inputs, input_bytes, output_bytes
        self.touched, self.progress = touched, progress
        self.outputs = bytearray()
        self.files: list[str] = []
        self.position = 0
        self.finished = False

    def call(self, operation: int, argument: int) -> int:
        """One call: registers r0 and r1 → the new r0. Raises ToolError for a call that no emitted main.c makes."""
        if operation == SYS_EXIT:
            if argument != APPLICATION_EXIT:
                raise ToolError(f"it ended itself with reason {argument:#x}")
            self.finished = True
            return 0
        if operation == SYS_WRITE0:  # a console that nobody reads
            return 0
        first, second, third = struct.unpack("<III", self.uc.mem_read(argument, 12))
        if operation == SYS_OPEN:
            return self._open(bytes(self.uc.mem_read(first, third)).decode(errors="replace"), second)
        if operation in (SYS_READ, SYS_WRITE) and first < len(self.files):
            return self._transfer(operation, self.files[first], second, third)
        raise ToolError(f"it made a semihosting call {operation:#x} that is not known")

    def _open(self, name: str, mode: int) -> int:
        if name != (OUTPUT if mode >= OPEN_FOR_WRITING else INPUT):
            return -1
        self.files.append(name)
        return len(self.files) - 1

    def _transfer(self, operation: int, name: str, address: int, size: int) -> int:
        """The number of bytes that were not transferred."""
        left = self.input_bytes if name == INPUT else self.output_bytes - len(self.outputs) % self.output_bytes
        if size > left or (name == INPUT and size != left):
            raise ToolError(f"it transfers {size:,} bytes of {name} at a time; {left:,} are expected")
        if operation == SYS_READ:
            data = self.inputs[self.position : self.position + size]
            self.uc.mem_write(address, data)
            self.position += len(data)
            self.touched(address, len(data))
            return size - len(data)
        self.outputs += self.uc.mem_read(address, size)
        self.touched(address, size)
        if self.progress:
            self.progress(len(self.outputs) // self.output_bytes)
        return 0
