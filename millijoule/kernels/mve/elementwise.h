/* int8 sums, differences and products of two values of one shape by vectors. The output may lie over either input.
 *
 * a_step, b_step, output_pixel: as in the portable elementwise.h. */
#ifndef MJ_MVE_ELEMENTWISE_H
#define MJ_MVE_ELEMENTWISE_H

#include "instructions.h"

/* x times 2^20, less the zero point, is rescaled by multiplier and shift for each input, and their sum, or with a
 * b_sign of -1 their difference, for the output.
 * a_ties, b_ties, ties_away: as in instructions.h. */
struct mj_mve_add {
    int32_t positions, channels, a_step, b_step, output_pixel, b_sign;
    int32_t a_zero_point, b_zero_point, output_zero_point, output_low, output_high;
    int32_t a_multiplier, a_shift, a_ties, b_multiplier, b_shift, b_ties;
    int32_t output_multiplier, output_shift, ties_away;
};

#define MJ_MVE_ADD_LEFT_SHIFT 20

#if MJ_MVE
MJ_INLINE int32x4_t mj_mve_term(int32x4_t x, int32_t zero_point, int32_t multiplier, int32_t shift, int32_t ties_away)
{
    if (multiplier == 1 << 30 && shift == 0) /* one half, exactly */
        return vshlq_n_s32(vsubq_n_s32(x, zero_point), MJ_MVE_ADD_LEFT_SHIFT - 1);
    x = vshlq_n_s32(vsubq_n_s32(x, zero_point), MJ_MVE_ADD_LEFT_SHIFT);
    return mj_mve_rescale_n(x, multiplier, shift, ties_away);
}

MJ_INLINE int32x4_t mj_mve_four_sums(const struct mj_mve_add p, int32x4_t a, int32x4_t b)
{
    const int32x4_t x = mj_mve_term(a, p.a_zero_point, p.a_multiplier, p.a_shift, p.a_ties);
    const int32x4_t y = mj_mve_term(b, p.b_zero_point, p.b_multiplier, p.b_shift, p.b_ties);
    int32x4_t sum = p.b_sign > 0 ? vaddq_s32(x, y) : vsubq_s32(x, y);
    sum = mj_mve_rescale_n(sum, p.output_multiplier, p.output_shift, p.ties_away);
    sum = vaddq_n_s32(sum, p.output_zero_point);
    return vminq_s32(vmaxq_s32(sum, vdupq_n_s32(p.output_low)), vdupq_n_s32(p.output_high));
}
#endif

MJ_INLINE void mj_mve_add_run(const struct mj_mve_add p, const int8_t *a, const int8_t *b, int8_t *output)
{
#if MJ_MVE
    int32_t left = p.channels;
    for (; left >= 4; left -= 4, a += 4, b += 4, output += 4)
        vstrbq_s32(output, mj_mve_four_sums(p, vldrbq_s32(a), vldrbq_s32(b)));
    if (left > 0) {
        const mve_pred16_t inside = vctp32q((uint32_t)mj_mve_lanes(left));
        const int32x4_t sums = mj_mve_four_sums(p, vldrbq_z_s32(a, inside), vldrbq_z_s32(b, inside));
        vstrbq_p_s32(output, sums, inside);
    }
#else
    for (int32_t i = 0; i < p.channels; i++) {
        const int32_t x = mj_multiply_by_quantized_multiplier(
            (a[i] - p.a_zero_point) * (1 << MJ_MVE_ADD_LEFT_SHIFT), p.a_multiplier, p.a_shift);
        const int32_t y = mj_multiply_by_quantized_multiplier(
            (b[i] - p.b_zero_point) * (1 << MJ_MVE_ADD_LEFT_SHIFT), p.b_multiplier, p.b_shift);
        const int32_t sum = mj_multiply_by_quantized_multiplier(x + p.b_sign * y, p.output_multiplier, p.output_shift);
        output[i] = (int8_t)mj_clamp(sum + p.output_zero_point, p.output_low, p.output_high);
    }
#endif
}

MJ_INLINE void mj_mve_add(struct mj_mve_add p, const int8_t *a, const int8_t *b, int8_t *output)
{
    if (p.a_step == p.channels && p.b_step == p.channels && p.output_pixel == p.channels) {
        p.channels *= p.positions; /* one run */
        p.positions = 1;
    }
    for (int32_t position = 0; position < p.positions; position++) {
        mj_mve_add_run(p, a, b, output);
        a += p.a_step;
        b += p.b_step;
        output += p.output_pixel;
    }
}

struct mj_mve_multiply {
    int32_t positions, channels, a_step, b_step, output_pixel;
    int32_t a_zero_point, b_zero_point, output_zero_point, output_low, output_high;
    int32_t multiplier, shift, ties_away;
};

#if MJ_MVE
MJ_INLINE int32x4_t mj_mve_four_products(const struct mj_mve_multiply p, int32x4_t a, int32x4_t b)
{
    int32x4_t product = vmulq_s32(vsubq_n_s32(a, p.a_zero_point), vsubq_n_s32(b, p.b_zero_point));
    product = mj_mve_rescale_n(product, p.multiplier, p.shift, p.ties_away);
    product = vaddq_n_s32(product, p.output_zero_point);
    return vminq_s32(vmaxq_s32(product, vdupq_n_s32(p.output_low)), vdupq_n_s32(p.output_high));
}
#endif

MJ_INLINE void mj_mve_multiply_run(const struct mj_mve_multiply p, const int8_t *a, const int8_t *b, int8_t *output)
{
#if MJ_MVE
    int32_t left = p.channels;
    for (; left >= 4; left -= 4, a += 4, b += 4, output += 4)
        vstrbq_s32(output, mj_mve_four_products(p, vldrbq_s32(a), vldrbq_s32(b)));
    if (left > 0) {
        const mve_pred16_t inside = vctp32q((uint32_t)mj_mve_lanes(left));
        const int32x4_t products = mj_mve_four_products(p, vldrbq_z_s32(a, inside), vldrbq_z_s32(b, inside));
        vstrbq_p_s32(output, products, inside);
    }
#else
    for (int32_t i = 0; i < p.channels; i++) {
        const int32_t product = (a[i] - p.a_zero_point) * (b[i] - p.b_zero_point);
        const int32_t scaled = mj_multiply_by_quantized_multiplier(product, p.multiplier, p.shift);
        output[i] = (int8_t)mj_clamp(scaled + p.output_zero_point, p.output_low, p.output_high);
    }
#endif
}

MJ_INLINE void mj_mve_multiply(struct mj_mve_multiply p, const int8_t *a, const int8_t *b, int8_t *output)
{
    if (p.a_step == p.channels && p.b_step == p.channels && p.output_pixel == p.channels) {
        p.channels *= p.positions; /* one run */
        p.positions = 1;
    }
    for (int32_t position = 0; position < p.positions; position++) {
        mj_mve_multiply_run(p, a, b, output);
        a += p.a_step;
        b += p.b_step;
        output += p.output_pixel;
    }
}

#endif
