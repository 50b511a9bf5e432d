/* Sums of products of bytes, three pixels by two output channels at a time, or one pixel by four: what convolutions and
 * fully connected layers share.
 *
 * VMLADAV adds 16 products of a pixel's inputs and a channel's weights to a general register: a step. Weights lie by
 * pairs of channels, in each pair by steps, the last step filled up with zeros: what is read there of the input does not
 * matter. Sums go to a buffer on the stack, and from there by vectors of channels to the output. The bias holds the
 * input's zero point; it is added there, modulo 2^32 like all sums.
 */
#ifndef MJ_MVE_BLOCK_H
#define MJ_MVE_BLOCK_H

#include "instructions.h"

#define MJ_MVE_CHUNK 32 /* channels whose sums go to the buffer before they go to the output: 128 bytes a pixel */
#define MJ_MVE_GROUP 8  /* channels whose numbers lie together in the table */

struct mj_mve_block;

/* The sums of some pairs of channels, of three pixels or one; returns the weights behind them. */
typedef const int8_t *mj_mve_sums_function(const struct mj_mve_block *block, const int8_t *weights, int32_t pairs,
                                           int32_t *sums);

/* What the blocks of one layer have in common. The order of the first members is known to the loops below.
 * pixel: where the inputs of each begin. turns: of the loop over steps, after the first. stride: from a pixel of the
 * output to the next. */
struct mj_mve_block {
    const int8_t *pixel[3];
    int32_t turns;
    int32_t pair_bytes; /* of weights of a pair of channels */
    mj_mve_sums_function *three, *one;
    const int8_t *weights;
    const int32_t *table;
    int32_t channels, stride;
    int32_t zero_point, ties_away;
};

/* Sums of a group, in the order of channels 0 2 4 6, 1 3 5 7, or 0 1 2 3 where no more are left, to int8.
 * table: biases, multipliers and shifts (0 or less) in the same order, for each group. */
MJ_INLINE void mj_mve_requantize(int32_t pixels, const struct mj_mve_block *block, const int32_t *sums,
                                 const int32_t *table, int32_t channels, int32_t ties_away, int8_t *output)
{
    for (; channels > 0; channels -= MJ_MVE_GROUP) {
#if MJ_MVE
        if (channels > 4) {
            const int32x4_t even_bias = vldrwq_s32(table), odd_bias = vldrwq_s32(table + 4);
            const int32x4_t even_multiplier = vldrwq_s32(table + 8), odd_multiplier = vldrwq_s32(table + 12);
            const int32x4_t even_shift = vldrwq_s32(table + 16), odd_shift = vldrwq_s32(table + 20);
            const mve_pred16_t inside = vctp16q((uint32_t)mj_mve_lanes(channels));
            int8_t *to = output;
#pragma GCC unroll 3
            for (int32_t pixel = 0; pixel < pixels; pixel++, to += block->stride) {
                int32x4_t even = vaddq_s32(vldrwq_s32(sums + pixel * MJ_MVE_CHUNK), even_bias);
                int32x4_t odd = vaddq_s32(vldrwq_s32(sums + pixel * MJ_MVE_CHUNK + 4), odd_bias);
                even = mj_mve_rescale(even, even_multiplier, even_shift, ties_away);
                odd = mj_mve_rescale(odd, odd_multiplier, odd_shift, ties_away);
                /* Saturated to int16, where the zero point is added, and to int8. */
                int16x8_t both = vqmovnbq_s32(vreinterpretq_s16_s32(even), even);
                both = vqaddq_n_s16(vqmovntq_s32(both, odd), (int16_t)block->zero_point);
                const int8x16_t result = vqmovnbq_s16(vreinterpretq_s8_s16(both), both);
                vstrbq_p_s16(to, vreinterpretq_s16_s8(result), inside);
            }
        } else {
            const int32x4_t bias = vldrwq_s32(table);
            const int32x4_t multiplier = vldrwq_s32(table + 8), shift = vldrwq_s32(table + 16);
            const int32x4_t lowest = vdupq_n_s32(INT8_MIN), highest = vdupq_n_s32(INT8_MAX);
            const mve_pred16_t inside = vctp32q((uint32_t)mj_mve_lanes(channels));
            int8_t *to = output;
            for (int32_t pixel = 0; pixel < pixels; pixel++, to += block->stride) {
                int32x4_t x = vaddq_s32(vldrwq_s32(sums + pixel * MJ_MVE_CHUNK), bias);
                x = vaddq_n_s32(mj_mve_rescale(x, multiplier, shift, ties_away), block->zero_point);
                vstrbq_p_s32(to, vminq_s32(vmaxq_s32(x, lowest), highest), inside);
            }
        }
#else
        (void)ties_away;
        for (int32_t channel = 0; channel < channels && channel < MJ_MVE_GROUP; channel++) {
            const int32_t at = channels > 4 ? channel / 2 + channel % 2 * 4 : channel;
            for (int32_t pixel = 0; pixel < pixels; pixel++) {
                const int32_t sum = mj_wrapping_add(sums[pixel * MJ_MVE_CHUNK + at], table[at]);
                const int32_t x = mj_multiply_by_quantized_multiplier(sum, table[at + 8], table[at + 16]);
                output[pixel * block->stride + channel] =
                    (int8_t)mj_clamp(x + block->zero_point, INT8_MIN, INT8_MAX);
            }
        }
#endif
        table += 3 * MJ_MVE_GROUP;
        sums += MJ_MVE_GROUP;
        output += MJ_MVE_GROUP;
    }
}

