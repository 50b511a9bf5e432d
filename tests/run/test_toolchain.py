"""Building firmware: sizes, limits, messages, the project's Makefile."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from millijoule.cost.device import COMPILED_FOR, TARGETS, load_device
from millijoule.errors import DeviceError, DoesNotFit, ToolError
from millijoule.run.elf import Elf
from millijoule.run.emulator import emulate
from millijoule.run.fit import STACK_RESERVE_BYTES
from millijoule.run.toolchain import build
from tests.run.project import ADD, OUTPUT_BYTES, assembly, device, inputs, measure, symbols, write_project
from tests.run.test_emulator import COMPILERS, RICH

KIB = 1024


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("core", COMPILED_FOR)
def test_sizes_are_those_of_the_sections(tmp_path, core, compiler):
    target = device(core)
    data = "int8_t initialised[40] = {1, 2, 3}; static const int8_t table[1000] = {1};"
    layers = {"use": "tiny_arena[8] = ((volatile int8_t *)initialised)[1] + ((const volatile int8_t *)table)[2];"}
    built = build(write_project(tmp_path, target, layers, before=data, arena_bytes=5000), target, compiler)
    sections = Elf.read(tmp_path / built.elf).sections
    assert built.code_bytes == sections[".vectors"] + sections[".text"] > 64
    assert built.constant_bytes == sections[".rodata"] >= 1000
    assert 0 <= built.flash_bytes - built.code_bytes - built.constant_bytes - sections[".data"] < 8
    assert 5040 <= built.ram_bytes < 5040 + 32
    assert built.stack_available_bytes == 64 * KIB - built.ram_bytes
    assert [path.name for path in tmp_path.glob("tmp*")] == []


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("core", [core for core, target in TARGETS.items() if target.instructions in ("dsp", "mve")])
def test_compilers_are_told_of_the_instructions_that_kernels_count_on(tmp_path, core, compiler):
    """Without them kernels would fall back to plain C, which computes the same: nothing else would tell."""
    macro = {"dsp": "__ARM_FEATURE_DSP", "mve": "__ARM_FEATURE_MVE"}[TARGETS[core].instructions]
    there = f"#ifndef {macro}\n#error {macro} is missing\n#endif"
    build(write_project(tmp_path, device(core), {"add": ADD}, before=there), device(core), compiler)


@pytest.mark.parametrize("compiler", COMPILERS)
def test_a_model_that_does_not_fit_says_by_how_much(tmp_path, compiler):
    target = device(flash_bytes=16 * KIB, ram_bytes=16 * KIB)
    too_much_ram = write_project(tmp_path / "ram", target, {"add": ADD}, arena_bytes=20_000)
    with pytest.raises(DoesNotFit, match=r"RAM with 2,048 bytes of stack.*16,384 \(SRAM\): 5,664 too many"):
        build(too_much_ram, target, compiler)
    assert not (too_much_ram / "firmware.elf").exists()
    table = "__attribute__((used)) static const int8_t table[30000] = {1};"
    read = {"read": "tiny_arena[8] = ((const volatile int8_t *)table)[tiny_arena[0]];"}
    too_much_flash = write_project(tmp_path / "flash", target, read, before=table)
    with pytest.raises(DoesNotFit, match=r"bytes of flash; device 'test-cortex-m4' has 16,384 \(flash\)"):
        build(too_much_flash, target, compiler)


def test_the_stack_reserve_is_part_of_what_must_fit(tmp_path):
    target = device(ram_bytes=16 * KIB)
    fits = 16 * KIB - STACK_RESERVE_BYTES
    assert build(write_project(tmp_path, target, {"add": ADD}, arena_bytes=fits), target).ram_bytes == fits
    with pytest.raises(DoesNotFit, match=": 16 too many"):
        build(write_project(tmp_path, target, {"add": ADD}, arena_bytes=fits + 16), target)


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("core", sorted(set(COMPILED_FOR.values())))
def test_the_makefile_makes_the_same_firmware(tmp_path, core, compiler):
    target = device(core)
    folder = write_project(tmp_path, target, {"add": ADD})
    built = Elf.read(Path(build(folder, target, compiler).elf)).segments
    command = ["make", "-B", *([f"CC={sys.executable} -m ziglang cc"] if compiler == "zig" else [])]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    assert Elf.read(folder / "firmware.elf").segments == built


@pytest.mark.parametrize("compiler", COMPILERS)
def test_errors_name_the_file_and_the_first_error(tmp_path, compiler):
    target = device()
    folder = write_project(tmp_path / "broken", target, {"bad": "int unused = 1;"})
    with pytest.raises(ToolError, match=r"broken: .*failed: model\.c:\d+:\d+: error: unused variable"):
        build(folder, target, compiler)
    folder = write_project(tmp_path / "undefined", target, {"bad": "extern void nowhere(void); nowhere();"})
    with pytest.raises(ToolError, match=r"undefined.*nowhere"):
        build(folder, target, compiler)


def test_wrong_compilers_and_devices_are_errors(tmp_path, monkeypatch):
    target = device()
    folder = write_project(tmp_path, target, {"add": ADD})
    with pytest.raises(ToolError, match="'armcc' is not known; choose zig or gcc"):
        build(folder, target, "armcc")
    with pytest.raises(DeviceError, match="'host' has no flash and RAM"):
        build(folder, load_device("host"))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolError, match="apt-get install gcc-arm-none-eabi"):
        build(folder, target, "gcc")


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("optimize", ["-O1", "-Os", "-O3"])
def test_optimisation_levels(tmp_path, compiler, optimize):
    target = device()
    built = build(write_project(tmp_path, target, RICH), target, compiler, optimize)
    assert built.optimize == optimize


@pytest.mark.parametrize("compiler", COMPILERS)
def test_sanitized_firmware_stops_at_undefined_behaviour(tmp_path, compiler):
    target = device()
    layers = {"add": ADD, "shift": "volatile int by = 40; tiny_arena[8] = (int8_t)(tiny_arena[0] << by);"}
    write_project(tmp_path, target, layers)
    plain, sanitized = (build(tmp_path, target, compiler, sanitize=sanitize) for sanitize in (False, True))
    assert sanitized.code_bytes > plain.code_bytes
    with pytest.raises(ToolError, match=r"layer 'shift'.*undefined instruction"):
        emulate(sanitized, target, "tiny", inputs(), symbols(layers), OUTPUT_BYTES)


@pytest.mark.parametrize("compiler", COMPILERS)
def test_layers_with_equal_code_are_told_apart(tmp_path, compiler):
    layers = {"first": ADD, "second": ADD, "third": assembly("bx lr")}
    counts = measure(tmp_path, layers, compiler=compiler).layer_instructions
    assert counts["first"] == counts["second"] > counts["third"] == 1


@pytest.mark.skipif(not shutil.which("make"), reason="no make")
@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4"])
def test_make_builds_the_same_firmware(tmp_path, core, compiler):
    target = device(core)
    folder = write_project(tmp_path, target, RICH)
    built = Elf.read(folder / build(folder, target, compiler).elf)
    (folder / "firmware.elf").unlink()
    choice = [f"CC={sys.executable} -m ziglang cc"] if compiler == "zig" else []
    subprocess.run(["make", *choice], cwd=folder, check=True, capture_output=True)
    made = Elf.read(folder / "firmware.elf")
    assert made.segments == built.segments
    assert made.sections.items() >= {(name, made.sections[name]) for name in (".text", ".rodata", ".bss")}


@pytest.mark.skipif(not shutil.which("make") or not shutil.which("cc"), reason="no make or no C compiler")
def test_make_host_builds_a_program_that_reads_the_same_files(tmp_path):
    folder = write_project(tmp_path, device(), {"add": ADD})
    subprocess.run(["make", "host"], cwd=folder, check=True, capture_output=True)
    (folder / "input.bin").write_bytes(bytes(range(16)))
    subprocess.run([folder / "host"], cwd=folder, check=True)
    assert (folder / "output.bin").read_bytes() == bytes([4, 6, 8, 10, 20, 22, 24, 26])
