"""What the emulator counts and what it reports, on code whose counts are known by hand."""

import os
import shutil
import signal
import threading
from pathlib import Path

import numpy as np
import pytest

import millijoule.run.emulator as emulator
from millijoule.errors import ToolError
from millijoule.run.counter import RUN, Firmware, native_library
from millijoule.run.elf import Elf
from millijoule.run.toolchain import build
from tests.run.project import (
    ADD,
    ARENA_BYTES,
    CORES,
    INPUT_BYTES,
    OUTPUT_BYTES,
    OUTPUT_OFFSET,
    assembly,
    device,
    expected,
    inputs,
    measure,
    symbols,
    write_project,
)

COMPILERS = [
    "zig",
    pytest.param("gcc", marks=pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="no arm-none-eabi-gcc")),
]

# 1 + 10 * 2 + 1 instructions.
LOOP = assembly("movs r0, #10 \n 1: subs r0, #1 \n bne 1b \n bx lr")
# 1 + 4 * 5 + 1: what the IT block skips in the last round counts too.
CONDITIONAL_LOOP = assembly(
    "movs r0, #4 \n 1: subs r0, #1 \n itt ne \n addne r1, #1 \n addne r2, #1 \n bne 1b \n bx lr"
)
# 32-bit instructions: 2 + 3 * 3 + 1.
WIDE_LOOP = assembly("movw r0, #1003 \n movw r1, #1000 \n 1: sub.w r0, r0, #1 \n cmp.w r0, r1 \n bne.w 1b \n bx lr")
# 3 + 2 * 4 + 1, of which 2 * 2 in a helper of its own.
CALLING = assembly("push {r4, lr} \n movs r4, #2 \n 1: bl helper \n subs r4, #1 \n bne 1b \n pop {r4, pc}")
HELPER = '__attribute__((naked, used)) void helper(void) { __asm volatile("movs r0, #1\\nbx lr"); }'


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("core", CORES)
def test_counts_equal_hand_counts(tmp_path, core, compiler):
    layers = {"loop": LOOP, "calling": CALLING, "add": ADD}
    counts = {"loop": 22, "calling": 2 + 2 * (3 + 2) + 1}
    if core != "cortex-m0plus":
        layers |= {"conditional": CONDITIONAL_LOOP, "wide": WIDE_LOOP}
        counts |= {"conditional": 22, "wide": 12}
    result = measure(tmp_path, layers, device(core), samples=3, compiler=compiler, before=HELPER)
    assert {node: result.layer_instructions[node] for node in counts} == counts
    assert sum(result.layer_instructions.values()) == result.instructions[0]
    assert set(result.layer_instructions) == {*layers, RUN}
    assert len(set(result.instructions)) == 1
    np.testing.assert_array_equal(result.outputs, expected(inputs(3)))


def test_counts_follow_the_data(tmp_path):
    # r0 rounds of 2, where r0 is the first input.
    count_down = assembly(
        "ldr r1, =tiny_arena \n ldrb r0, [r1] \n adds r0, #1 \n 1: subs r0, #1 \n bne 1b \n bx lr \n .ltorg"
    )
    result = measure(tmp_path, {"down": count_down}, samples=3)
    assert np.diff(result.instructions).tolist() == [2 * INPUT_BYTES, 2 * INPUT_BYTES]


# Code of every kind that compilers make: calls of library functions, 64-bit products, divisions, switches, IT blocks.
RICH = {
    "copy": "static const int8_t table[23] = {1, 2, 3}; volatile int n = 23; "
    "__builtin_memcpy(tiny_arena + 12, table, (unsigned)n); __builtin_memset(tiny_arena + 40, 3, (unsigned)n - 3);",
    "wide": "int64_t sum = 0; for (int i = 0; i < 9; i++) sum += (int64_t)tiny_arena[i] * 1234567890123LL; "
    "tiny_arena[50] = (int8_t)(sum >> 33);",
    "divide": "for (int i = 1; i < 8; i++) tiny_arena[16 + i] = (int8_t)(1000 / (tiny_arena[i] | 1) % 7);",
    "branch": "for (int i = 0; i < 16; i++) { int v = tiny_arena[i]; switch (v & 7) { case 0: v = 3; break; "
    "case 1: v = -v; break; case 2: v *= 5; break; case 4: v ^= 9; break; case 5: v >>= 1; break; default: v++; } "
    "tiny_arena[24 + i] = (int8_t)(v > 100 ? 100 : v < -100 ? -100 : v); }",
    "add": ADD,
}


