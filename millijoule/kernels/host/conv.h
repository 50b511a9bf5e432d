/* int8 convolutions for vectors of sixteen channels. Maps are (height, width, channels).
 *
 * Rows of the input are kept in scratch as int16 less the zero point, with their padding, as long as a window reads
 * them: row y, counted from the top of the padding, in line y % reach.
 */
#ifndef MJ_HOST_CONV_H
#define MJ_HOST_CONV_H

#include "vector.h"

struct mj_host_conv2d {
    int32_t input_height, input_width, input_channels;
    int32_t output_height, output_width, output_channels;
    int32_t kernel_height, kernel_width, stride_height, stride_width, dilation_height, dilation_width;
    int32_t padding_top, padding_left;
    int32_t groups, pairs, line, input_pixel, output_pixel; /* the last two as in the portable conv.h */
    int32_t input_zero_point, output_zero_point, output_low, output_high;
};

/* `count` neighbouring positions of one block of channels. rows: the line under each row of the kernel, at the first
 * position. table: biases, multipliers and shifts. */
MJ_INLINE void mj_host_conv_tile(const struct mj_host_conv2d p, int32_t count, const int16_t *const *rows,
                                 int32_t offset, const int16_t *weight, const int32_t *table, int32_t channels,
                                 int8_t *output)
{
    const int32_t pixel = p.groups * 2 * p.pairs;
    struct mj_sums sums[MJ_TILE];
    for (int32_t t = 0; t < count; t++)
        sums[t] = mj_load_sums(table);
    for (int32_t ky = 0; ky < p.kernel_height; ky++)
        for (int32_t kx = 0; kx < p.kernel_width; kx++) {
            const int16_t *x = rows[ky] + offset + kx * p.dilation_width * pixel;
            for (int32_t pair = 0; pair < p.pairs; pair++, weight += 2 * MJ_LANES)
                for (int32_t t = 0; t < count; t++)
                    sums[t] = mj_add_pairs(sums[t], x + t * p.stride_width * pixel + 2 * pair, weight);
        }
    for (int32_t t = 0; t < count; t++)
        mj_store_sums(sums[t], table + MJ_LANES, p.output_zero_point, p.output_low, p.output_high, channels,
                      output + t * p.output_pixel);
}

/* weight: (groups, blocks of MJ_LANES channels, kernel_height, kernel_width, pairs, MJ_LANES, 2).
 * table: (groups, blocks, 3, MJ_LANES): biases, multipliers, shifts. scratch: reach lines of `line` positions. */
MJ_INLINE void mj_host_conv2d(const struct mj_host_conv2d p, const int8_t *input, const int16_t *weight,
                              const int32_t *table, int8_t *scratch, int8_t *output)
{
    const int32_t pixel = p.groups * 2 * p.pairs, group_outputs = p.output_channels / p.groups;
    const int32_t reach = (p.kernel_height - 1) * p.dilation_height + 1;
    const int32_t block_weights = p.kernel_height * p.kernel_width * p.pairs * 2 * MJ_LANES;
    const int32_t blocks = (group_outputs + MJ_LANES - 1) / MJ_LANES;
    const struct mj_host_lines lines = {
        p.input_height, p.input_width,  p.groups,           p.input_channels / p.groups, 2 * p.pairs,
        p.line,         p.padding_left, p.input_zero_point, p.input_pixel,
    };
    int16_t *const kept = (int16_t *)(void *)scratch;
    const int16_t *rows[p.kernel_height];
    int32_t next = 0; /* row that is not kept yet */

    for (int32_t out_y = 0; out_y < p.output_height; out_y++) {
        const int32_t top = out_y * p.stride_height;
        for (next = next > top ? next : top; next < top + reach; next++)
            mj_host_line(lines, input, next - p.padding_top, kept + next % reach * p.line * pixel);
        for (int32_t ky = 0; ky < p.kernel_height; ky++)
            rows[ky] = kept + (top + ky * p.dilation_height) % reach * p.line * pixel;
        for (int32_t out_x = 0; out_x < p.output_width;) {
            const int32_t tiled = out_x + MJ_TILE <= p.output_width;
            for (int32_t group = 0; group < p.groups; group++)
                for (int32_t block = 0; block < blocks; block++) {
                    const int32_t at = group * blocks + block, first = block * MJ_LANES;
                    const int16_t *const w = weight + at * block_weights;
                    const int32_t *const t = table + at * 3 * MJ_LANES;
                    const int32_t offset = out_x * p.stride_width * pixel + group * 2 * p.pairs;
                    int8_t *const to = output + out_x * p.output_pixel + group * group_outputs + first;
                    if (tiled)
                        mj_host_conv_tile(p, MJ_TILE, rows, offset, w, t, group_outputs - first, to);
                    else
                        mj_host_conv_tile(p, 1, rows, offset, w, t, group_outputs - first, to);
                }
            out_x += tiled ? MJ_TILE : 1;
        }
        output += p.output_width * p.output_pixel;
    }
}

struct mj_host_depthwise_conv2d {
    int32_t input_height, input_width, channels;
    int32_t output_height, output_width;
    int32_t kernel_height, kernel_width, stride_height, stride_width, dilation_height, dilation_width;
    int32_t padding_top, padding_left;
    int32_t pixel, line, input_pixel, output_pixel;
    int32_t input_zero_point, output_zero_point, output_low, output_high;
};

/* weight: (blocks of MJ_LANES channels, kernel_height, kernel_width, MJ_LANES). table, scratch: as above; a position
 * of a line has `pixel` numbers, a multiple of MJ_LANES. */
MJ_INLINE void mj_host_depthwise_conv2d(const struct mj_host_depthwise_conv2d p, const int8_t *input,
                                        const int16_t *weight, const int32_t *table, int8_t *scratch, int8_t *output)
{
    const int32_t reach = (p.kernel_height - 1) * p.dilation_height + 1;
    const int32_t taps = p.kernel_height * p.kernel_width;
    const struct mj_host_lines lines = {
        p.input_height, p.input_width, 1, p.channels, p.pixel, p.line, p.padding_left, p.input_zero_point,
        p.input_pixel,
    };
    int16_t *const kept = (int16_t *)(void *)scratch;
    int32_t next = 0;

    for (int32_t out_y = 0; out_y < p.output_height; out_y++) {
        const int32_t top = out_y * p.stride_height;
        for (next = next > top ? next : top; next < top + reach; next++)
            mj_host_line(lines, input, next - p.padding_top, kept + next % reach * p.line * p.pixel);
        for (int32_t out_x = 0; out_x < p.output_width; out_x++)
            for (int32_t first = 0; first < p.channels; first += MJ_LANES) {
                const int32_t *const t = table + first * 3;
                const int16_t *w = weight + first * taps;
                struct mj_sums sums = mj_load_sums(t);
                for (int32_t ky = 0; ky < p.kernel_height; ky++) {
                    const int16_t *x = kept + (top + ky * p.dilation_height) % reach * p.line * p.pixel +
                                       out_x * p.stride_width * p.pixel + first;
                    for (int32_t kx = 0; kx < p.kernel_width; kx++, w += MJ_LANES)
                        sums = mj_add_products(sums, x + kx * p.dilation_width * p.pixel, w);
                }
                mj_store_sums(sums, t + MJ_LANES, p.output_zero_point, p.output_low, p.output_high,
                              p.channels - first, output + out_x * p.output_pixel + first);
            }
        output += p.output_width * p.output_pixel;
    }
}

#endif
