/* The dual 16-bit instructions of Armv7E-M and Armv8-M Mainline; plain C of the same meaning on other machines.
 *
 * Arm, Armv7-M Architecture Reference Manual (DDI 0403), chapter A7. A word holds two int16: bottom and top.
 */
#ifndef MJ_DSP_INSTRUCTIONS_H
#define MJ_DSP_INSTRUCTIONS_H

#include "../fixedpoint.h"
#include "../memory.h"

#if defined(__ARM_FEATURE_DSP) && defined(__thumb2__)
#define MJ_DSP 1
#define MJ_DSP_ONE(name, text) \
    MJ_INLINE uint32_t name(uint32_t x) \
    { \
        uint32_t result; \
        __asm(text : "=r"(result) : "r"(x)); \
        return result; \
    }
#define MJ_DSP_TWO(name, text) \
    MJ_INLINE uint32_t name(uint32_t x, uint32_t y) \
    { \
        uint32_t result; \
        __asm(text : "=r"(result) : "r"(x), "r"(y)); \
        return result; \
    }
#define MJ_DSP_THREE(name, text) \
    MJ_INLINE int32_t name(uint32_t x, uint32_t y, int32_t z) \
    { \
        int32_t result; \
        __asm(text : "=r"(result) : "r"(x), "r"(y), "r"(z)); \
        return result; \
    }
#else
#define MJ_DSP 0
MJ_INLINE int32_t mj_bottom(uint32_t x)
{
    return (int16_t)(x & 0xffff);
}

MJ_INLINE int32_t mj_top(uint32_t x)
{
    return (int16_t)(x >> 16);
}

MJ_INLINE uint32_t mj_halves(int32_t bottom, int32_t top)
{
    return ((uint32_t)bottom & 0xffff) | (uint32_t)top << 16;
}

#define MJ_DSP_ONE(name, text) \
    MJ_INLINE uint32_t name(uint32_t x) \
    { \
        return name##_c(x); \
    }
#define MJ_DSP_TWO(name, text) \
    MJ_INLINE uint32_t name(uint32_t x, uint32_t y) \
    { \
        return name##_c(x, y); \
    }
#define MJ_DSP_THREE(name, text) \
    MJ_INLINE int32_t name(uint32_t x, uint32_t y, int32_t z) \
    { \
        return name##_c(x, y, z); \
    }

MJ_INLINE uint32_t mj_sxtb16_c(uint32_t x)
{
    return mj_halves((int8_t)x, (int8_t)(x >> 16));
}

MJ_INLINE uint32_t mj_sxtb16_ror8_c(uint32_t x)
{
    return mj_sxtb16_c(x >> 8);
}

MJ_INLINE uint32_t mj_ssub16_c(uint32_t x, uint32_t y)
{
    return mj_halves(mj_bottom(x) - mj_bottom(y), mj_top(x) - mj_top(y));
}

MJ_INLINE uint32_t mj_sxtab16_c(uint32_t x, uint32_t y)
{
    return mj_halves(mj_bottom(x) + (int8_t)y, mj_top(x) + (int8_t)(y >> 16));
}

MJ_INLINE uint32_t mj_sxtab16_ror8_c(uint32_t x, uint32_t y)
{
    return mj_sxtab16_c(x, y >> 8);
}

MJ_INLINE uint32_t mj_pack_bottoms_c(uint32_t x, uint32_t y)
{
    return (x & 0xffff) | y << 16;
}

MJ_INLINE uint32_t mj_pack_tops_c(uint32_t x, uint32_t y)
{
    return (x & 0xffff0000u) | y >> 16;
}

MJ_INLINE uint32_t mj_and_lsl8_c(uint32_t x, uint32_t y)
{
    return x & y << 8;
}

MJ_INLINE int32_t mj_smlad_c(uint32_t x, uint32_t y, int32_t z)
{
    const uint32_t products = (uint32_t)(mj_bottom(x) * mj_bottom(y)) + (uint32_t)(mj_top(x) * mj_top(y));
    return (int32_t)((uint32_t)z + products);
}

