/* int8 convolutions by vectors: three pixels by two output channels at a time.
 *
 * The window of each pixel is copied to `scratch`; a window of one pixel is read where it lies. `…_row` as in the portable
 * conv.h.
 */
#ifndef MJ_MVE_CONV_H
#define MJ_MVE_CONV_H

#include "../window.h"
#include "block.h"

/* steps: 16 inputs of a window each, the last of them filled up, in a multiple of `unroll`. input_pixel, output_pixel:
 * as in the portable conv.h. */
struct mj_mve_conv2d {
    int32_t input_height, input_width, input_channels;
    int32_t output_height, output_width, output_channels;
    int32_t kernel_height, kernel_width, stride_height, stride_width, dilation_height, dilation_width;
    int32_t padding_top, padding_left;
    int32_t groups, steps, unroll, input_pixel, output_pixel;
    int32_t input_zero_point, output_zero_point, output_low, output_high, ties_away;
};

/* The window of output column out_x, from input channel first_input on: where it lies, or its copy in `patch`.
 * end: of the memory that may be read behind a window in rows[0]. */
MJ_INLINE const int8_t *mj_mve_gather(const struct mj_mve_conv2d p, const int8_t *const *rows, const int8_t *end,
                                      int32_t out_x, int32_t first_input, int8_t *patch)
{
    const int32_t inputs = p.input_channels / p.groups;
    const struct mj_span columns =
        mj_window(out_x, p.stride_width, p.padding_left, p.kernel_width, p.dilation_width, p.input_width);
    const int32_t count = columns.end - columns.begin;
    const int32_t first = (columns.origin + columns.begin * p.dilation_width) * p.input_pixel + first_input;
    if (p.kernel_height * p.kernel_width == 1 && count == 1 && rows[0] != NULL) {
        /* What lies behind the window is multiplied by zero. */
        const int8_t *pixel = rows[0] + first;
        if (inputs % 16 == 0 || end - pixel >= 16 * p.steps)
            return pixel;
    }
    int32_t missing = count < p.kernel_width;
    for (int32_t ky = 0; ky < p.kernel_height; ky++)
        missing |= rows[ky] == NULL;
    if (missing && patch != NULL) /* NULL: no window is copied, which gcc cannot know. */
        memset(patch, p.input_zero_point, (size_t)(p.kernel_height * p.kernel_width * inputs));
    for (int32_t ky = 0; ky < p.kernel_height; ky++) {
        if (rows[ky] == NULL)
            continue;
        int8_t *to = patch + (ky * p.kernel_width + columns.begin) * inputs;
        const int8_t *from = rows[ky] + first;
        if (p.groups > 1 || p.dilation_width > 1 || p.input_pixel > p.input_channels) {
            for (int32_t kx = 0; kx < count; kx++)
                mj_mve_copy(to + kx * inputs, from + kx * p.dilation_width * p.input_pixel, inputs);
        } else if (count == p.kernel_width) {
            mj_mve_copy(to, from, p.kernel_width * inputs); /* a constant number */
        } else {
            mj_mve_copy(to, from, count * inputs);
        }
    }
    return patch;
}

/* One row of a group's outputs, in blocks that may begin in the row before: `waiting` pixels do. Returns those that wait
 * for more at its end, and moves *output behind the blocks that are done. */
MJ_INLINE int32_t mj_mve_conv2d_part(const struct mj_mve_conv2d p, struct mj_mve_block *block,
                                     const int8_t *const *rows, const int8_t *end, int32_t first_input,
                                     int32_t waiting, int8_t *scratch, int8_t **output)
{
    for (int32_t x = 0; x < p.output_width; x++) {
        int8_t *patch = scratch == NULL ? NULL : scratch + waiting * 16 * p.steps;
        block->pixel[waiting] = mj_mve_gather(p, rows, end, x, first_input, patch);
        if (++waiting == 3) {
            mj_mve_three(block, *output);
            *output += 3 * p.output_pixel;
            waiting = 0;
        }
    }
    return waiting;
}

