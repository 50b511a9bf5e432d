/* int8 convolutions, portable. Maps are (height, width, channels); every parameter is a constant at the call.
 *
 * input_pixel, output_pixel: bytes from one pixel to the next, more than its channels where it is a part of larger ones.
 *
 * `…_row` computes one row of the output. rows: the input row under each row of the kernel, NULL where it lies outside
 * the map; they need not be neighbours in memory.
 */
#ifndef MJ_CONV_H
#define MJ_CONV_H

#include "fixedpoint.h"
#include "window.h"

struct mj_conv2d {
    int32_t input_height, input_width, input_channels;
    int32_t output_height, output_width, output_channels;
    int32_t kernel_height, kernel_width, stride_height, stride_width, dilation_height, dilation_width;
    int32_t padding_top, padding_left;
    int32_t groups, input_pixel, output_pixel;
    int32_t input_zero_point, weight_zero_point, output_zero_point, output_low, output_high;
};

/* weight: (output_channels, kernel_height, kernel_width, input_channels / groups). */
MJ_INLINE void mj_conv2d_row(const struct mj_conv2d p, const int8_t *const *rows, const int8_t *weight,
                             const int32_t *bias, const int32_t *multiplier, const int8_t *shift, int8_t *output)
{
    const int32_t group_inputs = p.input_channels / p.groups;
    const int32_t group_outputs = p.output_channels / p.groups;
    /* Where the kernel's columns touch each other in memory, a kernel row is one run of bytes. */
    const int32_t row_is_run = p.groups == 1 && p.dilation_width == 1 && p.input_pixel == p.input_channels;

    for (int32_t out_x = 0; out_x < p.output_width; out_x++, output += p.output_pixel - p.output_channels) {
        const struct mj_span columns =
            mj_window(out_x, p.stride_width, p.padding_left, p.kernel_width, p.dilation_width, p.input_width);
        for (int32_t channel = 0; channel < p.output_channels; channel++) {
            const int32_t first_input = channel / group_outputs * group_inputs;
            int32_t sum = bias[channel];
            for (int32_t ky = 0; ky < p.kernel_height; ky++) {
                if (rows[ky] == NULL)
                    continue;
                const int32_t runs = row_is_run ? 1 : columns.end - columns.begin;
                const int32_t length = row_is_run ? (columns.end - columns.begin) * group_inputs : group_inputs;
                for (int32_t run = 0; run < runs; run++) {
                    const int32_t kx = columns.begin + run;
                    const int32_t in_x = columns.origin + kx * p.dilation_width;
                    const int8_t *x = rows[ky] + in_x * p.input_pixel + first_input;
                    const int8_t *w = weight + ((channel * p.kernel_height + ky) * p.kernel_width + kx) * group_inputs;
                    for (int32_t i = 0; i < length; i++)
                        sum = mj_wrapping_add(sum, (x[i] - p.input_zero_point) * (w[i] - p.weight_zero_point));
                }
            }
            sum = mj_multiply_by_quantized_multiplier(sum, multiplier[channel], shift[channel]);
            *output++ = (int8_t)mj_clamp(sum + p.output_zero_point, p.output_low, p.output_high);
        }
    }
}

MJ_INLINE void mj_conv2d(const struct mj_conv2d p, const int8_t *input, const int8_t *weight, const int32_t *bias,
                         const int32_t *multiplier, const int8_t *shift, int8_t *output)
{
    const int8_t *rows[p.kernel_height];
    for (int32_t out_y = 0; out_y < p.output_height; out_y++) {
        mj_window_rows(rows, input, p.input_width * p.input_pixel, out_y, p.stride_height, p.padding_top,
                       p.kernel_height, p.dilation_height, p.input_height);
        mj_conv2d_row(p, rows, weight, bias, multiplier, shift, output);
        output += p.output_width * p.output_pixel;
    }
}

struct mj_depthwise_conv2d {
    int32_t input_height, input_width, channels;
    int32_t output_height, output_width;
    int32_t kernel_height, kernel_width, stride_height, stride_width, dilation_height, dilation_width;
    int32_t padding_top, padding_left;
    int32_t input_pixel, output_pixel;
    int32_t input_zero_point, weight_zero_point, output_zero_point, output_low, output_high;
};

/* One input channel for each output channel. weight: (kernel_height, kernel_width, channels). */
MJ_INLINE void mj_depthwise_conv2d_row(const struct mj_depthwise_conv2d p, const int8_t *const *rows,
                                       const int8_t *weight, const int32_t *bias, const int32_t *multiplier,
                                       const int8_t *shift, int8_t *output)
{
    for (int32_t out_x = 0; out_x < p.output_width; out_x++, output += p.output_pixel - p.channels) {
        const struct mj_span columns =
            mj_window(out_x, p.stride_width, p.padding_left, p.kernel_width, p.dilation_width, p.input_width);
        const int32_t first_x = columns.origin + columns.begin * p.dilation_width;
        for (int32_t channel = 0; channel < p.channels; channel++) {
            int32_t sum = bias[channel];
            for (int32_t ky = 0; ky < p.kernel_height; ky++) {
                if (rows[ky] == NULL)
                    continue;
                const int8_t *x = rows[ky] + first_x * p.input_pixel + channel;
                const int8_t *w = weight + (ky * p.kernel_width + columns.begin) * p.channels + channel;
                for (int32_t kx = columns.begin; kx < columns.end; kx++) {
                    sum = mj_wrapping_add(sum, (*x - p.input_zero_point) * (*w - p.weight_zero_point));
                    x += p.dilation_width * p.input_pixel;
                    w += p.channels;
                }
            }
            sum = mj_multiply_by_quantized_multiplier(sum, multiplier[channel], shift[channel]);
            *output++ = (int8_t)mj_clamp(sum + p.output_zero_point, p.output_low, p.output_high);
        }
    }
}

MJ_INLINE void mj_depthwise_conv2d(const struct mj_depthwise_conv2d p, const int8_t *input, const int8_t *weight,
                                   const int32_t *bias, const int32_t *multiplier, const int8_t *shift,
                                   int8_t *output)
{
    const int8_t *rows[p.kernel_height];
    for (int32_t out_y = 0; out_y < p.output_height; out_y++) {
        mj_window_rows(rows, input, p.input_width * p.input_pixel, out_y, p.stride_height, p.padding_top,
                       p.kernel_height, p.dilation_height, p.input_height);
        mj_depthwise_conv2d_row(p, rows, weight, bias, multiplier, shift, output);
        output += p.output_width * p.output_pixel;
    }
}

#endif
