/* The vectors of Armv8.1-M (MVE, called Helium), and what its kernels share; plain C where the core lacks them.
 *
 * Arm, Armv8-M Architecture Reference Manual (DDI 0553), chapter C2. A register holds 16 bytes.
 */
#ifndef MJ_MVE_INSTRUCTIONS_H
#define MJ_MVE_INSTRUCTIONS_H

#include "../fixedpoint.h"
#include "../memory.h"

#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)
#define MJ_MVE 1
#include <arm_mve.h>
#else
#define MJ_MVE 0
#endif

/* Of functions whose assembly takes nearly all registers: gcc finds them only if it optimizes and plans loop by loop. */
#if MJ_MVE && !defined(__clang__)
#define MJ_MVE_OPTIMIZED __attribute__((optimize("O2", "omit-frame-pointer", "ira-region=mixed")))
#else
#define MJ_MVE_OPTIMIZED
#endif

/* Sums to int8: first round(sum * multiplier / 2^31), then a rounding shift to the right, as TFLite rounds twice.
 *
 * VQRDMULH is the first rounding. VRSHL rounds ties upwards, the second rounding rounds them away from zero: they differ
 * for negative numbers only, where one less is shifted (`ties_away`; the shift must then be 1 or more). Where negative
 * results are clamped to the zero point, as a fused ReLU does, both give the same.
 */
#if MJ_MVE
MJ_INLINE int32x4_t mj_mve_rescale(int32x4_t sum, int32x4_t multiplier, int32x4_t shift, int32_t ties_away)
{
    int32x4_t product = vqrdmulhq_s32(sum, multiplier);
    if (ties_away)
        product = vaddq_s32(product, vshrq_n_s32(product, 31));
    return vrshlq_s32(product, shift);
}

/* The same with one multiplier and one shift for all. */
MJ_INLINE int32x4_t mj_mve_rescale_n(int32x4_t sum, int32_t multiplier, int32_t shift, int32_t ties_away)
{
    int32x4_t product = vqrdmulhq_n_s32(sum, multiplier);
    if (ties_away)
        product = vaddq_s32(product, vshrq_n_s32(product, 31));
    return vrshlq_n_s32(product, shift);
}
#endif

/* A count of lanes that the compiler does not know: clang 22 crashes on some masks that it does. */
MJ_INLINE int32_t mj_mve_lanes(int32_t count)
{
#if MJ_MVE
    __asm("" : "+r"(count));
#endif
    return count;
}

/* How often a loop over `count` numbers turns that takes `each` at a time. */
MJ_INLINE int32_t mj_mve_turns(int32_t count, int32_t each)
{
    return (count + each - 1) / each;
}

/* A fused activation's narrower range. */
MJ_SHARED void mj_mve_clamp(int8_t *values, int32_t count, int32_t low, int32_t high)
{
#if MJ_MVE
    const int8x16_t lowest = vdupq_n_s8((int8_t)low), highest = vdupq_n_s8((int8_t)high);
    for (int32_t left = mj_mve_lanes(count); left > 0; left -= 16, values += 16) {
        const mve_pred16_t inside = vctp8q((uint32_t)left);
        const int8x16_t x = vldrbq_z_s8(values, inside);
        vstrbq_p_s8(values, vminq_s8(vmaxq_s8(x, lowest), highest), inside);
    }
#else
    for (int32_t i = 0; i < count; i++)
        values[i] = (int8_t)mj_clamp(values[i], low, high);
#endif
}

/* A fused activation's narrower range for `channels` of each pixel, `pixel` bytes apart; all of it is constant. */
MJ_INLINE void mj_mve_clamp_pixels(int8_t *values, int32_t pixels, int32_t pixel, int32_t channels, int32_t low,
                                 int32_t high)
{
    if (low == INT8_MIN && high == INT8_MAX)
        return;
    if (pixel == channels) {
        mj_mve_clamp(values, pixels * channels, low, high);
        return;
    }
    for (int32_t i = 0; i < pixels; i++)
        mj_mve_clamp(values + i * pixel, channels, low, high);
}

MJ_INLINE void mj_mve_copy(int8_t *to, const int8_t *from, int32_t bytes)
{
#if MJ_MVE
    for (; bytes >= 16; bytes -= 16, to += 16, from += 16)
        vstrbq_s8(to, vldrbq_s8(from));
    if (bytes > 0) {
        const mve_pred16_t inside = vctp8q((uint32_t)mj_mve_lanes(bytes));
        vstrbq_p_s8(to, vldrbq_z_s8(from, inside), inside);
    }
#else
    memcpy(to, from, (size_t)bytes);
#endif
}

#endif
