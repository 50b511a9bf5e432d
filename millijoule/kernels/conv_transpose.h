/* The transpose of an int8 convolution, portable. Maps are (height, width, channels).
 *
 * input_pixel, output_pixel: as in conv.h. */
#ifndef MJ_CONV_TRANSPOSE_H
#define MJ_CONV_TRANSPOSE_H

#include <stddef.h>

#include "fixedpoint.h"

struct mj_conv_transpose2d {
    int32_t input_height, input_width, input_channels;
    int32_t output_height, output_width, output_channels;
    int32_t kernel_height, kernel_width, stride_height, stride_width, dilation_height, dilation_width;
    int32_t padding_top, padding_left;
    int32_t groups, input_pixel, output_pixel;
    int32_t input_zero_point, weight_zero_point, output_zero_point, output_low, output_high;
};

/* The input row, or column, whose kernel row k lies on output row `out`; -1: none. */
MJ_INLINE int32_t mj_spread_from(int32_t out, int32_t k, int32_t stride, int32_t dilation, int32_t padding,
                                 int32_t size)
{
    const int32_t spread = out + padding - k * dilation;
    return spread >= 0 && spread % stride == 0 && spread / stride < size ? spread / stride : -1;
}

/* rows: the input row whose kernel row ky lies on this row of the output, NULL where there is none.
 * weight: (output_channels, kernel_height, kernel_width, input_channels / groups). */
MJ_INLINE void mj_conv_transpose2d_row(const struct mj_conv_transpose2d p, const int8_t *const *rows,
                                       const int8_t *weight, const int32_t *bias, const int32_t *multiplier,
                                       const int8_t *shift, int8_t *output)
{
    const int32_t group_inputs = p.input_channels / p.groups;
    const int32_t group_outputs = p.output_channels / p.groups;

    for (int32_t out_x = 0; out_x < p.output_width; out_x++, output += p.output_pixel - p.output_channels)
        for (int32_t channel = 0; channel < p.output_channels; channel++) {
            const int32_t first_input = channel / group_outputs * group_inputs;
            int32_t sum = bias[channel];
            for (int32_t kx = 0; kx < p.kernel_width; kx++) {
                const int32_t in_x =
                    mj_spread_from(out_x, kx, p.stride_width, p.dilation_width, p.padding_left, p.input_width);
                for (int32_t ky = 0; in_x >= 0 && ky < p.kernel_height; ky++) {
                    if (rows[ky] == NULL)
                        continue;
                    const int8_t *x = rows[ky] + in_x * p.input_pixel + first_input;
                    const int8_t *w = weight + ((channel * p.kernel_height + ky) * p.kernel_width + kx) * group_inputs;
                    for (int32_t i = 0; i < group_inputs; i++)
                        sum = mj_wrapping_add(sum, (x[i] - p.input_zero_point) * (w[i] - p.weight_zero_point));
                }
            }
            sum = mj_multiply_by_quantized_multiplier(sum, multiplier[channel], shift[channel]);
            *output++ = (int8_t)mj_clamp(sum + p.output_zero_point, p.output_low, p.output_high);
        }
}

MJ_INLINE void mj_conv_transpose2d(const struct mj_conv_transpose2d p, const int8_t *input, const int8_t *weight,
                                   const int32_t *bias, const int32_t *multiplier, const int8_t *shift,
                                   int8_t *output)
{
    const int8_t *rows[p.kernel_height];
    for (int32_t out_y = 0; out_y < p.output_height; out_y++) {
        for (int32_t ky = 0; ky < p.kernel_height; ky++) {
            const int32_t in_y =
                mj_spread_from(out_y, ky, p.stride_height, p.dilation_height, p.padding_top, p.input_height);
            rows[ky] = in_y >= 0 ? input + in_y * p.input_width * p.input_pixel : NULL;
        }
        mj_conv_transpose2d_row(p, rows, weight, bias, multiplier, shift, output);
        output += p.output_width * p.output_pixel;
    }
}

#endif
