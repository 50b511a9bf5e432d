/* int8 convolutions for the dual 16-bit multiplications: four pixels by two output channels at a time.
 *
 * The window of each pixel is widened into `scratch`, four pixels side by side; nothing else is copied. `…_row` as in the
 * portable conv.h.
 */
#ifndef MJ_DSP_CONV_H
#define MJ_DSP_CONV_H

#include "../window.h"
#include "block.h"

/* quads: fours of weights of one output channel, the last of them filled up with zeros, in a multiple of `unroll`.
 * by_line: whether channels are requantized by lines. pixels: how many are widened side by side, four or, for less
 * working memory, one. wide: whether weights are int16, see block.h. input_pixel, output_pixel: as in the portable conv.h. */
struct mj_dsp_conv2d {
    int32_t input_height, input_width, input_channels;
    int32_t output_height, output_width, output_channels;
    int32_t kernel_height, kernel_width, stride_height, stride_width, dilation_height, dilation_width;
    int32_t padding_top, padding_left;
    int32_t groups, quads, unroll, by_line, pixels, wide, input_pixel, output_pixel;
    int32_t input_zero_point, output_low, output_high;
};

/* The bytes under a window: row y of `run` bytes begins at rows[y] + offset, or, if rows is NULL, at copy + y * run. */
struct mj_dsp_window {
    const int8_t *const *rows;
    const int8_t *copy;
    int32_t offset, height, run;
};

MJ_INLINE const int8_t *mj_dsp_window_row(const struct mj_dsp_window window, int32_t y)
{
    return window.rows != NULL ? window.rows[y] + window.offset : window.copy + y * window.run;
}

/* Byte i, from the lowest bits on, of what is left of each row when its fours are taken; 0 behind the last. */
MJ_INLINE uint32_t mj_dsp_left_over(const struct mj_dsp_window window, int32_t i)
{
    const int32_t rest = window.run % 4;
    if (i >= rest * window.height)
        return 0;
    return (uint8_t)mj_dsp_window_row(window, i / rest)[window.run - rest + i % rest];
}

/* A window widened for a block of `pixels`: of each row as many fours as there are, then what is left of all rows, by
 * fours; what the last four lack is multiplied by zero. */
MJ_INLINE void mj_dsp_widen_window(const struct mj_dsp_window window, int32_t pixels, int32_t wide, uint32_t *to)
{
#pragma GCC unroll 3
    for (int32_t y = 0; y < window.height; y++)
        to = mj_dsp_widen_run(mj_dsp_window_row(window, y), to, window.run / 4, pixels, wide);
    for (int32_t i = 0; i < window.run % 4 * window.height; i += 4) {
        const uint32_t low = mj_dsp_left_over(window, i) | mj_dsp_left_over(window, i + 1) << 8;
        const uint32_t high = mj_dsp_left_over(window, i + 2) | mj_dsp_left_over(window, i + 3) << 8;
        mj_dsp_widen(low | high << 16, to, pixels, wide);
        to += 2 * pixels;
    }
}

/* The window of output column out_x, from input channel first_input on, widened for a block of `pixels`. Where it is not
 * runs of input rows that lie whole inside the map, it is copied into `patch`. complete: no row is NULL. */
MJ_INLINE void mj_dsp_gather(const struct mj_dsp_conv2d p, const int8_t *const *rows, int32_t complete, int32_t out_x,
                             int32_t first_input, int32_t pixels, int8_t *patch, uint32_t *to)
{
    const int32_t inputs = p.input_channels / p.groups;
    const int32_t first_x = out_x * p.stride_width - p.padding_left;
    struct mj_dsp_window window = {
        rows, patch, first_x * p.input_pixel, p.kernel_height, p.kernel_width * inputs,
    };
    /* A constant: then there is no patch. */
    const int32_t pads_nothing =
        p.padding_top + p.padding_left == 0 && (p.output_width - 1) * p.stride_width + p.kernel_width <= p.input_width &&
        (p.output_height - 1) * p.stride_height + (p.kernel_height - 1) * p.dilation_height < p.input_height;
    const int32_t inside = complete && first_x >= 0 && first_x + p.kernel_width <= p.input_width;
    const int32_t is_run = p.dilation_width == 1 && (p.kernel_width == 1 || p.input_pixel == p.input_channels);
    if (p.groups == 1 && is_run && (pads_nothing || inside)) {
        mj_dsp_widen_window(window, pixels, p.wide, to);
        return;
    }
    int8_t *at = patch;
    for (int32_t ky = 0; ky < p.kernel_height; ky++) {
        for (int32_t kx = 0; kx < p.kernel_width; kx++) {
            const int32_t in_x = first_x + kx * p.dilation_width;
            if (rows[ky] != NULL && in_x >= 0 && in_x < p.input_width)
                memcpy(at, rows[ky] + in_x * p.input_pixel + first_input, (size_t)inputs);
            else
                memset(at, p.input_zero_point, (size_t)inputs);
            at += inputs;
        }
    }
    window.rows = NULL;
    mj_dsp_widen_window(window, pixels, p.wide, to);
}