#define MJ_MVE_REQUANTIZE(pixels, ties_away) \
    MJ_SHARED void mj_mve_requantize_##pixels##_##ties_away(const struct mj_mve_block *block, const int32_t *sums, \
                                                            const int32_t *table, int32_t channels, int8_t *output) \
    { \
        mj_mve_requantize(pixels, block, sums, table, channels, ties_away, output); \
    }
MJ_MVE_REQUANTIZE(1, 0)
MJ_MVE_REQUANTIZE(1, 1)
MJ_MVE_REQUANTIZE(3, 0)
MJ_MVE_REQUANTIZE(3, 1)

/* Pairs of channels of a chunk that are computed: all of a group, but for the last four channels. */
MJ_INLINE int32_t mj_mve_pairs(int32_t channels)
{
    const int32_t rest = channels % MJ_MVE_GROUP;
    return channels / MJ_MVE_GROUP * 4 + (rest > 4 ? 4 : (rest + 1) / 2);
}

/* VMLADAV needs even registers for its sums: they are named, and all else gets what is left.
 *
 * A loop over the steps turns `unroll` of them at a time, after a first turn that begins the sums. With one or two steps
 * (MJ_MVE_FEW) the pixels' inputs stay in registers for all channels. */
#if MJ_MVE
#define MJ_MVE_PRODUCTS3(accumulate, x0, x1, x2) \
    "vldrb.u8 q6, [%[weights]], #16\n vldrb.u8 q7, [%[weights]], #16\n" \
    "vmladav" accumulate ".s8 r0, " x0 ", q6\n vmladav" accumulate ".s8 r2, " x0 ", q7\n" \
    "vmladav" accumulate ".s8 r4, " x1 ", q6\n vmladav" accumulate ".s8 r6, " x1 ", q7\n" \
    "vmladav" accumulate ".s8 r8, " x2 ", q6\n vmladav" accumulate ".s8 r10, " x2 ", q7\n"
#define MJ_MVE_STEP3(accumulate) \
    "vldrb.u8 q0, [r1], #16\n vldrb.u8 q1, [r3], #16\n vldrb.u8 q2, [r5], #16\n" \
    MJ_MVE_PRODUCTS3(accumulate, "q0", "q1", "q2")
#define MJ_MVE_STORE3 \
    "strd r4, r6, [%[sums], #128]\n strd r8, r10, [%[sums], #256]\n strd r0, r2, [%[sums]], #8\n"
