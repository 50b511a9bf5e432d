/* The inner products of convolutions: blocks of four pixels, or of one, by two output channels.
 *
 * Four weights a, b, c, d of one output channel lie in a word as two int16, 256 * b + a and 256 * d + c. Four inputs
 * x, y, z, t become two words, (y - 127, t - 127) and (256 * x - y + 127, 256 * z - t + 127). The products of the halves
 * of the weight with the first, and of a and c with the second, add up to
 *     256 * (a * x + b * (y - 127) + c * z + d * (t - 127)),
 * so that only a and c, not all four, have to be extracted. Every half fits int16 whatever the inputs; -127 * (b + d) is
 * made good in the bias, as is the input's zero point; the accumulator, 256 times the usual one, must stay below 2^31.
 *
 * These weights are called packed. Wide ones are int16, 256 times as large, in two words, (a, c) and (b, d), multiplied
 * with (x, z) and (y, t): twice the flash, and nothing has to be extracted. That is fewer instructions, not fewer cycles
 * on a Cortex-M4: its manual (Arm DDI 0439, table 3-1) has two cycles for what extracts two words, three for their load.
 */
#ifndef MJ_DSP_BLOCK_H
#define MJ_DSP_BLOCK_H

#include "instructions.h"

/* What a block reads and where its results go. columns: for each four inputs, the first words of all pixels, then the
 * second. stride: from one pixel's results to the next. stream: for each two channels, what their sums start from, as in
 * struct mj_dsp_channel; for each four inputs a word of weights of each, if they are wide then another; then of each the
 * scaling, without a shift for a line. channels: how many are computed. The block functions move `output` on. */
struct mj_dsp_block {
    const uint32_t *columns, *columns_end;
    int8_t *output;
    int32_t stride;
    const uint32_t *stream;
    int32_t channels;
};

/* Four inputs as two words, the second `apart` words behind the first, for each kind of weights. */
MJ_INLINE void mj_dsp_widen_packed(uint32_t four, uint32_t *to, int32_t apart)
{
    const uint32_t first = mj_sxtab16_ror8(0xff81ff81u, four);
    to[0] = first;
    to[apart] = mj_ssub16(mj_and_lsl8(0xff00ff00u, four), first);
}

MJ_INLINE void mj_dsp_widen_wide(uint32_t four, uint32_t *to, int32_t apart)
{
    to[0] = mj_sxtb16(four);
    to[apart] = mj_sxtb16_ror8(four);
}

/* Many fours, for a block of so many pixels; one copy for all layers. */
#define MJ_DSP_WIDEN(pixels, weights) \
    MJ_SHARED uint32_t *mj_dsp_widen##pixels##_##weights(const int8_t *input, uint32_t *to, int32_t quads) \
    { \
        _Pragma("GCC unroll 4") for (; quads > 0; quads--) \
        { \
            mj_dsp_widen_##weights(mj_load32(input), to, pixels); \
            input += 4; \
            to += 2 * (pixels); \
        } \
        return to; \
    }
MJ_DSP_WIDEN(4, packed)
MJ_DSP_WIDEN(4, wide)
MJ_DSP_WIDEN(1, packed)
MJ_DSP_WIDEN(1, wide)

MJ_INLINE void mj_dsp_widen(uint32_t four, uint32_t *to, int32_t apart, int32_t wide)
{
    if (wide)
        mj_dsp_widen_wide(four, to, apart);
    else
        mj_dsp_widen_packed(four, to, apart);
}

/* `quads` fours for a block of 4 pixels, or of 1: a constant, so that a few need no loop. */
MJ_INLINE uint32_t *mj_dsp_widen_run(const int8_t *input, uint32_t *to, int32_t quads, int32_t pixels, int32_t wide)
{
    if (quads > 4 && wide)
        return pixels == 4 ? mj_dsp_widen4_wide(input, to, quads) : mj_dsp_widen1_wide(input, to, quads);
    if (quads > 4)
        return pixels == 4 ? mj_dsp_widen4_packed(input, to, quads) : mj_dsp_widen1_packed(input, to, quads);
#pragma GCC unroll 4
    for (int32_t i = 0; i < quads; i++) {
        mj_dsp_widen(mj_load32(input + 4 * i), to, pixels, wide);
        to += 2 * pixels;
    }
    return to;
}

