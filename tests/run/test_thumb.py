"""Kinds of instructions, against an assembler and hand counts."""

import shutil
import subprocess

import numpy as np
import pytest

from millijoule.cost.core_cycles import KINDS
from millijoule.run.emulator import emulate
from millijoule.run.qemu import emulate_qemu
from millijoule.run.thumb import decode, instruction_mix
from millijoule.run.toolchain import zig
from tests.run.project import ADD, assembly, device, measure

# Kind → instructions of it, a group with the words that each moves.
EXAMPLES = {
    ("other", 0): "movs r0, #1; adds r0, r1, r2; add.w r8, r9, r10; movw r0, #999; uxtb r0, r1; sxtb16 r0, r1, ror #8; "
    "ssat r0, #8, r1, asr #3; csel r0, r1, r2, eq; nop; it eq; mrs r0, primask; dsb; rev r0, r1",
    (
        "multiply",
        0,
    ): "muls r0, r1, r0; smuad r0, r1, r2; mla r0, r1, r2, r3; smlad r0, r1, r2, r3; smmulr r0, r1, r2; "
    "mul r8, r9, r10",
    ("long_multiply", 0): "smull r0, r1, r2, r3; umlal r0, r1, r2, r3; smlald r0, r1, r2, r3",
    ("divide", 0): "sdiv r0, r1, r2; udiv r0, r1, r2",
    ("load", 0): "ldr r0, [r1]; ldrb r0, [r1, r2]; ldrsb r0, [r1, r2]; ldr r0, [sp, #4]; ldr.w r9, [r10], #4; "
    "ldrh.w r0, [r1, #-2]; ldrsb.w r0, [r1, #3]; ldr r0, [pc, #8]; ldrh r0, [r1, #2]",
    ("store", 0): "str r0, [r1]; strb r0, [r1, r2]; strh r0, [r1, #2]; str r0, [sp, #4]; str.w r9, [r10], #4; "
    "strb.w r0, [r1, #-2]",
    ("multiple", 2): "ldrd r0, r1, [r2]; strd r0, r1, [r2], #8; push {r0, lr}; pop {r0, pc}; ldm r0!, {r1, r2}; "
    "stm.w r9, {r1, r2}; ldmdb r3!, {r1, r8}",
    ("branch", 0): "b .; beq .; b.w .; beq.w .; bl .; bx lr; blx r3; cbz r0, 9f; cbnz r0, 9f; tbb [pc, r0]",
    ("loop", 0): "dls lr, r0; wls lr, r0, 9f; .inst.w 0xf00fc005",
    ("vector_memory", 0): "vldrb.u8 q0, [r1], #16; vldrw.u32 q0, [q1, #128]!; vldrw.u32 q0, [r0, q1]; "
    "vstrb.32 q0, [r1, q2]; vst40.8 {q0, q1, q2, q3}, [r2]; vstrw.32 q0, [r1, #-64]!; vldrb.s32 q0, [r1]; "
    "vldrh.u32 q0, [r1, #4]",
    (
        "vector_compute",
        0,
    ): "vmladav.s8 r0, q0, q1; vmladava.s8 r0, q0, q1; vmov q0[2], q0[0], r0, r2; vadd.i32 q0, q0, r1; "
    "vqrdmulh.s32 q0, q0, q1; vrshl.s32 q0, r5; vqmovnb.s32 q0, q0; vdup.32 q0, r1; vctp.8 r1; vpst; vmov r0, s1",
}


@pytest.fixture(scope="module")
def assembled(tmp_path_factory):
    """Kind → the first two halfwords of each of its examples."""
    from elftools.elf.elffile import ELFFile

    folder = tmp_path_factory.mktemp("thumb")
    found = {}
    for index, (kind, text) in enumerate(EXAMPLES.items()):
        lines = [line.strip() for line in text.split(";")]
        source = folder / f"{index}.s"
        # Each example in a section of its own, behind it what completes an IT or VPT block.
        behind = {"it": "moveq r0, r0\n", "vpst": "vaddt.i32 q0, q0, q1\n", "9f": "nop\nnop\n9: nop\n"}
        body = [
            f'.section .text.{at},"ax"\n{line}\n' + "".join(more for key, more in behind.items() if key in line.split())
            for at, line in enumerate(lines)
        ]
        source.write_text(".syntax unified\n.thumb\n" + "".join(body))
        command = [*zig(), "-target", "thumb-freestanding-eabi", "-mcpu=cortex_m55+mve", "-c", str(source)]
        subprocess.run([*command, "-o", str(source.with_suffix(".o"))], check=True)
        with source.with_suffix(".o").open("rb") as file:
            elf = ELFFile(file)
            data = [elf.get_section_by_name(f".text.{at}").data() for at in range(len(lines))]
        found[kind] = [
            (line, np.frombuffer((code + b"\0\0")[:4], "<u2")) for line, code in zip(lines, data, strict=True)
        ]
    return found


@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind[0])
def test_instructions_are_told_apart(assembled, kind):
    for line, halves in assembled[kind]:
        instruction = decode(*map(int, halves))
        assert (instruction.kind, instruction.words) == kind, line


# 4 + 10 * 4 + 1: pushes 2 words, loads twice in each turn, 9 of 10 branches are taken, and the return.
LOOP = assembly("push {r4, lr} \n movs r0, #10 \n mov r1, sp \n nop \n 1: ldr r2, [r1] \n ldr r3, [r1] \n "
                "subs r0, #1 \n bne 1b \n pop {r4, pc}")  # fmt: skip


@pytest.mark.parametrize(
    ("core", "run"),
    [
        ("cortex-m4", emulate),
        pytest.param(
            "cortex-m55",
            emulate_qemu,
            marks=pytest.mark.skipif(not shutil.which("qemu-system-arm"), reason="no qemu-system-arm"),
        ),
    ],
)
def test_a_mix_equals_hand_counts_and_holds_every_instruction(tmp_path, core, run):
    with_loop = measure(tmp_path / "with", {"loop": LOOP, "add": ADD}, device(core), samples=2, run=run)
    without = measure(tmp_path / "without", {"loop": assembly("bx lr"), "add": ADD}, device(core), samples=2, run=run)
    for seen in (with_loop, without):
        assert sum(seen.mix.get(kind, 0) for kind in KINDS) == seen.instructions[0]
    more = {kind: with_loop.mix[kind] - without.mix.get(kind, 0) for kind in with_loop.mix}
    assert more["load"] == 20
    assert more["load_after_load"] == 10
    assert (more["multiple"], more["words"]) == (2, 4)
    assert more["branch"] == 10 - 1
    assert more["taken"] == 9  # and the two returns
    assert more["other"] == 3 + 10


def test_halfwords_that_never_ran_are_not_instructions():
    code = np.array([0x2001, 0xFFFF, 0x2002, 0xE7FE], "<u2").view(np.uint8)
    flow = np.array([3, -3, 5, 0, -5])
    left = np.array([0, 3, 0, 0, 4])
    mix = instruction_mix(code, flow, left)
    assert (mix["other"], mix["branch"], mix["taken"]) == (8, 5, 7)