def instructions_by_stepping(firmware: Firmware, sample: np.ndarray) -> tuple[int, emulator._Machine]:
    """Instructions of `tiny_run` counted one at a time, without knowing anything of blocks.

    Unicorn calls for each instruction that it executes; those that an IT block skips are added from the IT
    instruction itself, which says how many follow.
    """
    machine = emulator._Machine(firmware, sample, OUTPUT_BYTES, watch=False, progress=None)
    state = {"running": False, "return": 0, "count": 0, "skip": range(0)}

    def on_instruction(uc, address, size, user):
        if address == firmware.run_address:
            state.update({"running": True, "return": uc.reg_read(machine.arm.UC_ARM_REG_LR) & ~1})
        elif address == state["return"]:
            state["running"] = False
        if not state["running"] or address in state["skip"]:
            return
        state["count"] += 1
        opcode = int.from_bytes(uc.mem_read(address, 2), "little")
        if opcode & 0xFF00 == 0xBF00 and opcode & 0xF:  # IT: the mask's lowest one says where the block ends
            end = address + 2
            length = 4 - ((opcode & 0xF) & -(opcode & 0xF)).bit_length() + 1
            for _ in range(length):
                end += 4 if int.from_bytes(uc.mem_read(end, 2), "little") >> 11 >= 0x1D else 2
            state["count"] += length
            state["skip"] = range(address + 2, end)

    machine.uc.hook_add(machine.unicorn.UC_HOOK_CODE, on_instruction)
    machine.run()
    return state["count"], machine


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("core", CORES)
def test_counting_blocks_equals_counting_instructions(tmp_path, core, compiler):
    target = device(core)
    write_project(tmp_path, target, RICH)
    firmware = Firmware(Elf.read(tmp_path / build(tmp_path, target, compiler).elf), target, "tiny", symbols(RICH))
    count, machine = instructions_by_stepping(firmware, inputs(1))
    assert count == machine.sample_instructions[0] > 400
    alone = emulator._Machine(firmware, inputs(1), OUTPUT_BYTES, watch=False, progress=None)
    alone.run()
    assert count == alone.sample_instructions[0]


def test_watching_accesses_leaves_conditional_code_as_it_is(tmp_path):
    # An IT block with a store, then a block that must not be conditional: unicorn issue 2309.
    store = assembly(
        """ldr r1, =tiny_arena + 32
        movs r0, #5
        cmp r0, #9
        itt lo
        strlo r0, [r1]
        cmplo r0, #3
        bhs 2f
        nop
        2: str r0, [r1, #4]
        bx lr
        .ltorg"""
    )
    result = measure(tmp_path, {"store": store, "add": ADD})
    assert result.layer_instructions["store"] == 9
    assert result.accesses["arena"]["written_bytes"] == 2 * 4 + OUTPUT_BYTES
    np.testing.assert_array_equal(result.outputs, expected(inputs(1)))


def test_accesses_by_memory(tmp_path):
    touch = assembly(
        """ldr r0, =tiny_arena
        ldr r1, =counter
        ldr r2, =table
        ldrb r3, [r0]
        strh r3, [r0, #20]
        ldr r3, [r1]
        str r3, [r1]
        ldrd r2, r3, [r2]
        push {r2, r3}
        pop {r2, r3}
        bx lr
        .ltorg"""
    )
    before = "__attribute__((used)) volatile int counter; __attribute__((used)) const volatile int table[2] = {1, 2};"
    with_touch = measure(tmp_path / "a", {"add": ADD, "touch": touch}, before=before).accesses
    without = measure(tmp_path / "b", {"add": ADD, "touch": assembly("bx lr")}, before=before).accesses
    found = {
        memory: {key: with_touch[memory][key] - without[memory][key] for key in with_touch[memory]}
        for memory in with_touch
    }
    assert found == {
        "arena": {"reads": 1, "writes": 1, "read_bytes": 1, "written_bytes": 2},
        "ram": {"reads": 1, "writes": 1, "read_bytes": 4, "written_bytes": 4},
        "stack": {"reads": 2, "writes": 2, "read_bytes": 8, "written_bytes": 8},
        "flash": {"reads": 3 + 2, "writes": 0, "read_bytes": 12 + 8, "written_bytes": 0},
    }