MJ_INLINE int32_t mj_smmlar_c(uint32_t x, uint32_t y, int32_t z)
{
    const int64_t product = (int64_t)(int32_t)x * (int32_t)y + (int64_t)0x80000000;
    return (int32_t)((uint32_t)z + (uint32_t)(product >> 32));
}

MJ_INLINE int32_t mj_smmla_c(uint32_t x, uint32_t y, int32_t z)
{
    return (int32_t)((uint32_t)z + (uint32_t)((int64_t)(int32_t)x * (int32_t)y >> 32));
}
#endif

/* sxtb16: bytes 0 and 2. …_ror8: bytes 1 and 3. sxtab16: the same, added to the halves of x. */
MJ_DSP_ONE(mj_sxtb16, "sxtb16 %0, %1")
MJ_DSP_ONE(mj_sxtb16_ror8, "sxtb16 %0, %1, ror #8")
MJ_DSP_TWO(mj_sxtab16, "sxtab16 %0, %1, %2")
MJ_DSP_TWO(mj_sxtab16_ror8, "sxtab16 %0, %1, %2, ror #8")
MJ_DSP_TWO(mj_ssub16, "ssub16 %0, %1, %2")
/* x & y << 8: compilers prefer a mask in the instruction, which leaves no place for the shift. */
MJ_DSP_TWO(mj_and_lsl8, "and %0, %1, %2, lsl #8")
/* (bottom of x, bottom of y); (top of y, top of x). */
MJ_DSP_TWO(mj_pack_bottoms, "pkhbt %0, %1, %2, lsl #16")
MJ_DSP_TWO(mj_pack_tops, "pkhtb %0, %1, %2, asr #16")
/* z + bottom * bottom + top * top. */
MJ_DSP_THREE(mj_smlad, "smlad %0, %1, %2, %3")
/* z + round(x * y / 2^32). */
MJ_DSP_THREE(mj_smmlar, "smmlar %0, %1, %2, %3")
/* z + floor(x * y / 2^32). */
MJ_DSP_THREE(mj_smmla, "smmla %0, %1, %2, %3")

MJ_INLINE uint32_t mj_load32(const void *from)
{
    uint32_t word;
    memcpy(&word, from, sizeof word);
    return word;
}

MJ_INLINE void mj_store32(void *to, uint32_t word)
{
    memcpy(to, &word, sizeof word);
}

/* How an accumulator becomes int8, by two roundings or by a line, which has no shift. */
struct mj_dsp_scaling {
    int32_t multiplier, offset, shift;
};

/* bias: what the sum starts from, 256 times the usual bias and, for a line, a little more. */
struct mj_dsp_channel {
    int32_t bias;
    struct mj_dsp_scaling scaling;
};

/* TFLite's requantization, rounded twice, to the whole range of int8, in six instructions.
 *
 * Equal to mj_multiply_by_quantized_multiplier, plus the zero point, clamped, where 1 <= shift <= 22 is its negative
 * shift, offset = 2^(shift - 1) + (zero point << shift), and |accumulator| < 2^30. Proof: then nothing overflows, and
 * round(2 * a * m / 2^32) is its first rounding. The second, ties away from zero, is floor((h + half - (h < 0)) /
 * 2^shift); (a < 0) may stand for (h < 0), for they differ only if h = 0, where both give 0.
 * doubled: 2 * accumulator. sign: 0, or -1 if the accumulator is negative.
 */
MJ_INLINE int8_t mj_dsp_requantize(int32_t doubled, int32_t sign, struct mj_dsp_scaling scaling)
{
    const int32_t offset = scaling.offset + sign;
    const int32_t scaled = mj_smmlar((uint32_t)doubled, (uint32_t)scaling.multiplier, offset) >> scaling.shift;
#if MJ_DSP
    int32_t result;
    __asm("ssat %0, #8, %1" : "=r"(result) : "r"(scaled));
    return (int8_t)result;
#else
    return (int8_t)mj_clamp(scaled, INT8_MIN, INT8_MAX);
#endif
}