#define MJ_MVE_CLOBBERED3 \
    "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r8", "r10", "lr", "q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7", "cc", \
        "memory"
#define MJ_MVE_SUMS3(unroll, rest) \
    __asm volatile("1: ldm %[block], {r1, r3, r5, lr}\n" MJ_MVE_STEP3("") \
                   ".rept " #rest "\n" MJ_MVE_STEP3("a") ".endr\n" \
                   "wls lr, lr, 3f\n" \
                   "2: .rept " #unroll "\n" MJ_MVE_STEP3("a") ".endr\n" \
                   "le lr, 2b\n" \
                   "3: " MJ_MVE_STORE3 "subs %[pairs], #1\n bne 1b" \
                   : [weights] "+r"(weights), [sums] "+r"(sums), [pairs] "+r"(pairs) \
                   : [block] "r"(block) \
                   : MJ_MVE_CLOBBERED3)
#define MJ_MVE_FEW3(load, more) \
    __asm volatile("ldm %[block], {r1, r3, r5}\n" \
                   "vldrb.u8 q0, [r1]\n vldrb.u8 q1, [r3]\n vldrb.u8 q2, [r5]\n" load \
                   "dls lr, %[pairs]\n" \
                   "1: " MJ_MVE_PRODUCTS3("", "q0", "q1", "q2") more MJ_MVE_STORE3 "le lr, 1b" \
                   : [weights] "+r"(weights), [sums] "+r"(sums) \
                   : [block] "r"(block), [pairs] "r"(pairs) \
                   : MJ_MVE_CLOBBERED3)
#define MJ_MVE_STEP1(accumulate) \
    "vldrb.u8 q0, [r1], #16\n" \
    "vldrb.u8 q1, [%[weights]], #16\n vldrb.u8 q2, [%[weights]], #16\n" \
    "vldrb.u8 q3, [r3], #16\n vldrb.u8 q4, [r3], #16\n" \
    "vmladav" accumulate ".s8 r0, q0, q1\n vmladav" accumulate ".s8 r2, q0, q2\n" \
    "vmladav" accumulate ".s8 r4, q0, q3\n vmladav" accumulate ".s8 r6, q0, q4\n"
#define MJ_MVE_SUMS1(unroll, rest) \
    int32_t fours = (pairs + 1) / 2; \
    __asm volatile("1: ldr r1, [%[block]]\n ldrd lr, r3, [%[block], #12]\n add r3, %[weights]\n" MJ_MVE_STEP1("") \
                   ".rept " #rest "\n" MJ_MVE_STEP1("a") ".endr\n" \
                   "wls lr, lr, 3f\n" \
                   "2: .rept " #unroll "\n" MJ_MVE_STEP1("a") ".endr\n" \
                   "le lr, 2b\n" \
                   "3: strd r0, r2, [%[sums]], #8\n strd r4, r6, [%[sums]], #8\n" \
                   "mov %[weights], r3\n subs %[fours], #1\n bne 1b" \
                   : [weights] "+r"(weights), [sums] "+r"(sums), [fours] "+r"(fours) \
                   : [block] "r"(block) \
                   : "r0", "r1", "r2", "r3", "r4", "r6", "lr", "q0", "q1", "q2", "q3", "q4", "cc", "memory")
#define MJ_MVE_SUMS(name, code) \
    MJ_MVE_OPTIMIZED MJ_SHARED const int8_t *name(const struct mj_mve_block *block, const int8_t *weights, \
                                                  int32_t pairs, int32_t *sums) \
    { \
        code; \
        return weights; \
    }
#else
#define MJ_MVE_SUMS3(unroll, rest) mj_mve_sums(3, block, weights, pairs, sums)
#define MJ_MVE_FEW3(load, more) mj_mve_sums(3, block, weights, pairs, sums)
#define MJ_MVE_SUMS1(unroll, rest) mj_mve_sums(1, block, weights, (pairs + 1) / 2 * 2, sums)
#define MJ_MVE_SUMS(name, code) \
    MJ_SHARED const int8_t *name(const struct mj_mve_block *block, const int8_t *weights, int32_t pairs, \
                                 int32_t *sums) \
    { \
        return code; \
    }