def test_unaligned_access_across_pages_counts_once(tmp_path):
    arena_bytes = 12 * 1024
    store = assembly("ldr r0, =tiny_arena + 4095 \n str r0, [r0] \n bx lr \n .ltorg")
    accesses = measure(tmp_path, {"store": store}, arena_bytes=arena_bytes).accesses
    assert accesses["arena"] == {"reads": 0, "writes": 1, "read_bytes": 0, "written_bytes": 4}


def test_stack_is_measured_to_the_byte(tmp_path):
    def stack_bytes(frame: int) -> int:
        body = assembly(f"sub sp, #{frame} \n str r0, [sp] \n add sp, #{frame} \n bx lr")
        return measure(tmp_path / str(frame), {"deep": body}).stack_bytes

    assert stack_bytes(400) - stack_bytes(200) == 200
    assert 200 < stack_bytes(200) < 400


def test_arena_extent(tmp_path):
    end = OUTPUT_OFFSET + OUTPUT_BYTES
    assert measure(tmp_path / "a", {"add": ADD}).arena_bytes == end
    touch = {"add": ADD, "last": "((volatile int8_t *)tiny_arena)[TINY_ARENA_BYTES - 1] = 1;"}
    assert measure(tmp_path / "b", touch).arena_bytes == ARENA_BYTES
    # The input lies in the arena, whether or not the network reads it.
    result = measure(tmp_path / "c", {"nothing": assembly("bx lr")})
    assert result.arena_bytes == end
    assert result.accesses["arena"]["reads"] == 0


def test_static_data_are_initialised(tmp_path):
    body = "static volatile int8_t seven = 7, zero; tiny_arena[8] = seven++; tiny_arena[9] = zero++;"
    for compiler in ("zig", "gcc") if shutil.which("arm-none-eabi-gcc") else ("zig",):
        result = measure(tmp_path / compiler, {"static": body}, samples=2, compiler=compiler)
        assert result.outputs[:, :2].tolist() == [[7, 0], [8, 1]]


