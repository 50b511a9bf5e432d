/* int8 pooling by vectors of channels. Maps are (height, width, channels). `…_row` and `…_pixel`:
 * as in the portable conv.h. */
#ifndef MJ_MVE_POOL_H
#define MJ_MVE_POOL_H

#include "../window.h"
#include "instructions.h"

struct mj_mve_max_pool2d {
    int32_t input_height, input_width, channels;
    int32_t output_height, output_width;
    int32_t kernel_height, kernel_width, stride_height, stride_width;
    int32_t padding_top, padding_left, input_pixel, output_pixel;
    int32_t output_low, output_high;
};

MJ_INLINE void mj_mve_max_pool2d_row(const struct mj_mve_max_pool2d p, const int8_t *const *rows, int8_t *output)
{
    for (int32_t out_x = 0; out_x < p.output_width; out_x++, output += p.output_pixel) {
        const struct mj_span columns =
            mj_window(out_x, p.stride_width, p.padding_left, p.kernel_width, 1, p.input_width);
        const int32_t first = (columns.origin + columns.begin) * p.input_pixel;
        for (int32_t channel = 0; channel < p.channels; channel += 16) {
#if MJ_MVE
            const mve_pred16_t inside = vctp8q((uint32_t)mj_mve_lanes(p.channels - channel));
            int8x16_t largest = vdupq_n_s8((int8_t)p.output_low);
#else
            const int32_t count = p.channels - channel < 16 ? p.channels - channel : 16;
            int8_t largest[16];
            memset(largest, p.output_low, sizeof largest);
#endif
            for (int32_t ky = 0; ky < p.kernel_height; ky++) {
                if (rows[ky] == NULL)
                    continue;
                const int8_t *x = rows[ky] + first + channel;
                for (int32_t kx = columns.begin; kx < columns.end; kx++, x += p.input_pixel) {
#if MJ_MVE
                    largest = vmaxq_s8(largest, vldrbq_z_s8(x, inside));
#else
                    for (int32_t i = 0; i < count; i++)
                        largest[i] = x[i] > largest[i] ? x[i] : largest[i];
#endif
                }
            }
#if MJ_MVE
            vstrbq_p_s8(output + channel, vminq_s8(largest, vdupq_n_s8((int8_t)p.output_high)), inside);
#else
            for (int32_t i = 0; i < count; i++)
                output[channel + i] = (int8_t)(largest[i] < p.output_high ? largest[i] : p.output_high);
#endif
        }
    }
}

MJ_INLINE void mj_mve_max_pool2d(const struct mj_mve_max_pool2d p, const int8_t *input, int8_t *output)
{
    const int8_t *rows[p.kernel_height];
    for (int32_t out_y = 0; out_y < p.output_height; out_y++) {
        mj_window_rows(rows, input, p.input_width * p.input_pixel, out_y, p.stride_height, p.padding_top,
                       p.kernel_height, 1, p.input_height);
        mj_mve_max_pool2d_row(p, rows, output);
        output += p.output_width * p.output_pixel;
    }
}

/* Means of windows that read no padding: the sum from `start` on, times 2^left, is rescaled by multiplier and shift. */
struct mj_mve_average_pool2d {
    int32_t input_height, input_width, channels;
    int32_t output_height, output_width;
    int32_t kernel_height, kernel_width, stride_height, stride_width;
    int32_t start, left, multiplier, shift, ties_away, input_pixel, output_pixel;
    int32_t output_zero_point, output_low, output_high;
};

MJ_INLINE void mj_mve_average_pool2d_row(const struct mj_mve_average_pool2d p, const int8_t *const *rows,
                                         int8_t *output)
{
    for (int32_t out_x = 0; out_x < p.output_width; out_x++, output += p.output_pixel)
        for (int32_t channel = 0; channel < p.channels; channel += 4) {
            const int32_t first = out_x * p.stride_width * p.input_pixel + channel;
#if MJ_MVE
            const mve_pred16_t inside = vctp32q((uint32_t)mj_mve_lanes(p.channels - channel));
            int32x4_t sum = vdupq_n_s32(p.start);
            for (int32_t ky = 0; ky < p.kernel_height; ky++) {
                const int8_t *x = rows[ky] + first;
                for (int32_t kx = 0; kx < p.kernel_width; kx++, x += p.input_pixel)
                    sum = vaddq_s32(sum, vldrbq_z_s32(x, inside));
            }
            sum = vshlq_r_s32(sum, p.left);
            sum = mj_mve_rescale_n(sum, p.multiplier, p.shift, p.ties_away);
            sum = vaddq_n_s32(sum, p.output_zero_point);
            sum = vminq_s32(vmaxq_s32(sum, vdupq_n_s32(p.output_low)), vdupq_n_s32(p.output_high));
            vstrbq_p_s32(output + channel, sum, inside);
#else
            for (int32_t i = 0; i < 4 && channel + i < p.channels; i++) {
                int32_t sum = p.start;
                for (int32_t ky = 0; ky < p.kernel_height; ky++)
                    for (int32_t kx = 0; kx < p.kernel_width; kx++)
                        sum += rows[ky][first + kx * p.input_pixel + i];
                sum = mj_multiply_by_quantized_multiplier(sum * (1 << p.left), p.multiplier, p.shift);
                output[channel + i] = (int8_t)mj_clamp(sum + p.output_zero_point, p.output_low, p.output_high);
            }
#endif
        }
}

MJ_INLINE void mj_mve_average_pool2d(const struct mj_mve_average_pool2d p, const int8_t *input, int8_t *output)
{
    const int8_t *rows[p.kernel_height];
    for (int32_t out_y = 0; out_y < p.output_height; out_y++) {
        mj_window_rows(rows, input, p.input_width * p.input_pixel, out_y, p.stride_height, 0, p.kernel_height, 1,
                       p.input_height);
        mj_mve_average_pool2d_row(p, rows, output);
        output += p.output_width * p.output_pixel;
    }
}

#endif