/* The pixels that wait at the end. */
MJ_INLINE void mj_mve_conv2d_rest(const struct mj_mve_conv2d p, struct mj_mve_block *block, int32_t waiting,
                                  int8_t *output)
{
    for (int32_t pixel = 0; pixel < waiting; pixel++) {
        block->pixel[0] = block->pixel[pixel];
        mj_mve_one(block, output);
        output += p.output_pixel;
    }
}

MJ_INLINE struct mj_mve_block mj_mve_conv2d_block(const struct mj_mve_conv2d p, const int8_t *weight,
                                                  const int32_t *table, int32_t group)
{
    const int32_t channels = p.output_channels / p.groups;
    const int32_t fours = mj_mve_turns(channels, 4);
    const int32_t slots = mj_mve_turns(channels, MJ_MVE_GROUP) * MJ_MVE_GROUP;
    struct mj_mve_block block = {
        .weights = weight + group * fours * 64 * p.steps,
        .table = table + group * slots * 3,
        .channels = channels,
        .stride = p.output_pixel,
        .zero_point = p.output_zero_point,
        .ties_away = p.ties_away,
    };
    mj_mve_choose(&block, p.steps, p.unroll);
    return block;
}

/* weight: (groups, pairs of channels, steps, 2, 16). table: (groups, groups of eight channels, 3, 8).
 * scratch: steps * 16 bytes for each of the windows that are copied, of three pixels at most; NULL where none is. */
MJ_INLINE void mj_mve_conv2d_row(const struct mj_mve_conv2d p, const int8_t *const *rows, const int8_t *weight,
                                 const int32_t *table, int8_t *scratch, int8_t *output)
{
    for (int32_t group = 0; group < p.groups; group++) {
        struct mj_mve_block block = mj_mve_conv2d_block(p, weight, table, group);
        int8_t *to = output + group * block.channels;
        const int8_t *end = rows[0] == NULL ? NULL : rows[0] + (p.input_width - 1) * p.input_pixel + p.input_channels;
        const int32_t first_input = p.input_channels / p.groups * group;
        const int32_t waiting = mj_mve_conv2d_part(p, &block, rows, end, first_input, 0, scratch, &to);
        mj_mve_conv2d_rest(p, &block, waiting, to);
    }
    mj_mve_clamp_pixels(output, p.output_width, p.output_pixel, p.output_channels, p.output_low, p.output_high);
}

MJ_INLINE void mj_mve_conv2d(struct mj_mve_conv2d p, const int8_t *input, const int8_t *weight, const int32_t *table,
                             int8_t *scratch, int8_t *output)
{
    const int8_t *end = input + (p.input_height * p.input_width - 1) * p.input_pixel + p.input_channels;
    if (p.kernel_height * p.kernel_width * p.stride_height * p.stride_width == 1 && p.padding_top == 0 &&
        p.padding_left == 0 && p.output_height == p.input_height && p.output_width == p.input_width) {
        /* Pixel by pixel: the whole map is one long row. */
        p.output_width *= p.output_height;
        p.input_width *= p.input_height;
        p.output_height = p.input_height = 1;
    }
    const int8_t *rows[p.kernel_height];
    for (int32_t group = 0; group < p.groups; group++) {
        struct mj_mve_block block = mj_mve_conv2d_block(p, weight, table, group);
        int8_t *to = output + group * block.channels;
        int32_t waiting = 0;
        for (int32_t out_y = 0; out_y < p.output_height; out_y++) {
            mj_window_rows(rows, input, p.input_width * p.input_pixel, out_y, p.stride_height, p.padding_top,
                           p.kernel_height, p.dilation_height, p.input_height);
            waiting = mj_mve_conv2d_part(p, &block, rows, end, p.input_channels / p.groups * group, waiting, scratch,
                                         &to);
        }
        mj_mve_conv2d_rest(p, &block, waiting, to);
    }
    mj_mve_clamp_pixels(output, p.output_height * p.output_width, p.output_pixel, p.output_channels, p.output_low,
                        p.output_high);
}

#endif