/* One statement for all the registers there are: compilers would spill accumulators to hoist loads. */
#if MJ_DSP
#define MJ_DSP_SECOND_packed "sxtb16 %[w], %[w]\n sxtb16 %[v], %[v]\n"
#define MJ_DSP_SECOND_wide "ldrd %[w], %[v], [%[stream]], #8\n"
#define MJ_DSP_MACS4(unroll, weights) \
    __asm volatile(".rept " #unroll "\n" \
                   "ldrd %[w], %[v], [%[stream]], #8\n" \
                   "ldrd %[x], %[y], [%[columns]], #8\n" \
                   "smlad %[a0], %[w], %[x], %[a0]\n smlad %[b0], %[v], %[x], %[b0]\n" \
                   "smlad %[a1], %[w], %[y], %[a1]\n smlad %[b1], %[v], %[y], %[b1]\n" \
                   "ldrd %[x], %[y], [%[columns]], #8\n" \
                   "smlad %[a2], %[w], %[x], %[a2]\n smlad %[b2], %[v], %[x], %[b2]\n" \
                   "smlad %[a3], %[w], %[y], %[a3]\n smlad %[b3], %[v], %[y], %[b3]\n" \
                   MJ_DSP_SECOND_##weights \
                   "ldrd %[x], %[y], [%[columns]], #8\n" \
                   "smlad %[a0], %[w], %[x], %[a0]\n smlad %[b0], %[v], %[x], %[b0]\n" \
                   "smlad %[a1], %[w], %[y], %[a1]\n smlad %[b1], %[v], %[y], %[b1]\n" \
                   "ldrd %[x], %[y], [%[columns]], #8\n" \
                   "smlad %[a2], %[w], %[x], %[a2]\n smlad %[b2], %[v], %[x], %[b2]\n" \
                   "smlad %[a3], %[w], %[y], %[a3]\n smlad %[b3], %[v], %[y], %[b3]\n" \
                   ".endr" \
                   : [a0] "+r"(a0), [a1] "+r"(a1), [a2] "+r"(a2), [a3] "+r"(a3), [b0] "+r"(b0), [b1] "+r"(b1), \
                     [b2] "+r"(b2), [b3] "+r"(b3), [stream] "+r"(stream), [columns] "+r"(columns), [w] "=&r"(w), \
                     [v] "=&r"(v), [x] "=&r"(x), [y] "=&r"(y) \
                   : \
                   : "memory")
#define MJ_DSP_MACS1_packed(unroll) \
    uint32_t w, v, x, y; \
    __asm volatile(".rept " #unroll "\n" \
                   "ldrd %[w], %[v], [%[stream]], #8\n" \
                   "ldrd %[x], %[y], [%[columns]], #8\n" \
                   "smlad %[a], %[w], %[x], %[a]\n smlad %[b], %[v], %[x], %[b]\n" \
                   "sxtb16 %[w], %[w]\n sxtb16 %[v], %[v]\n" \
                   "smlad %[a], %[w], %[y], %[a]\n smlad %[b], %[v], %[y], %[b]\n" \
                   ".endr" \
                   : [a] "+r"(a), [b] "+r"(b), [stream] "+r"(stream), [columns] "+r"(columns), [w] "=&r"(w), \
                     [v] "=&r"(v), [x] "=&r"(x), [y] "=&r"(y) \
                   : \
                   : "memory")
/* Fixed registers, for a load of several needs them in ascending order. */
#define MJ_DSP_MACS1_wide(unroll) \
    uint32_t x, y; \
    __asm volatile(".rept " #unroll "\n" \
                   "ldmia %[stream]!, {r3, r4, r5, r6}\n" \
                   "ldrd %[x], %[y], [%[columns]], #8\n" \
                   "smlad %[a], r3, %[x], %[a]\n smlad %[b], r4, %[x], %[b]\n" \
                   "smlad %[a], r5, %[y], %[a]\n smlad %[b], r6, %[y], %[b]\n" \
                   ".endr" \
                   : [a] "+r"(a), [b] "+r"(b), [stream] "+r"(stream), [columns] "+r"(columns), [x] "=&r"(x), \
                     [y] "=&r"(y) \
                   : \
                   : "memory", "r3", "r4", "r5", "r6")
#define MJ_DSP_MACS1(unroll, weights) MJ_DSP_MACS1_##weights(unroll)
#else
#define MJ_DSP_SECOND_packed(first) mj_sxtb16(first)
#define MJ_DSP_SECOND_wide(first) *stream++
#define MJ_DSP_MACS4(unroll, weights) \
    for (int32_t i = 0; i < (unroll); i++) { \
        w = *stream++, v = *stream++; \
        for (int32_t half = 0; half < 2; half++) { \
            if (half) \
                w = MJ_DSP_SECOND_##weights(w), v = MJ_DSP_SECOND_##weights(v); \
            x = columns[0], y = columns[1]; \
            a0 = mj_smlad(w, x, a0), b0 = mj_smlad(v, x, b0); \
            a1 = mj_smlad(w, y, a1), b1 = mj_smlad(v, y, b1); \
            x = columns[2], y = columns[3]; \
            a2 = mj_smlad(w, x, a2), b2 = mj_smlad(v, x, b2); \
            a3 = mj_smlad(w, y, a3), b3 = mj_smlad(v, y, b3); \
            columns += 4; \
        } \
    }
