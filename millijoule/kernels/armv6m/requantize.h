/* TFLite's requantization, rounded twice, on cores that multiply 32 by 32 bits to 32. */
#ifndef MJ_ARMV6M_REQUANTIZE_H
#define MJ_ARMV6M_REQUANTIZE_H

#include "../fixedpoint.h"

/* Whether there is Thumb-1's assembly, and whether it may have high registers: with -Os gcc gives them to nobody. */
#if defined(__thumb__) && !defined(__thumb2__)
#define MJ_ARMV6M 1
#else
#define MJ_ARMV6M 0
#endif
#if MJ_ARMV6M && (defined(__clang__) || !defined(__OPTIMIZE_SIZE__))
#define MJ_ARMV6M_HIGH 1
#else
#define MJ_ARMV6M_HIGH 0
#endif

/* By two roundings. start: what is added to a sum to make it the accumulator. */
struct mj_armv6m_rounded {
    int32_t start, multiplier, offset, shift;
};

/* The sum's result without a 64-bit product, not clamped.
 *
 * Equal to mj_multiply_by_quantized_multiplier, plus the zero point, where 1 <= shift <= 22 is its negative shift, offset
 * = 2^(shift - 1) + (zero point << shift), multiplier >= 0 and |sum + start| < 2^30: kernels/dsp/instructions.h has the
 * proof.
 */
MJ_INLINE int32_t mj_armv6m_round(int32_t sum, const struct mj_armv6m_rounded *channel)
{
    const int32_t accumulator = mj_wrapping_add(sum, channel->start);
    const int32_t doubled = accumulator * 2, top = doubled >> 16;
    const uint32_t bottom = (uint32_t)doubled & 0xffff;
    const uint32_t multiplier_top = (uint32_t)channel->multiplier >> 16;
    const uint32_t multiplier_bottom = (uint32_t)channel->multiplier & 0xffff;
    const uint32_t up = bottom * multiplier_top + (bottom * multiplier_bottom >> 16);
    const int32_t down = (int32_t)((uint32_t)top * multiplier_bottom);
    const uint32_t carry = ((up & 0xffff) + ((uint32_t)down & 0xffff) + 0x8000) >> 16;
    const int32_t high = top * (int32_t)multiplier_top + (down >> 16) + (int32_t)(up >> 16) + (int32_t)carry;
    return (high + channel->offset + (accumulator >> 31)) >> channel->shift;
}

/* By a line: ops/steps.py proves for each channel that it gives what the two roundings give. start: what is added to a
 * sum, so that it is negative where the result is the lowest one; end: where it becomes the highest one. */
struct mj_armv6m_line {
    int32_t start, end;
    uint32_t slope, fraction;
    int32_t offset;
};

/* (x * (slope + fraction / 2^16) + offset) / 2^24 for x, the sum plus `start`, up to `end`; one less than for 0 if x is
 * negative. */
MJ_INLINE int8_t mj_armv6m_on_line(int32_t sum, const struct mj_armv6m_line *channel)
{
    const int32_t x = mj_wrapping_add(sum, channel->start);
    if (x < 0)
        return (int8_t)((channel->offset >> 24) - 1);
    const uint32_t inside = (uint32_t)(x < channel->end ? x : channel->end);
    const uint32_t scaled = inside * channel->slope + (inside / 16 * channel->fraction >> 12);
    return (int8_t)(mj_wrapping_add((int32_t)scaled, channel->offset) >> 24);
}

/* output[at] = what `channel` makes of `sum`; goes on to the next channel. One load takes a channel's five numbers. */
#if MJ_ARMV6M
#define MJ_ARMV6M_STORE_ON_LINE(sum, at) \
    do { \
        int32_t x = (sum); \
        __asm volatile(".syntax unified\n" \
                       "ldmia %[channel]!, {r2, r3, r4, r5, r6}\n" \
                       "adds %[x], r2\n bpl 1f\n asrs %[x], r6, #24\n subs %[x], #1\n b 3f\n" \
                       "1: cmp %[x], r3\n ble 2f\n mov %[x], r3\n" \
                       "2: muls r4, %[x]\n lsrs %[x], %[x], #4\n muls %[x], r5\n lsrs %[x], %[x], #12\n" \
                       "adds %[x], r4\n adds %[x], r6\n asrs %[x], %[x], #24\n" \
                       "3: strb %[x], [%[output], #" #at "]\n" \
                       : [x] "+l"(x), [channel] "+l"(channel) \
                       : [output] "l"(output) \
                       : "memory", "cc", "r2", "r3", "r4", "r5", "r6"); \
    } while (0)
#else
#define MJ_ARMV6M_STORE_ON_LINE(sum, at) (output[at] = mj_armv6m_on_line(sum, channel), channel++)
#endif

#endif
