/* int8 functions of one number by table, PReLU and softmax, portable. The output may lie over the input.
 *
 * input_pixel, output_pixel: as in conv.h. */
#ifndef MJ_ACTIVATION_H
#define MJ_ACTIVATION_H

#include "fixedpoint.h"

struct mj_look_up {
    int32_t positions, channels, input_pixel, output_pixel;
};

/* table: the output for each input from -128 to 127. */
MJ_INLINE void mj_look_up(struct mj_look_up p, const int8_t *input, const int8_t *table, int8_t *output)
{
    if (p.input_pixel == p.channels && p.output_pixel == p.channels) {
        p.channels *= p.positions; /* one run */
        p.positions = 1;
    }
    for (int32_t position = 0; position < p.positions; position++, input += p.input_pixel, output += p.output_pixel)
        for (int32_t i = 0; i < p.channels; i++)
            output[i] = table[input[i] + 128];
}

struct mj_prelu {
    int32_t positions, channels, input_pixel, output_pixel;
    int32_t input_zero_point, slope_zero_point, output_zero_point;
    int32_t positive_multiplier, positive_shift, negative_multiplier, negative_shift;
};

/* slope: (channels). */
MJ_INLINE void mj_prelu(const struct mj_prelu p, const int8_t *input, const int8_t *slope, int8_t *output)
{
    for (int32_t position = 0; position < p.positions; position++) {
        for (int32_t channel = 0; channel < p.channels; channel++) {
            const int32_t x = *input++ - p.input_zero_point;
            const int32_t scaled =
                x >= 0 ? mj_multiply_by_quantized_multiplier(x, p.positive_multiplier, p.positive_shift)
                       : mj_multiply_by_quantized_multiplier(x * (slope[channel] - p.slope_zero_point),
                                                             p.negative_multiplier, p.negative_shift);
            *output++ = (int8_t)mj_clamp(scaled + p.output_zero_point, INT8_MIN, INT8_MAX);
        }
        input += p.input_pixel - p.channels;
        output += p.output_pixel - p.channels;
    }
}

/* x * 2^exponent, saturated. */
MJ_INLINE int32_t mj_saturating_shift_left(int32_t x, int32_t exponent)
{
    const int32_t limit = INT32_MAX >> exponent;
    return x > limit ? INT32_MAX : x < -limit - 1 ? INT32_MIN : (int32_t)((uint32_t)x << exponent);
}

/* 1 / (1 + x) for x in [0, 1], both Q0.31, by Newton's method. */
MJ_INLINE int32_t mj_one_over_one_plus_x(int32_t x)
{
    const int32_t half_denominator = (int32_t)(((int64_t)x + INT32_MAX + 1) / 2);
    int32_t y = 1515870810 + mj_saturating_rounding_doubling_high_mul(half_denominator, -1010580540);
    for (int32_t step = 0; step < 3; step++) {
        const int32_t product = mj_saturating_rounding_doubling_high_mul(half_denominator, y);
        const int32_t correction = mj_saturating_rounding_doubling_high_mul(y, (1 << 29) - product);
        y += mj_saturating_shift_left(correction, 2);
    }
    return mj_saturating_shift_left(y, 1);
}

struct mj_softmax {
    int32_t rows, classes;
};

/* exponentials: exp(-difference) in Q0.31 for differences of 0 to 255 steps. */
MJ_INLINE void mj_softmax(const struct mj_softmax p, const int8_t *input, const int32_t *exponentials, int8_t *output)
{
    for (int32_t row = 0; row < p.rows; row++) {
        int32_t largest = INT8_MIN;
        for (int32_t i = 0; i < p.classes; i++)
            largest = input[i] > largest ? input[i] : largest;
        int32_t sum = 0; /* Q12.19 */
        for (int32_t i = 0; i < p.classes; i++)
            sum += mj_rounding_divide_by_pot(exponentials[largest - input[i]], 12);
        int32_t leading_zeros = 0;
        while (((uint32_t)sum << leading_zeros) < 0x80000000u)
            leading_zeros++;
        const int32_t fraction = (int32_t)(((uint32_t)sum << leading_zeros) - 0x80000000u);
        const int32_t reciprocal = mj_one_over_one_plus_x(fraction);
        const int32_t exponent = 12 - leading_zeros + 23;
        for (int32_t i = 0; i < p.classes; i++) {
            const int32_t product =
                mj_saturating_rounding_doubling_high_mul(reciprocal, exponentials[largest - input[i]]);
            output[i] = (int8_t)mj_clamp(mj_rounding_divide_by_pot(product, exponent) - 128, INT8_MIN, INT8_MAX);
        }
        input += p.classes;
        output += p.classes;
    }
}

#endif
