/* int8 pooling, portable. Maps are (height, width, channels); windows read no padding. `…_row` and `…_pixel`:
 * as in conv.h. */
#ifndef MJ_POOL_H
#define MJ_POOL_H

#include "fixedpoint.h"
#include "window.h"

struct mj_max_pool2d {
    int32_t input_height, input_width, channels;
    int32_t output_height, output_width;
    int32_t kernel_height, kernel_width, stride_height, stride_width;
    int32_t padding_top, padding_left;
    int32_t input_pixel, output_pixel;
    int32_t output_low, output_high;
};

MJ_INLINE void mj_max_pool2d_row(const struct mj_max_pool2d p, const int8_t *const *rows, int8_t *output)
{
    for (int32_t out_x = 0; out_x < p.output_width; out_x++, output += p.output_pixel - p.channels) {
        const struct mj_span columns =
            mj_window(out_x, p.stride_width, p.padding_left, p.kernel_width, 1, p.input_width);
        for (int32_t channel = 0; channel < p.channels; channel++) {
            int32_t largest = INT8_MIN;
            for (int32_t ky = 0; ky < p.kernel_height; ky++) {
                if (rows[ky] == NULL)
                    continue;
                for (int32_t x = columns.origin + columns.begin; x < columns.origin + columns.end; x++) {
                    const int32_t value = rows[ky][x * p.input_pixel + channel];
                    largest = value > largest ? value : largest;
                }
            }
            *output++ = (int8_t)mj_clamp(largest, p.output_low, p.output_high);
        }
    }
}

MJ_INLINE void mj_max_pool2d(const struct mj_max_pool2d p, const int8_t *input, int8_t *output)
{
    const int8_t *rows[p.kernel_height];
    for (int32_t out_y = 0; out_y < p.output_height; out_y++) {
        mj_window_rows(rows, input, p.input_width * p.input_pixel, out_y, p.stride_height, p.padding_top,
                       p.kernel_height, 1, p.input_height);
        mj_max_pool2d_row(p, rows, output);
        output += p.output_width * p.output_pixel;
    }
}

struct mj_average_pool2d {
    int32_t input_height, input_width, channels;
    int32_t output_height, output_width;
    int32_t kernel_height, kernel_width, stride_height, stride_width;
    int32_t padding_top, padding_left;
    int32_t input_pixel, output_pixel;
    int32_t output_low, output_high;
};

MJ_INLINE void mj_average_pool2d_row(const struct mj_average_pool2d p, const int8_t *const *rows, int8_t *output)
{
    int32_t height = 0;
    for (int32_t ky = 0; ky < p.kernel_height; ky++)
        height += rows[ky] != NULL;
    for (int32_t out_x = 0; out_x < p.output_width; out_x++, output += p.output_pixel - p.channels) {
        const struct mj_span columns =
            mj_window(out_x, p.stride_width, p.padding_left, p.kernel_width, 1, p.input_width);
        const int32_t count = height * (columns.end - columns.begin);
        for (int32_t channel = 0; channel < p.channels; channel++) {
            int32_t sum = 0;
            for (int32_t ky = 0; ky < p.kernel_height; ky++) {
                if (rows[ky] == NULL)
                    continue;
                for (int32_t x = columns.origin + columns.begin; x < columns.origin + columns.end; x++)
                    sum += rows[ky][x * p.input_pixel + channel];
            }
            /* Rounded to nearest, ties away from zero. */
            const int32_t mean = (sum > 0 ? sum + count / 2 : sum - count / 2) / count;
            *output++ = (int8_t)mj_clamp(mean, p.output_low, p.output_high);
        }
    }
}

MJ_INLINE void mj_average_pool2d(const struct mj_average_pool2d p, const int8_t *input, int8_t *output)
{
    const int8_t *rows[p.kernel_height];
    for (int32_t out_y = 0; out_y < p.output_height; out_y++) {
        mj_window_rows(rows, input, p.input_width * p.input_pixel, out_y, p.stride_height, p.padding_top,
                       p.kernel_height, 1, p.input_height);
        mj_average_pool2d_row(p, rows, output);
        output += p.output_width * p.output_pixel;
    }
}

/* The input is (rows, positions, channels); the mean is over the positions. */
struct mj_mean {
    int32_t rows, positions, channels;
    int32_t input_zero_point, output_zero_point, multiplier, shift;
};

MJ_INLINE void mj_mean(const struct mj_mean p, const int8_t *input, int8_t *output)
{
    for (int32_t row = 0; row < p.rows; row++) {
        for (int32_t channel = 0; channel < p.channels; channel++) {
            int32_t sum = -p.input_zero_point * p.positions;
            for (int32_t position = 0; position < p.positions; position++)
                sum += input[position * p.channels + channel];
            sum = mj_multiply_by_quantized_multiplier(sum, p.multiplier, p.shift);
            *output++ = (int8_t)mj_clamp(sum + p.output_zero_point, INT8_MIN, INT8_MAX);
        }
        input += p.positions * p.channels;
    }
}

#endif
