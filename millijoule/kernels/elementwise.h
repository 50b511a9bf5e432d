/* int8 sums, differences and products of two values, portable. The output may lie over an input of its size.
 *
 * At position i, value a is read from a + i * a_step: a step of 0 repeats one position over all; the result lies at
 * output + i * output_pixel.
 */
#ifndef MJ_ELEMENTWISE_H
#define MJ_ELEMENTWISE_H

#include "fixedpoint.h"

#define MJ_ADD_LEFT_SHIFT 20

/* b_sign: 1 for a sum, -1 for a difference. */
struct mj_add {
    int32_t positions, channels, a_step, b_step, output_pixel, b_sign;
    int32_t a_zero_point, b_zero_point, output_zero_point, output_low, output_high;
    int32_t a_multiplier, a_shift, b_multiplier, b_shift, output_multiplier, output_shift;
};

MJ_INLINE void mj_add(struct mj_add p, const int8_t *a, const int8_t *b, int8_t *output)
{
    if (p.a_step == p.channels && p.b_step == p.channels && p.output_pixel == p.channels) {
        p.channels *= p.positions; /* one run */
        p.positions = 1;
    }
    for (int32_t position = 0; position < p.positions; position++) {
        for (int32_t i = 0; i < p.channels; i++) {
            const int32_t x = mj_multiply_by_quantized_multiplier((a[i] - p.a_zero_point) * (1 << MJ_ADD_LEFT_SHIFT),
                                                                  p.a_multiplier, p.a_shift);
            const int32_t y = mj_multiply_by_quantized_multiplier((b[i] - p.b_zero_point) * (1 << MJ_ADD_LEFT_SHIFT),
                                                                  p.b_multiplier, p.b_shift);
            const int32_t sum =
                mj_multiply_by_quantized_multiplier(x + p.b_sign * y, p.output_multiplier, p.output_shift);
            *output++ = (int8_t)mj_clamp(sum + p.output_zero_point, p.output_low, p.output_high);
        }
        a += p.a_step;
        b += p.b_step;
        output += p.output_pixel - p.channels;
    }
}

struct mj_multiply {
    int32_t positions, channels, a_step, b_step, output_pixel;
    int32_t a_zero_point, b_zero_point, output_zero_point, output_low, output_high;
    int32_t multiplier, shift;
};

MJ_INLINE void mj_multiply(struct mj_multiply p, const int8_t *a, const int8_t *b, int8_t *output)
{
    if (p.a_step == p.channels && p.b_step == p.channels && p.output_pixel == p.channels) {
        p.channels *= p.positions; /* one run */
        p.positions = 1;
    }
    for (int32_t position = 0; position < p.positions; position++) {
        for (int32_t i = 0; i < p.channels; i++) {
            const int32_t product = (a[i] - p.a_zero_point) * (b[i] - p.b_zero_point);
            const int32_t scaled = mj_multiply_by_quantized_multiplier(product, p.multiplier, p.shift);
            *output++ = (int8_t)mj_clamp(scaled + p.output_zero_point, p.output_low, p.output_high);
        }
        a += p.a_step;
        b += p.b_step;
        output += p.output_pixel - p.channels;
    }
}

#endif
