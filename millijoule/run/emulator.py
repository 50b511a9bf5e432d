"""Firmware in an emulator that pip installs: unicorn, with native counters."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from millijoule.cost.device import Device, Region, compiled_for, memories
from millijoule.errors import ToolError
from millijoule.run.counter import (
    ACCESS_FIELDS,
    INSTRUCTION_LIMIT,
    INTERRUPTED,
    MEMORIES,
    RUN,
    STOPS,
    Counter,
    Firmware,
    native_library,
)
from millijoule.run.elf import Elf
from millijoule.run.measurement import Build, Measurement
from millijoule.run.semihosting import Semihosting
from millijoule.run.thumb import instruction_mix

PAINT = 0xA5
SEMIHOSTING_CALL = b"\xab\xbe"  # BKPT 0xAB
BREAKPOINT = 7
NOWHERE = 0xFFFFFFFE  # an address that code never reaches
UNDEFINED = "undefined instruction, or branch to an even address (the core knows no Arm code)"
# Unicorn's exception numbers (QEMU's EXCP_…) that compiled code can raise.
EXCEPTIONS = {
    2: "SVC instruction without an operating system",
    3: "execution where the memory map has no code",
    4: "memory access that is not allowed",
    BREAKPOINT: "breakpoint instruction",
    17: "coprocessor or floating-point instruction, which the core lacks or has disabled",
}

# Unicorn's name of each core that firmware is compiled for.
MODELS = {
    "cortex-m0plus": "UC_CPU_ARM_CORTEX_M0",
    "cortex-m3": "UC_CPU_ARM_CORTEX_M3",
    "cortex-m4": "UC_CPU_ARM_CORTEX_M4",
    "cortex-m7": "UC_CPU_ARM_CORTEX_M7",
    "cortex-m33": "UC_CPU_ARM_CORTEX_M33",
}

_U32, _I32, _POINTER = ctypes.c_uint32, ctypes.c_int32, ctypes.c_void_p


class Hooks(ctypes.Structure):
    """Twin of `struct hooks` in native/unicorn_counter.c."""

    _fields_ = (
        ("counter", Counter),
        ("code", _POINTER),
        ("blocks", _POINTER),
        ("stack_limit", _U32),
        ("link_register", _I32),
        ("stack_register", _I32),
        ("status_register", _I32),
        ("program_counter", _I32),
        ("watch_stack", ctypes.c_bool),
        ("strict_alignment", ctypes.c_bool),
        ("emulator", _POINTER),
        ("read_register", _POINTER),
        ("write_register", _POINTER),
        ("stop", _POINTER),
    )


BLOCK = np.dtype([("bytes", np.uint16), ("instructions", np.uint16), ("entered", np.int32)])
"""Twin of `struct block` in native/unicorn_counter.c."""


def check_core(device: Device) -> str:
    """The core that firmware for `device` is compiled for. Raises ToolError if unicorn does not know it."""
    core = compiled_for(device)
    if core not in MODELS:
        raise ToolError(f"unicorn does not execute code for {core} ('{device.name}'): choose the emulator qemu")
    return core


def emulate(
    build: Build,
    device: Device,
    name: str,
    inputs: np.ndarray,
    layers: Mapping[str, str],
    output_bytes: int,
    progress: Callable[[int], None] | None = None,
    rows: int = 0,
) -> Measurement:
    """Run a firmware over `inputs`, int8 (n, …), and say what was seen.

    layers: node → symbol of its function, in order. progress: called with the number of samples done. rows: that an
    input is pushed in; 0 where it is given as a whole.
    Raises ToolError if unicorn does not know the core, or if the firmware faults, hangs, overflows its stack or ends
    early, with the layer, the function, the address and the instruction. Ctrl-C stops it at once.
    """
    core = check_core(device)
    firmware = Firmware(Elf.read(Path(build.elf)), device, name, layers, rows)
    # Watching every access is slow: the first sample is run for it, then all of them without.
    first = _Machine(firmware, inputs[:1], output_bytes, watch=True, progress=None)
    first.run()
    machine = _Machine(firmware, inputs, output_bytes, watch=False, progress=progress)
    machine.run()
    if first.sample_instructions[0] != machine.sample_instructions[0]:
        raise ToolError(
            f"unicorn {first.unicorn.__version__} executed {first.sample_instructions[0]:,} instructions for a sample "
            f"while accesses were watched, {machine.sample_instructions[0]:,} otherwise: a fault of the emulator"
        )
    return Measurement(
        device=device.name,
        emulator=f"unicorn {first.unicorn.__version__} ({core})",
        outputs=np.frombuffer(bytes(machine.files.outputs), np.int8).reshape(len(inputs), output_bytes),
        instructions=tuple(machine.sample_instructions.tolist()),
        layer_instructions=dict(zip([*layers, RUN], machine.layer_instructions.tolist(), strict=True)),
        arena_bytes=first.touched_bytes("arena"),
        slow_arena_bytes=first.touched_bytes("slow"),
        stack_bytes=machine.stack_bytes(),
        accesses=first.accesses(),
        mix=instruction_mix(firmware.code, machine.flow, machine.left),
    )


class _Machine:
    """One emulated chip with a firmware in its flash.

    watch: count memory accesses, check the stack pointer and, where the core asks for it, alignment.
    """

    def __init__(
        self,
        firmware: Firmware,
        inputs: np.ndarray,
        output_bytes: int,
        watch: bool,
        progress: Callable[[int], None] | None,
    ) -> None:
        if find_spec("unicorn") is None:
            raise ToolError("the emulator unicorn is missing: pip install unicorn")
        self.unicorn: Any = import_module("unicorn")
        self.arm: Any = import_module("unicorn.arm_const")
        unicorn = self.unicorn
        self.firmware = firmware
        self.uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        self.uc.ctl_set_cpu_model(getattr(self.arm, MODELS[compiled_for(firmware.device)]))
        flash, ram = memories(firmware.device)
        self.flash = self._map(flash, unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC)
        self.ram = self._map(ram, unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE)
        self.ram[:] = PAINT
        if firmware.device.slow is not None:
            self.slow = self._map(firmware.device.slow, unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE)
            self.slow[:] = PAINT
        self.flash[: firmware.code.size] = firmware.code
        self.sample_instructions = np.zeros(len(inputs), np.uint64)
        self.layer_instructions = np.zeros(len(firmware.layers) + 1, np.uint64)
        self.hooks = self._hook(watch)
        data = np.ascontiguousarray(inputs, np.int8)
        input_bytes = data[0].size // firmware.calls_per_sample
        self.files = Semihosting(self.uc, data.tobytes(), input_bytes, output_bytes, self._touch, progress)
        self.exception = 0
        self.invalid_access = ""

    def run(self) -> None:
        """Run to the end. Raises ToolError, or what `progress` raised; KeyboardInterrupt stops the firmware."""
        with ThreadPoolExecutor(max_workers=1) as pool:
            future = pool.submit(self._run)
            try:
                future.result()
            except KeyboardInterrupt:
                self.hooks.counter.stop = INTERRUPTED
                raise

    def touched_bytes(self, memory: str) -> int:
        found = self.hooks.counter.memories[MEMORIES.index(memory)]
        return int(found.last) + 1 - int(found.start) if found.last >= found.first else 0

    def accesses(self) -> dict[str, dict[str, int]]:
        return {
            memory: {field: getattr(found, field) for field in ACCESS_FIELDS}
            for memory, found in zip(MEMORIES, self.hooks.counter.memories, strict=True)
            if memory in self.firmware.accessed
        }

    def stack_bytes(self) -> int:
        """From the stack's top down to the lowest byte that is no longer paint."""
        painted = self._stack() == PAINT
        return int(painted.size - painted.argmin()) if not painted.all() else 0

    def _stack(self) -> np.ndarray:
        origin = memories(self.firmware.device)[1].origin
        return self.ram[self.firmware.static_end - origin : self.firmware.stack_top - origin]

    def _map(self, region: Region, protection: int) -> np.ndarray:
        """Memory that both the emulator and numpy see, in whole pages."""
        page = 4096
        length = -(-region.bytes // page) * page
        memory = np.zeros(length + page, np.uint8)
        start = -memory.ctypes.data % page
        memory = memory[start : start + length]
        self.uc.mem_map_ptr(region.origin, length, protection, memory.ctypes.data)
        return memory[: region.bytes]

    def _hook(self, watch: bool) -> Hooks:
        uclib: Any = import_module("unicorn.unicorn_py3.unicorn").uclib
        unicorn, arm, firmware = self.unicorn, self.arm, self.firmware
        flash, _ = memories(firmware.device)
        self.blocks = np.zeros(flash.bytes // 2, BLOCK)
        for index, address in enumerate(firmware.layer_addresses):
            self.blocks["entered"][(address - flash.origin) // 2] = 1 + index
        self.flow = np.zeros(firmware.code.size // 2 + 1, np.int64)
        self.left = np.zeros(firmware.code.size // 2 + 1, np.uint64)
        counter = Counter(
            instruction_limit=INSTRUCTION_LIMIT,
            sample_capacity=len(self.sample_instructions),
            calls_per_sample=firmware.calls_per_sample,
            run=firmware.run_address,
            layers=len(firmware.layers),
            sample_instructions=self.sample_instructions.ctypes.data,
            layer_instructions=self.layer_instructions.ctypes.data,
            code_start=flash.origin,
            code_bytes=firmware.code.size,
            flow=self.flow.ctypes.data,
            left=self.left.ctypes.data,
        )
        for found, (start, end) in zip(counter.memories, firmware.memories, strict=True):
            found.start, found.end, found.first = start, end, 0xFFFFFFFF
        hooks = Hooks(
            counter=counter,
            code=self.flash.ctypes.data,
            blocks=self.blocks.ctypes.data,
            stack_limit=firmware.static_end,
            strict_alignment=compiled_for(firmware.device) == "cortex-m0plus",
            link_register=arm.UC_ARM_REG_LR,
            stack_register=arm.UC_ARM_REG_SP,
            status_register=arm.UC_ARM_REG_EAPSR,
            program_counter=arm.UC_ARM_REG_PC,
            watch_stack=watch,
            emulator=self.uc._uch,
            read_register=ctypes.cast(uclib.uc_reg_read, _POINTER),
            write_register=ctypes.cast(uclib.uc_reg_write, _POINTER),
            stop=ctypes.cast(uclib.uc_emu_stop, _POINTER),
        )
        self.library = ctypes.CDLL(str(native_library("unicorn_counter.c")))
        if _U32.in_dll(self.library, "hooks_bytes").value != ctypes.sizeof(Hooks):
            raise ToolError("native/unicorn_counter.c and emulator.Hooks differ in size")
        native = [(unicorn.UC_HOOK_BLOCK, self.library.on_block)]
        if watch:
            native.append((unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE, self.library.on_access))
        for kind, function in native:
            handle = ctypes.c_size_t()
            callback, user = ctypes.cast(function, _POINTER), ctypes.cast(ctypes.byref(hooks), _POINTER)
            # Addresses from 1 to 0: all.
            status = uclib.uc_hook_add(self.uc._uch, ctypes.byref(handle), kind, callback, user, 1, 0)
            if status != unicorn.UC_ERR_OK:
                raise ToolError(f"unicorn {unicorn.__version__} refused a hook (status {status})")
        self.uc.hook_add(unicorn.UC_HOOK_INTR, self._on_exception)
        self.uc.hook_add(unicorn.UC_HOOK_MEM_INVALID, self._on_invalid_access)
        return hooks

    def _run(self) -> None:
        """From reset to the end. Each semihosting call leaves the emulator and enters it again."""
        stack_top, reset = (int(word) for word in self.flash[:8].view("<u4"))
        self.uc.reg_write(self.arm.UC_ARM_REG_SP, stack_top)
        address = reset
        counter = self.hooks.counter
        while not self.files.finished:
            self.exception = 0
            try:
                self.uc.emu_start(address | 1, NOWHERE)
            except self.unicorn.UcError as error:
                undefined = error.errno == self.unicorn.UC_ERR_INSN_INVALID
                raise self._failure(self.invalid_access or (UNDEFINED if undefined else str(error))) from None
            if counter.stop == INTERRUPTED:
                return
            if counter.stop in STOPS:
                raise self._failure(STOPS[counter.stop], counter.block)
            address = self.uc.reg_read(self.arm.UC_ARM_REG_PC)
            if self.exception != BREAKPOINT or bytes(self.uc.mem_read(address, 2)) != SEMIHOSTING_CALL:
                raise self._failure(EXCEPTIONS.get(self.exception, f"exception {self.exception}"))
            self._answer_call()
            address += len(SEMIHOSTING_CALL)
        if counter.samples != len(self.sample_instructions):
            raise ToolError(f"the firmware ended after {counter.samples} of {len(self.sample_instructions)} samples")
        if self._stack()[0] != PAINT:
            raise ToolError(f"the firmware used up its stack of {self._stack().size:,} bytes and may have overrun data")

    def _answer_call(self) -> None:
        registers = self.arm.UC_ARM_REG_R0, self.arm.UC_ARM_REG_R1
        try:
            result = self.files.call(*map(self.uc.reg_read, registers))
        except ToolError as error:
            raise self._failure(str(error)) from None
        self.uc.reg_write(registers[0], result & 0xFFFFFFFF)

    def _on_exception(self, uc: Any, number: int, user: Any) -> None:
        self.exception = number
        uc.emu_stop()

    def _on_invalid_access(self, uc: Any, access: int, address: int, size: int, value: int, user: Any) -> bool:
        kind, why = {
            self.unicorn.UC_MEM_READ_UNMAPPED: ("read from", "where there is no memory"),
            self.unicorn.UC_MEM_WRITE_UNMAPPED: ("write to", "where there is no memory"),
            self.unicorn.UC_MEM_FETCH_UNMAPPED: ("execution at", "where there is no memory"),
            self.unicorn.UC_MEM_WRITE_PROT: ("write to", "in flash"),
            self.unicorn.UC_MEM_FETCH_PROT: ("execution at", "in RAM"),
        }.get(access, ("access to", "which is not allowed"))
        self.invalid_access = f"{kind} address {address:#010x}, {why}"
        return False

    def _failure(self, what: str, program_counter: int | None = None) -> ToolError:
        counter = self.hooks.counter
        if program_counter is None:
            program_counter = self.uc.reg_read(self.arm.UC_ARM_REG_PC)
        layer = list(self.firmware.layers)[counter.layer] if counter.running and counter.layer >= 0 else None
        return ToolError(f"the firmware failed in {self.firmware.where(program_counter, layer)}: {what}")

    def _touch(self, address: int, size: int) -> None:
        """Samples and results lie in an arena, even where no instruction reads them."""
        for memory in ("arena", "slow"):
            arena = self.hooks.counter.memories[MEMORIES.index(memory)]
            if size and arena.start <= address and address + size <= arena.end:
                arena.first, arena.last = min(arena.first, address), max(arena.last, address + size - 1)