/* Requantization of four sums, each 256 times the usual accumulator, `step` bytes apart; by two roundings. */
MJ_INLINE void mj_dsp_store4_rounded(struct mj_dsp_scaling scaling, int32_t a, int32_t b, int32_t c, int32_t d,
                                     int8_t *to, int32_t step)
{
    *to = mj_dsp_requantize(a >> 7, a >> 31, scaling), to += step;
    *to = mj_dsp_requantize(b >> 7, b >> 31, scaling), to += step;
    *to = mj_dsp_requantize(c >> 7, c >> 31, scaling), to += step;
    *to = mj_dsp_requantize(d >> 7, d >> 31, scaling);
}

/* The same by a line, (sum * multiplier / 2^32 + offset) / 2^12: ops/steps.py proves for each channel that it gives what
 * the two roundings give. */
MJ_INLINE int8_t mj_dsp_line(int32_t sum, struct mj_dsp_scaling scaling)
{
    const int32_t scaled = mj_smmla((uint32_t)sum, (uint32_t)scaling.multiplier, scaling.offset);
#if MJ_DSP
    int32_t result;
    __asm("ssat %0, #8, %1, asr #12" : "=r"(result) : "r"(scaled));
    return (int8_t)result;
#else
    return (int8_t)mj_clamp(scaled >> 12, INT8_MIN, INT8_MAX);
#endif
}

#define MJ_DSP_LINE(sum, at) \
    "smmla %[" sum "], %[" sum "], %[multiplier], %[offset]\n ssat %[" sum "], #8, %[" sum "], asr #12\n" \
    "strb %[" sum "], [" at "]\n"

MJ_INLINE void mj_dsp_store4_line(struct mj_dsp_scaling scaling, int32_t a, int32_t b, int32_t c, int32_t d,
                                  int8_t *to, int32_t step)
{
#if MJ_DSP
    __asm volatile(MJ_DSP_LINE("a", "%[to]") MJ_DSP_LINE("b", "%[to], %[step]")
                   MJ_DSP_LINE("c", "%[to], %[step], lsl #1") "add %[a], %[to], %[step]\n"
                   MJ_DSP_LINE("d", "%[a], %[step], lsl #1")
                   : [a] "+r"(a), [b] "+r"(b), [c] "+r"(c), [d] "+r"(d)
                   : [multiplier] "r"(scaling.multiplier), [offset] "r"(scaling.offset), [to] "r"(to), [step] "r"(step)
                   : "memory");
#else
    *to = mj_dsp_line(a, scaling), to += step;
    *to = mj_dsp_line(b, scaling), to += step;
    *to = mj_dsp_line(c, scaling), to += step;
    *to = mj_dsp_line(d, scaling);
#endif
}

/* The first of the next four channels; the last four begin earlier, so that all four exist. */
MJ_INLINE int32_t mj_dsp_next_four(int32_t first, int32_t channels)
{
    return first + 4 < channels && first + 8 > channels ? channels - 4 : first + 4;
}

/* A fused activation's narrower range. */
MJ_SHARED void mj_dsp_clamp(int8_t *values, int32_t count, int32_t low, int32_t high)
{
    for (int32_t i = 0; i < count; i++)
        values[i] = (int8_t)mj_clamp(values[i], low, high);
}

/* A fused activation's narrower range for `channels` of each pixel, `pixel` bytes apart; all of it is constant. */
MJ_INLINE void mj_dsp_clamp_pixels(int8_t *values, int32_t pixels, int32_t pixel, int32_t channels, int32_t low,
                                 int32_t high)
{
    if (low == INT8_MIN && high == INT8_MAX)
        return;
    if (pixel == channels) {
        mj_dsp_clamp(values, pixels * channels, low, high);
        return;
    }
    for (int32_t i = 0; i < pixels; i++)
        mj_dsp_clamp(values + i * pixel, channels, low, high);
}

#endif