/* stream: of each group as in struct mj_dsp_block, channels filled up to two. scratch: for each pixel 8 bytes for each
 * quad, then a window of a group, unless every window lies whole inside its rows. */
MJ_INLINE void mj_dsp_conv2d_row(const struct mj_dsp_conv2d p, const int8_t *const *rows, const int32_t *stream,
                                 int8_t *scratch, int8_t *output)
{
    uint32_t *columns = (uint32_t *)(void *)scratch;
    int8_t *patch = scratch + p.quads * 8 * p.pixels;
    const int32_t channels = p.output_channels / p.groups;
    int32_t complete = 1;
    for (int32_t ky = 0; ky < p.kernel_height; ky++)
        complete = complete && rows[ky] != NULL;
    for (int32_t group = 0; group < p.groups; group++) {
        const int32_t first_input = p.input_channels / p.groups * group;
        const int32_t words = (channels + 1) / 2 * (2 + p.quads * (p.wide ? 4 : 2) + (p.by_line ? 4 : 6));
        struct mj_dsp_block block = {
            .columns = columns,
            .columns_end = columns + p.quads * 2 * p.pixels,
            .stride = p.output_pixel,
            .stream = (const uint32_t *)stream + group * words,
            .channels = channels,
        };
        int8_t *to = output + group * channels;
        int32_t x = 0;
        for (; p.pixels == 4 && x <= p.output_width - 4; x += 4) {
            for (int32_t pixel = 0; pixel < 4; pixel++)
                mj_dsp_gather(p, rows, complete, x + pixel, first_input, 4, patch, columns + pixel);
            block.output = to;
            mj_dsp_block(4, p.unroll, p.by_line, p.wide, &block);
            to += 4 * p.output_pixel;
        }
        block.columns_end = columns + p.quads * 2;
        for (; x < p.output_width; x++) {
            mj_dsp_gather(p, rows, complete, x, first_input, 1, patch, columns);
            block.output = to;
            mj_dsp_block(1, p.unroll, p.by_line, p.wide, &block);
            to += p.output_pixel;
        }
    }
    mj_dsp_clamp_pixels(output, p.output_width, p.output_pixel, p.output_channels, p.output_low, p.output_high);
}

MJ_INLINE void mj_dsp_conv2d(struct mj_dsp_conv2d p, const int8_t *input, const int32_t *stream, int8_t *scratch,
                             int8_t *output)
{
    if (p.kernel_height * p.kernel_width * p.stride_height * p.stride_width == 1 && p.padding_top == 0 &&
        p.padding_left == 0 && p.output_height == p.input_height && p.output_width == p.input_width) {
        /* Pixel by pixel: the whole map is one long row. */
        p.output_width *= p.output_height;
        p.input_width *= p.input_height;
        p.output_height = p.input_height = 1;
    }
    const int8_t *rows[p.kernel_height];
    for (int32_t out_y = 0; out_y < p.output_height; out_y++) {
        mj_window_rows(rows, input, p.input_width * p.input_pixel, out_y, p.stride_height, p.padding_top,
                       p.kernel_height, p.dilation_height, p.input_height);
        mj_dsp_conv2d_row(p, rows, stream, scratch, output);
        output += p.output_width * p.output_pixel;
    }
}

#endif