#define MJ_DSP_MACS1(unroll, weights) \
    for (int32_t i = 0; i < (unroll); i++) { \
        uint32_t w = *stream++, v = *stream++, x = *columns++, y = *columns++; \
        a = mj_smlad(w, x, a), b = mj_smlad(v, x, b); \
        w = MJ_DSP_SECOND_##weights(w), v = MJ_DSP_SECOND_##weights(v); \
        a = mj_smlad(w, y, a), b = mj_smlad(v, y, b); \
    }
#endif

#define MJ_DSP_RESULT_rounded(sum, scaling) mj_dsp_requantize((sum) >> 7, (sum) >> 31, scaling)
#define MJ_DSP_RESULT_line(sum, scaling) mj_dsp_line(sum, scaling)

/* Words of a channel's scaling in the stream. */
enum { MJ_DSP_WORDS_rounded = 3, MJ_DSP_WORDS_line = 2 };

MJ_INLINE struct mj_dsp_scaling mj_dsp_scaling_rounded(const uint32_t *stream)
{
    const struct mj_dsp_scaling scaling = {(int32_t)stream[0], (int32_t)stream[1], (int32_t)stream[2]};
    return scaling;
}

MJ_INLINE struct mj_dsp_scaling mj_dsp_scaling_line(const uint32_t *stream)
{
    const struct mj_dsp_scaling scaling = {(int32_t)stream[0], (int32_t)stream[1], 0};
    return scaling;
}

/* Four results of each of two channels. */
#define MJ_DSP_STORE_PAIR(kind) \
    do { \
        mj_dsp_store4_##kind(mj_dsp_scaling_##kind(stream), a0, a1, a2, a3, block->output, block->stride); \
        stream += MJ_DSP_WORDS_##kind; \
        mj_dsp_store4_##kind(mj_dsp_scaling_##kind(stream), b0, b1, b2, b3, block->output + 1, block->stride); \
        stream += MJ_DSP_WORDS_##kind; \
        block->output += 2; \
    } while (0)
#define MJ_DSP_STORE_PAIR_rounded() MJ_DSP_STORE_PAIR(rounded)
#if MJ_DSP
_Static_assert(offsetof(struct mj_dsp_block, output) == 8 && offsetof(struct mj_dsp_block, stride) == 12, "one load");
#define MJ_DSP_STORE_PAIR_line() \
    do { \
        int8_t *to; \
        int32_t step; \
        __asm volatile("ldrd %[to], %[step], [%[block], #8]\n ldrd %[multiplier], %[offset], [%[stream]], #8\n" \
                       MJ_DSP_LINE("a0", "%[to]") MJ_DSP_LINE("a1", "%[to], %[step]") \
                       MJ_DSP_LINE("a2", "%[to], %[step], lsl #1") "add %[a0], %[to], %[step]\n" \
                       MJ_DSP_LINE("a3", "%[a0], %[step], lsl #1") \
                       "ldrd %[multiplier], %[offset], [%[stream]], #8\n add %[to], %[to], #1\n" \
                       MJ_DSP_LINE("b0", "%[to]") MJ_DSP_LINE("b1", "%[to], %[step]") \
                       MJ_DSP_LINE("b2", "%[to], %[step], lsl #1") "add %[b0], %[to], %[step]\n" \
                       MJ_DSP_LINE("b3", "%[b0], %[step], lsl #1") \
                       "add %[to], %[to], #1\n str %[to], [%[block], #8]\n" \
                       : [a0] "+r"(a0), [a1] "+r"(a1), [a2] "+r"(a2), [a3] "+r"(a3), [b0] "+r"(b0), [b1] "+r"(b1), \
                         [b2] "+r"(b2), [b3] "+r"(b3), [stream] "+r"(stream), [to] "=&r"(to), [step] "=&r"(step), \
                         [multiplier] "=&r"(w), [offset] "=&r"(v) \
                       : [block] "r"(block) \
                       : "memory"); \
    } while (0)
#else
#define MJ_DSP_STORE_PAIR_line() MJ_DSP_STORE_PAIR(line)
#endif