MJ_SHARED const int8_t *mj_mve_sums(int32_t pixels, const struct mj_mve_block *block, const int8_t *weights,
                                    int32_t pairs, int32_t *sums)
{
    for (int32_t pair = 0; pair < pairs; pair++, weights += block->pair_bytes)
        for (int32_t pixel = 0; pixel < pixels; pixel++)
            for (int32_t channel = 0; channel < 2; channel++) {
                int32_t sum = 0;
                for (int32_t i = 0; i < block->pair_bytes / 2; i++)
                    sum = mj_wrapping_add(sum, block->pixel[pixel][i] * weights[i / 16 * 32 + channel * 16 + i % 16]);
                sums[pixel * MJ_MVE_CHUNK + 2 * pair + channel] = sum;
            }
    return weights;
}
#endif

#define MJ_MVE_UNROLLED(unroll, rest) \
    MJ_MVE_SUMS(mj_mve_sums3_##unroll, MJ_MVE_SUMS3(unroll, rest)) \
    MJ_MVE_SUMS(mj_mve_sums1_##unroll, MJ_MVE_SUMS1(unroll, rest))
MJ_MVE_UNROLLED(1, 0)
MJ_MVE_UNROLLED(2, 1)
MJ_MVE_UNROLLED(3, 2)
MJ_MVE_UNROLLED(4, 3)
MJ_MVE_UNROLLED(5, 4)
MJ_MVE_SUMS(mj_mve_few3_1, MJ_MVE_FEW3("", ""))
MJ_MVE_SUMS(mj_mve_few3_2, MJ_MVE_FEW3("vldrb.u8 q3, [r1, #16]\n vldrb.u8 q4, [r3, #16]\n vldrb.u8 q5, [r5, #16]\n",
                                       MJ_MVE_PRODUCTS3("a", "q3", "q4", "q5")))

/* What computes the sums of so many steps. unroll: a divisor of their number, up to 5. */
MJ_INLINE void mj_mve_choose(struct mj_mve_block *block, int32_t steps, int32_t unroll)
{
#define MJ_MVE_CHOOSE(sums) \
    (unroll == 1 ? sums##_1 : unroll == 2 ? sums##_2 : unroll == 3 ? sums##_3 : unroll == 4 ? sums##_4 : sums##_5)
    block->three = steps == 1 ? mj_mve_few3_1 : steps == 2 ? mj_mve_few3_2 : MJ_MVE_CHOOSE(mj_mve_sums3);
    block->one = MJ_MVE_CHOOSE(mj_mve_sums1);
    block->turns = steps / unroll - 1;
    block->pair_bytes = 32 * steps;
}

/* All output channels of three pixels, or of one, a chunk after the other. */
#define MJ_MVE_PIXELS(pixels, name) \
    MJ_SHARED void mj_mve_##name(const struct mj_mve_block *block, int8_t *output) \
    { \
        int32_t sums[pixels * MJ_MVE_CHUNK]; \
        const int8_t *weights = block->weights; \
        const int32_t *table = block->table; \
        for (int32_t left = block->channels; left > 0; left -= MJ_MVE_CHUNK) { \
            const int32_t channels = left < MJ_MVE_CHUNK ? left : MJ_MVE_CHUNK; \
            weights = block->name(block, weights, mj_mve_pairs(channels), sums); \
            if (block->ties_away) \
                mj_mve_requantize_##pixels##_1(block, sums, table, channels, output); \
            else \
                mj_mve_requantize_##pixels##_0(block, sums, table, channels, output); \
            table += 3 * MJ_MVE_CHUNK; \
            output += MJ_MVE_CHUNK; \
        } \
    }
MJ_MVE_PIXELS(3, three)
MJ_MVE_PIXELS(1, one)

#endif