FAULTS = {
    "read": (
        "movs r0, #1 \n lsls r0, #30 \n ldr r1, [r0]",
        4,
        "read from address 0x40000000, where there is no memory",
    ),
    "write": ("movs r0, #1 \n lsls r0, #30 \n str r1, [r0]", 4, "write to address 0x40000000, where there is no mem"),
    "flash": ("movs r0, #1 \n lsls r0, #27 \n str r1, [r0]", 4, "write to address 0x08000000, in flash"),
    "fetch": ("movs r0, #1 \n lsls r0, #28 \n adds r0, #1 \n bx r0", None, "execution at address 0x10000000"),
    "peripheral": ("movs r0, #1 \n lsls r0, #30 \n adds r0, #1 \n bx r0", None, "the memory map has no code"),
    "arm": ("movs r0, #1 \n lsls r0, #27 \n bx r0", None, "branch to an even address"),
    "ram": ("movs r0, #1 \n lsls r0, #29 \n adds r0, #1 \n bx r0", None, "execution at address 0x20000000, in RAM"),
    "undefined": ("nop \n udf #0", 2, "undefined instruction"),
    "svc": ("nop \n svc #0", None, "SVC instruction"),
    "loop": ("nop \n b .", 2, "endless loop"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4", "cortex-m33"])
def test_faults_name_layer_function_and_instruction(tmp_path, core, fault):
    body, offset, what = FAULTS[fault]
    layers = {"add": ADD, "bad": assembly(body)}
    with pytest.raises(ToolError, match=what) as error:
        measure(tmp_path, layers, device(core))
    assert "layer 'bad'" in str(error.value)
    if offset is not None:
        address = Elf.read(tmp_path / "firmware.elf").address("tiny_layer_01_bad") + offset
        assert f"instruction {address:#010x} of tiny_layer_01_bad" in str(error.value)


def test_unaligned_access_is_a_fault_where_the_core_says_so(tmp_path):
    layers = {"bad": assembly("ldr r0, =tiny_arena + 1 \n ldr r0, [r0] \n bx lr \n .ltorg")}
    assert measure(tmp_path / "m4", layers).instructions
    with pytest.raises(ToolError, match=r"layer 'bad', instruction .* of tiny_layer_00_bad: unaligned access"):
        measure(tmp_path / "m0", layers, device("cortex-m0plus"))


def test_stack_overflow_is_seen_before_it_does_harm(tmp_path):
    deep = assembly("ldr r0, =40000 \n mov r1, sp \n subs r0, r1, r0 \n mov sp, r0 \n b 1f \n 1: mov sp, r1 \n bx lr")
    with pytest.raises(ToolError, match=r"layer 'deep'.*stack overflowed into static data"):
        measure(tmp_path, {"add": ADD, "deep": deep}, arena_bytes=30_000)


def test_a_firmware_that_hangs_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(emulator, "INSTRUCTION_LIMIT", 100_000)
    with pytest.raises(ToolError, match=r"layer 'hang'.*without a result"):
        measure(tmp_path, {"hang": assembly("1: nop \n b 1b")})


@pytest.fixture
def ctrl_c():
    """Ctrl-C raises KeyboardInterrupt, also in a process that was started in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_stops_a_long_inference(tmp_path):
    timer = threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    target = device()
    layers = {"long": assembly("ldr r0, =4000000000 \n 1: subs r0, #1 \n bne 1b \n bx lr \n .ltorg")}
    write_project(tmp_path, target, layers)
    firmware = build(tmp_path, target)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        emulator.emulate(firmware, target, "tiny", inputs(1), symbols(layers), OUTPUT_BYTES)
    timer.join()


def test_progress_and_what_it_raises(tmp_path):
    target, layers = device(), {"add": ADD}
    firmware = build(write_project(tmp_path, target, layers), target)
    seen: list[int] = []
    emulator.emulate(firmware, target, "tiny", inputs(5), symbols(layers), OUTPUT_BYTES, seen.append)
    assert seen == [1, 2, 3, 4, 5]

    def interrupted(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        emulator.emulate(firmware, target, "tiny", inputs(5), symbols(layers), OUTPUT_BYTES, interrupted)


def test_inputs_of_another_size_and_wrong_names_are_errors(tmp_path):
    target, layers = device(), {"add": ADD}
    firmware = build(write_project(tmp_path, target, layers), target)
    with pytest.raises(ToolError, match=r"8 bytes of input\.bin at a time; 9 are expected"):
        emulator.emulate(firmware, target, "tiny", np.zeros((1, 9), np.int8), symbols(layers), OUTPUT_BYTES)
    with pytest.raises(ToolError, match="no symbol 'small_run'"):
        emulator.emulate(firmware, target, "small", inputs(), symbols(layers), OUTPUT_BYTES)
    with pytest.raises(ToolError, match="no symbol 'tiny_layer_07_none'"):
        emulator.emulate(firmware, target, "tiny", inputs(), {"none": "tiny_layer_07_none"}, OUTPUT_BYTES)


def test_cores_that_unicorn_does_not_know_are_refused(tmp_path):
    with pytest.raises(ToolError, match=r"cortex-m55 \('test-cortex-m85'\): choose the emulator qemu"):
        measure(tmp_path, {"add": ADD}, device("cortex-m85"))


def test_the_native_counter_is_compiled_once(tmp_path, monkeypatch):
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    monkeypatch.setenv("ZIG_GLOBAL_CACHE_DIR", str(cache / "zig"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    library = native_library("unicorn_counter.c")
    assert library.is_relative_to(tmp_path)
    stamp = library.stat().st_mtime_ns
    assert native_library("unicorn_counter.c") == library
    assert library.stat().st_mtime_ns == stamp
    assert [path.name for path in library.parent.iterdir()] == [library.name]


def test_files_that_are_no_firmware_are_errors(tmp_path):
    wrong = tmp_path / "wrong.elf"
    for content in (b"", b"\x7fELF", b"not an ELF file" * 9):
        wrong.write_bytes(content)
        with pytest.raises(ToolError, match=r"wrong\.elf"):
            Elf.read(wrong)
    with pytest.raises(ToolError, match="missing"):
        Elf.read(tmp_path / "missing.elf")


def test_functions_are_found_by_address(tmp_path):
    target = device()
    elf = Elf.read(tmp_path / build(write_project(tmp_path, target, {"add": ADD}), target).elf)
    symbol = elf.symbol("tiny_layer_00_add")
    for offset in (0, 2, symbol.bytes - 2):
        assert elf.function_at(symbol.address + offset) == "tiny_layer_00_add"
    assert elf.function_at(0x08000000) == ""