/* The block functions, by how many times four inputs a turn of their loop takes, by the kind of requantization and by the
 * kind of weights. One copy serves all layers. */
#define MJ_DSP_BLOCK(unroll, kind, weights) \
    MJ_SHARED void mj_dsp_block4_##unroll##_##kind##_##weights(struct mj_dsp_block *block) \
    { \
        const uint32_t *stream = block->stream; \
        for (int32_t left = block->channels; left > 0; left -= 2) { \
            const uint32_t *columns = block->columns, *const end = block->columns_end; \
            int32_t a0 = (int32_t)stream[0], a1 = a0, a2 = a0, a3 = a0; \
            int32_t b0 = (int32_t)stream[1], b1 = b0, b2 = b0, b3 = b0; \
            uint32_t w, v, x, y; \
            stream += 2; \
            do { \
                MJ_DSP_MACS4(unroll, weights); \
            } while (columns != end); \
            if (left == 1) { \
                mj_dsp_store4_##kind(mj_dsp_scaling_##kind(stream), a0, a1, a2, a3, block->output, block->stride); \
                break; \
            } \
            MJ_DSP_STORE_PAIR_##kind(); \
        } \
    } \
    MJ_SHARED void mj_dsp_block1_##unroll##_##kind##_##weights(struct mj_dsp_block *block) \
    { \
        const uint32_t *stream = block->stream; \
        for (int32_t left = block->channels; left > 0; left -= 2) { \
            const uint32_t *columns = block->columns, *const end = block->columns_end; \
            int32_t a = (int32_t)stream[0], b = (int32_t)stream[1]; \
            stream += 2; \
            do { \
                MJ_DSP_MACS1(unroll, weights); \
            } while (columns != end); \
            *block->output++ = MJ_DSP_RESULT_##kind(a, mj_dsp_scaling_##kind(stream)); \
            if (left == 1) \
                break; \
            *block->output++ = MJ_DSP_RESULT_##kind(b, mj_dsp_scaling_##kind(stream + MJ_DSP_WORDS_##kind)); \
            stream += 2 * MJ_DSP_WORDS_##kind; \
        } \
    }
#define MJ_DSP_BLOCKS(unroll) \
    MJ_DSP_BLOCK(unroll, rounded, packed) \
    MJ_DSP_BLOCK(unroll, rounded, wide) \
    MJ_DSP_BLOCK(unroll, line, packed) \
    MJ_DSP_BLOCK(unroll, line, wide)

MJ_DSP_BLOCKS(1)
MJ_DSP_BLOCKS(2)
MJ_DSP_BLOCKS(3)
MJ_DSP_BLOCKS(4)
MJ_DSP_BLOCKS(5)
MJ_DSP_BLOCKS(6)
MJ_DSP_BLOCKS(7)
MJ_DSP_BLOCKS(8)
MJ_DSP_BLOCKS(9)
MJ_DSP_BLOCKS(10)

#define MJ_DSP_BLOCK_KIND(pixels, unroll, weights) \
    do { \
        if (by_line) \
            mj_dsp_block##pixels##_##unroll##_line_##weights(block); \
        else \
            mj_dsp_block##pixels##_##unroll##_rounded_##weights(block); \
    } while (0)
#define MJ_DSP_BLOCK_CASE(unroll) \
    case unroll: \
        if (pixels == 4 && wide) \
            MJ_DSP_BLOCK_KIND(4, unroll, wide); \
        else if (pixels == 4) \
            MJ_DSP_BLOCK_KIND(4, unroll, packed); \
        else if (wide) \
            MJ_DSP_BLOCK_KIND(1, unroll, wide); \
        else \
            MJ_DSP_BLOCK_KIND(1, unroll, packed); \
        break;

/* by_line: whether channels are requantized by lines. wide: whether weights are. */
MJ_INLINE void mj_dsp_block(int32_t pixels, int32_t unroll, int32_t by_line, int32_t wide, struct mj_dsp_block *block)
{
    switch (unroll) {
        MJ_DSP_BLOCK_CASE(1)
        MJ_DSP_BLOCK_CASE(2)
        MJ_DSP_BLOCK_CASE(3)
        MJ_DSP_BLOCK_CASE(4)
        MJ_DSP_BLOCK_CASE(5)
        MJ_DSP_BLOCK_CASE(6)
        MJ_DSP_BLOCK_CASE(7)
        MJ_DSP_BLOCK_CASE(8)
        MJ_DSP_BLOCK_CASE(9)
        MJ_DSP_BLOCK_CASE(10)
    }
}

#endif
