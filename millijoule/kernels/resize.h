/* int8 maps at another height and width, portable. Maps are (height, width, channels).
 *
 * input_pixel, output_pixel: as in conv.h. */
#ifndef MJ_RESIZE_H
#define MJ_RESIZE_H

#include "fixedpoint.h"
#include "memory.h"

struct mj_resize_nearest {
    int32_t input_width, output_height, output_width, channels, input_pixel, output_pixel;
};

/* rows, columns: which of the input each one of the output shows. */
MJ_INLINE void mj_resize_nearest(const struct mj_resize_nearest p, const int8_t *input, const int32_t *rows,
                                 const int32_t *columns, int8_t *output)
{
    for (int32_t out_y = 0; out_y < p.output_height; out_y++)
        for (int32_t out_x = 0; out_x < p.output_width; out_x++) {
            memcpy(output, input + (rows[out_y] * p.input_width + columns[out_x]) * p.input_pixel, (size_t)p.channels);
            output += p.output_pixel;
        }
}

#define MJ_POSITION_BITS 10

/* The rows, or columns, around a position in 1024ths of one; weight: of the upper one, in 1024ths. */
struct mj_between {
    int32_t lower, upper, weight;
};

MJ_INLINE struct mj_between mj_between(int32_t position, int32_t size)
{
    const int32_t inside = mj_clamp(position, 0, (size - 1) << MJ_POSITION_BITS);
    const int32_t lower = inside >> MJ_POSITION_BITS;
    const struct mj_between between = {lower, lower + 1 < size ? lower + 1 : lower,
                                       inside & ((1 << MJ_POSITION_BITS) - 1)};
    return between;
}

/* Output row i looks at position i * height_step + height_start of the input, in 1024ths of a row; so do columns. */
struct mj_resize_bilinear {
    int32_t input_height, input_width, output_height, output_width, channels, input_pixel, output_pixel;
    int32_t height_step, height_start, width_step, width_start;
};

MJ_INLINE void mj_resize_bilinear(const struct mj_resize_bilinear p, const int8_t *input, int8_t *output)
{
    const int32_t unit = 1 << MJ_POSITION_BITS;
    const int32_t half = unit * unit / 2;

    for (int32_t out_y = 0; out_y < p.output_height; out_y++) {
        const struct mj_between y = mj_between(out_y * p.height_step + p.height_start, p.input_height);
        const int8_t *above = input + y.lower * p.input_width * p.input_pixel;
        const int8_t *below = input + y.upper * p.input_width * p.input_pixel;
        for (int32_t out_x = 0; out_x < p.output_width; out_x++) {
            const struct mj_between x = mj_between(out_x * p.width_step + p.width_start, p.input_width);
            const int32_t left = x.lower * p.input_pixel, right = x.upper * p.input_pixel;
            for (int32_t channel = 0; channel < p.channels; channel++) {
                const int32_t a = above[left + channel] * (unit - x.weight) + above[right + channel] * x.weight;
                const int32_t b = below[left + channel] * (unit - x.weight) + below[right + channel] * x.weight;
                const int32_t sum = a * (unit - y.weight) + b * y.weight;
                /* Rounded to nearest, ties away from zero. */
                *output++ = (int8_t)((sum > 0 ? sum + half : sum - half) / (unit * unit));
            }
            output += p.output_pixel - p.channels;
        }
    }
}

#endif
