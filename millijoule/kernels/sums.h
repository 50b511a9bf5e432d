/* Operators that read their input once, one row after the other, and keep int32 sums of it. Portable.
 *
 * `row` counts from 0; the first row starts the sums, the last one gives the output.
 */
#ifndef MJ_SUMS_H
#define MJ_SUMS_H

#include "fixedpoint.h"

/* A row of (width, channels) added to the sums of its channels, which start from `start`. */
MJ_INLINE void mj_add_channels(const int8_t *input, int32_t width, int32_t channels, int32_t start, int32_t row,
                               int32_t *sums)
{
    for (int32_t channel = 0; channel < channels; channel++) {
        int32_t sum = row == 0 ? start : sums[channel];
        for (int32_t x = 0; x < width; x++)
            sum += input[x * channels + channel];
        sums[channel] = sum;
    }
}

struct mj_global_average_pool_sums {
    int32_t height, width, channels;
    int32_t input_zero_point, output_zero_point, multiplier, shift;
};

MJ_INLINE void mj_global_average_pool_sums(const struct mj_global_average_pool_sums p, const int8_t *input, int32_t row,
                                           int32_t *sums, int8_t *output)
{
    mj_add_channels(input, p.width, p.channels, -p.input_zero_point * p.height * p.width, row, sums);
    if (row < p.height - 1)
        return;
    for (int32_t channel = 0; channel < p.channels; channel++) {
        const int32_t mean = mj_multiply_by_quantized_multiplier(sums[channel], p.multiplier, p.shift);
        output[channel] = (int8_t)mj_clamp(mean + p.output_zero_point, INT8_MIN, INT8_MAX);
    }
}

struct mj_average_pool2d_sums {
    int32_t height, width, channels;
    int32_t output_low, output_high;
};

/* One window over the whole map. */
MJ_INLINE void mj_average_pool2d_sums(const struct mj_average_pool2d_sums p, const int8_t *input, int32_t row,
                                      int32_t *sums, int8_t *output)
{
    const int32_t count = p.height * p.width;
    mj_add_channels(input, p.width, p.channels, 0, row, sums);
    if (row < p.height - 1)
        return;
    for (int32_t channel = 0; channel < p.channels; channel++) {
        /* Rounded to nearest, ties away from zero. */
        const int32_t sum = sums[channel], mean = (sum > 0 ? sum + count / 2 : sum - count / 2) / count;
        output[channel] = (int8_t)mj_clamp(mean, p.output_low, p.output_high);
    }
}

struct mj_dense_sums {
    int32_t rows, inputs, outputs;
    int32_t input_zero_point, weight_zero_point, output_zero_point, output_low, output_high;
};

/* inputs: of one row. weight: (outputs, rows, inputs). */
MJ_INLINE void mj_dense_sums(const struct mj_dense_sums p, const int8_t *input, const int8_t *weight,
                             const int32_t *bias, const int32_t *multiplier, const int8_t *shift, int32_t row,
                             int32_t *sums, int8_t *output)
{
    weight += row * p.inputs;
    for (int32_t out = 0; out < p.outputs; out++) {
        int32_t sum = row == 0 ? bias[out] : sums[out];
        for (int32_t i = 0; i < p.inputs; i++)
            sum = mj_wrapping_add(sum, (input[i] - p.input_zero_point) * (weight[i] - p.weight_zero_point));
        weight += p.rows * p.inputs;
        sums[out] = sum;
    }
    if (row < p.rows - 1)
        return;
    for (int32_t out = 0; out < p.outputs; out++) {
        const int32_t scaled = mj_multiply_by_quantized_multiplier(sums[out], multiplier[out], shift[out]);
        output[out] = (int8_t)mj_clamp(scaled + p.output_zero_point, p.output_low, p.output_high);
    }
}

#endif
