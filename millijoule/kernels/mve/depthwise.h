/* int8 depthwise convolutions by vectors. Maps are (height, width, channels). `…_row` as in the portable conv.h.
 *
 * Kernels of up to 4 by 4: four rows of the input are copied to `scratch` so that of each column and channel the four
 * lie in one word. Four words, of four columns, are one register: a patch of the map, which VMLADAV multiplies by a
 * kernel filled up with zeros, and adds up. A kernel of 3 by 3 that is moved by one lies in a patch at four places: four
 * outputs for one load. Other kernels: four channels at a time.
 */
#ifndef MJ_MVE_DEPTHWISE_H
#define MJ_MVE_DEPTHWISE_H

#include "../window.h"
#include "instructions.h"

#define MJ_MVE_SIDE 4          /* rows and columns of a patch */
#define MJ_MVE_BESIDE 16       /* channels that lie beside each other in a column */
#define MJ_MVE_COLUMN_BYTES 64 /* = MJ_MVE_SIDE * MJ_MVE_BESIDE */

/* columns: in `scratch`; the first padding_left of them lie outside the map. squares: outputs are computed by two rows
 * and two columns; there are two of each. */
struct mj_mve_depthwise_conv2d {
    int32_t input_height, input_width, channels;
    int32_t output_height, output_width;
    int32_t kernel_height, kernel_width, stride_height, stride_width;
    int32_t padding_top, padding_left, columns, squares;
    int32_t input_zero_point, output_zero_point, output_low, output_high, ties_away;
};

/* Of one channel; the bias holds the input's zero point, the shift is 0 or less. */
struct mj_mve_channel {
    int32_t bias, multiplier, shift;
};

/* What the channels of one row of blocks have in common.
 * taps: 16 for each channel, column by column; 5 zeros lie before the first. pixel, row: bytes of the output. */
struct mj_mve_patches {
    const int8_t *columns, *taps;
    const struct mj_mve_channel *channel;
    int32_t channels, width, step, pixel, row, zero_point;
};

/* Four rows of some channels, NULL for one outside the map, to columns of them. */
MJ_SHARED void mj_mve_columns(const int8_t *const *rows, int32_t pixel, int32_t count, int32_t channels,
                              int32_t zero_point, int8_t *to)
{
    int8_t outside[MJ_MVE_BESIDE];
    const int8_t *from[MJ_MVE_SIDE];
    int32_t step[MJ_MVE_SIDE];
    memset(outside, zero_point, sizeof outside);
    for (int32_t y = 0; y < MJ_MVE_SIDE; y++) {
        from[y] = rows[y] == NULL ? outside : rows[y];
        step[y] = rows[y] == NULL ? 0 : pixel;
    }
#if MJ_MVE
    const mve_pred16_t inside = vctp8q((uint32_t)mj_mve_lanes(channels));
    const int8_t *a = from[0], *b = from[1], *c = from[2], *d = from[3];
    for (int32_t x = 0; x < count; x++, to += MJ_MVE_COLUMN_BYTES) {
        const int8x16x4_t column = {
            {vldrbq_z_s8(a, inside), vldrbq_z_s8(b, inside), vldrbq_z_s8(c, inside), vldrbq_z_s8(d, inside)}};
        vst4q_s8(to, column);
        a += step[0], b += step[1], c += step[2], d += step[3];
    }
#else
    for (int32_t x = 0; x < count; x++, to += MJ_MVE_COLUMN_BYTES)
        for (int32_t channel = 0; channel < channels && channel < MJ_MVE_BESIDE; channel++)
            for (int32_t y = 0; y < MJ_MVE_SIDE; y++)
                to[channel * MJ_MVE_SIDE + y] = from[y][x * step[y] + channel];
#endif
}

/* The patch whose first column is the first of `columns`, times a kernel. */
#if MJ_MVE
MJ_INLINE int8x16_t mj_mve_patch(const int8_t *columns)
{
    const uint32x4_t column = vmulq_n_u32(vidupq_n_u32(0, 1), MJ_MVE_COLUMN_BYTES);
    return vreinterpretq_s8_s32(vldrwq_gather_offset_s32((const int32_t *)(const void *)columns, column));
}

/* Four sums as the low bytes of words. */
MJ_INLINE int32x4_t mj_mve_results(int32x4_t sums, struct mj_mve_channel channel, int32_t zero_point, int32_t ties_away)
{
    int32x4_t x = mj_mve_rescale_n(vaddq_n_s32(sums, channel.bias), channel.multiplier, channel.shift, ties_away);
    x = vaddq_n_s32(x, zero_point);
    const int16x8_t saturated = vqmovnbq_s32(vuninitializedq_s16(), x);
    return vreinterpretq_s32_s8(vqmovnbq_s16(vuninitializedq_s8(), saturated));
}
#else
MJ_INLINE int32_t mj_mve_patch_sum(const int8_t *columns, const int8_t *taps)
{
    int32_t sum = 0;
    for (int32_t i = 0; i < MJ_MVE_SIDE * MJ_MVE_SIDE; i++)
        sum += columns[i / MJ_MVE_SIDE * MJ_MVE_COLUMN_BYTES + i % MJ_MVE_SIDE] * taps[i];
    return sum;
}

MJ_INLINE int8_t mj_mve_result(int32_t sum, struct mj_mve_channel channel, int32_t zero_point)
{
    sum = mj_wrapping_add(sum, channel.bias);
    sum = mj_multiply_by_quantized_multiplier(sum, channel.multiplier, channel.shift);
    return (int8_t)mj_clamp(sum + zero_point, INT8_MIN, INT8_MAX);
}
#endif

/* Two rows of the output: 3 by 3, moved by one. An odd last column is computed with the one before it once more. */
MJ_INLINE void mj_mve_squares(const struct mj_mve_patches *p, int32_t ties_away, int8_t *output)
{
    const int32_t pixel = p->pixel, row = p->row, width = p->width, zero_point = p->zero_point, count = p->channels;
    const struct mj_mve_channel *channel = p->channel;
    const int8_t *taps = p->taps, *columns = p->columns;
    for (int32_t index = 0; index < count; index++) {
#if MJ_MVE
        const int8x16_t here = vldrbq_s8(taps), below = vldrbq_s8(taps - 1);
        const int8x16_t right = vldrbq_s8(taps - 4), across = vldrbq_s8(taps - 5);
        const uint32x4_t offsets = {0, (uint32_t)pixel, (uint32_t)row, (uint32_t)(row + pixel)};
        const struct mj_mve_channel scaling = *channel;
        const int8_t *from = columns;
        int8_t *to = output;
#define MJ_MVE_SQUARE(from, to) \
    do { \
        const int8x16_t patch = mj_mve_patch(from); \
        const int32x4_t sums = {vmladavq_s8(patch, here), vmladavq_s8(patch, right), vmladavq_s8(patch, below), \
                                vmladavq_s8(patch, across)}; \
        vstrbq_scatter_offset_s32(to, offsets, mj_mve_results(sums, scaling, zero_point, ties_away)); \
    } while (0)
        for (int32_t pairs = width / 2; pairs > 0; pairs--, from += 2 * MJ_MVE_COLUMN_BYTES, to += 2 * pixel)
            MJ_MVE_SQUARE(from, to);
        if (width % 2)
            MJ_MVE_SQUARE(from - MJ_MVE_COLUMN_BYTES, to - pixel);
#else
        (void)ties_away;
        for (int32_t x = 0; x < width; x++)
            for (int32_t y = 0; y < 2; y++) {
                const int32_t sum = mj_mve_patch_sum(columns + x * MJ_MVE_COLUMN_BYTES, taps - y);
                output[y * row + x * pixel] = mj_mve_result(sum, *channel, zero_point);
            }
#endif
        columns += MJ_MVE_SIDE, taps += MJ_MVE_SIDE * MJ_MVE_SIDE, channel++, output++;
    }
}

/* One row of the output, of any kernel that fits a patch. */
MJ_INLINE void mj_mve_single(const struct mj_mve_patches *p, int32_t ties_away, int8_t *output)
{
    const int32_t pixel = p->pixel, width = p->width, zero_point = p->zero_point, count = p->channels;
    const int32_t step = p->step * MJ_MVE_COLUMN_BYTES;
    const struct mj_mve_channel *channel = p->channel;
    const int8_t *taps = p->taps, *columns = p->columns;
    for (int32_t index = 0; index < count; index++) {
#if MJ_MVE
        const int8x16_t kernel = vldrbq_s8(taps);
        const uint32x4_t offsets = vmulq_n_u32(vidupq_n_u32(0, 1), (uint32_t)pixel);
        const struct mj_mve_channel scaling = *channel;
        const int8_t *from = columns;
        int8_t *to = output;
        for (int32_t left = width; left > 0; left -= 4, from += 4 * step, to += 4 * pixel) {
            const int32x4_t sums = {vmladavq_s8(mj_mve_patch(from), kernel),
                                    vmladavq_s8(mj_mve_patch(from + step), kernel),
                                    vmladavq_s8(mj_mve_patch(from + 2 * step), kernel),
                                    vmladavq_s8(mj_mve_patch(from + 3 * step), kernel)};
            vstrbq_scatter_offset_p_s32(to, offsets, mj_mve_results(sums, scaling, zero_point, ties_away),
                                        vctp32q((uint32_t)mj_mve_lanes(left)));
        }
#else
        (void)ties_away;
        for (int32_t x = 0; x < width; x++)
            output[x * pixel] = mj_mve_result(mj_mve_patch_sum(columns + x * step, taps), *channel, zero_point);
#endif
        columns += MJ_MVE_SIDE, taps += MJ_MVE_SIDE * MJ_MVE_SIDE, channel++, output++;
    }
}

#define MJ_MVE_PATCHES(kind, ties_away) \
    MJ_SHARED void mj_mve_##kind##_##ties_away(const struct mj_mve_patches *patches, int8_t *output) \
    { \
        mj_mve_##kind(patches, ties_away, output); \
    }
MJ_MVE_PATCHES(squares, 0)
MJ_MVE_PATCHES(squares, 1)
MJ_MVE_PATCHES(single, 0)
MJ_MVE_PATCHES(single, 1)

/* The columns outside the map, once for all rows. */
MJ_INLINE void mj_mve_frame(const struct mj_mve_depthwise_conv2d p, int8_t *scratch)
{
    const int32_t inside = p.padding_left + p.input_width;
    memset(scratch, p.input_zero_point, (size_t)(p.padding_left * MJ_MVE_COLUMN_BYTES));
    if (inside < p.columns)
        memset(scratch + inside * MJ_MVE_COLUMN_BYTES, p.input_zero_point,
               (size_t)((p.columns - inside) * MJ_MVE_COLUMN_BYTES));
}

/* One row of the output, or two. rows: four, NULL where nothing is read. */
MJ_INLINE void mj_mve_depthwise_rows(const struct mj_mve_depthwise_conv2d p, const int8_t *const *rows,
                                     const int8_t *taps, const int32_t *table, int8_t *scratch, int8_t *output)
{
    const int32_t room = p.columns - p.padding_left;
    struct mj_mve_patches patches = {
        .columns = scratch,
        .width = p.output_width,
        .step = p.stride_width,
        .pixel = p.channels,
        .row = p.output_width * p.channels,
        .zero_point = p.output_zero_point,
    };
    for (int32_t first = 0; first < p.channels; first += MJ_MVE_BESIDE) {
        const int8_t *from[MJ_MVE_SIDE];
        for (int32_t y = 0; y < MJ_MVE_SIDE; y++)
            from[y] = rows[y] == NULL ? NULL : rows[y] + first;
        const int32_t left = p.channels - first;
        patches.channels = left < MJ_MVE_BESIDE ? left : MJ_MVE_BESIDE;
        patches.taps = taps + 8 + first * 16;
        patches.channel = (const struct mj_mve_channel *)(const void *)table + first;
        mj_mve_columns(from, p.channels, p.input_width < room ? p.input_width : room, left, p.input_zero_point,
                       scratch + p.padding_left * MJ_MVE_COLUMN_BYTES);
        if (p.squares && p.ties_away)
            mj_mve_squares_1(&patches, output + first);
        else if (p.squares)
            mj_mve_squares_0(&patches, output + first);
        else if (p.ties_away)
            mj_mve_single_1(&patches, output + first);
        else
            mj_mve_single_0(&patches, output + first);
    }
}

/* taps: 8 zeros, then 16 for each channel. table: struct mj_mve_channel. scratch: columns * 64 bytes. */
MJ_INLINE void mj_mve_depthwise_conv2d_row(const struct mj_mve_depthwise_conv2d p, const int8_t *const *rows,
                                           const int8_t *taps, const int32_t *table, int8_t *scratch, int8_t *output)
{
    const int8_t *four[MJ_MVE_SIDE] = {NULL, NULL, NULL, NULL};
    for (int32_t y = 0; y < p.kernel_height; y++)
        four[y] = rows[y];
    mj_mve_frame(p, scratch);
    mj_mve_depthwise_rows(p, four, taps, table, scratch, output);
    if (p.output_low > INT8_MIN || p.output_high < INT8_MAX)
        mj_mve_clamp(output, p.output_width * p.channels, p.output_low, p.output_high);
}

MJ_INLINE void mj_mve_depthwise_conv2d(const struct mj_mve_depthwise_conv2d p, const int8_t *input, const int8_t *taps,
                                       const int32_t *table, int8_t *scratch, int8_t *output)
{
    const int8_t *rows[MJ_MVE_SIDE] = {NULL, NULL, NULL, NULL};
    mj_mve_frame(p, scratch);
    for (int32_t y = 0; y < p.output_height; y += p.squares ? 2 : 1) {
        if (p.squares && y == p.output_height - 1)
            y--; /* an odd last row, with the one before it once more */
        mj_window_rows(rows, input, p.input_width * p.channels, y, p.stride_height, p.padding_top,
                       p.squares ? MJ_MVE_SIDE : p.kernel_height, 1, p.input_height);
        mj_mve_depthwise_rows(p, rows, taps, table, scratch, output + y * p.output_width * p.channels);
    }
    if (p.output_low > INT8_MIN || p.output_high < INT8_MAX)
        mj_mve_clamp(output, p.output_height * p.output_width * p.channels, p.output_low, p.output_high);
}

/* Any kernel: four channels at a time. */
struct mj_mve_depthwise_any {
    int32_t input_height, input_width, channels;
    int32_t output_height, output_width;
    int32_t kernel_height, kernel_width, stride_height, stride_width, dilation_height, dilation_width;
    int32_t padding_top, padding_left;
    int32_t input_zero_point, output_zero_point, output_low, output_high, ties_away;
};

/* weight: (kernel_height, kernel_width, channels). table: (fours of channels, 3, 4): biases, multipliers, shifts. */
MJ_INLINE void mj_mve_depthwise_any_row(const struct mj_mve_depthwise_any p, const int8_t *const *rows,
                                        const int8_t *weight, const int32_t *table, int8_t *output)
{
    for (int32_t out_x = 0; out_x < p.output_width; out_x++, output += p.channels) {
        const struct mj_span columns =
            mj_window(out_x, p.stride_width, p.padding_left, p.kernel_width, p.dilation_width, p.input_width);
        const int32_t first_x = columns.origin + columns.begin * p.dilation_width;
        const int32_t *of_four = table;
        for (int32_t channel = 0; channel < p.channels; channel += 4, of_four += 12) {
#if MJ_MVE
            const mve_pred16_t inside = vctp32q((uint32_t)mj_mve_lanes(p.channels - channel));
            int32x4_t sum = vldrwq_s32(of_four);
#else
            const int32_t count = p.channels - channel < 4 ? p.channels - channel : 4;
            int32_t sum[4] = {of_four[0], of_four[1], of_four[2], of_four[3]};
#endif
            for (int32_t ky = 0; ky < p.kernel_height; ky++) {
                if (rows[ky] == NULL)
                    continue;
                const int8_t *x = rows[ky] + first_x * p.channels + channel;
                const int8_t *w = weight + (ky * p.kernel_width + columns.begin) * p.channels + channel;
                for (int32_t kx = columns.begin; kx < columns.end; kx++) {
#if MJ_MVE
                    const int32x4_t centred = vsubq_n_s32(vldrbq_z_s32(x, inside), p.input_zero_point);
                    sum = vaddq_s32(sum, vmulq_s32(centred, vldrbq_z_s32(w, inside)));
#else
                    for (int32_t i = 0; i < count; i++)
                        sum[i] = mj_wrapping_add(sum[i], (x[i] - p.input_zero_point) * w[i]);
#endif
                    x += p.dilation_width * p.channels;
                    w += p.channels;
                }
            }
#if MJ_MVE
            sum = mj_mve_rescale(sum, vldrwq_s32(of_four + 4), vldrwq_s32(of_four + 8), p.ties_away);
            sum = vaddq_n_s32(sum, p.output_zero_point);
            sum = vminq_s32(vmaxq_s32(sum, vdupq_n_s32(p.output_low)), vdupq_n_s32(p.output_high));
            vstrbq_p_s32(output + channel, sum, inside);
#else
            for (int32_t i = 0; i < count; i++) {
                const int32_t y = mj_multiply_by_quantized_multiplier(sum[i], of_four[4 + i], of_four[8 + i]);
                output[channel + i] = (int8_t)mj_clamp(y + p.output_zero_point, p.output_low, p.output_high);
            }
#endif
        }
    }
}

MJ_INLINE void mj_mve_depthwise_any(const struct mj_mve_depthwise_any p, const int8_t *input, const int8_t *weight,
                                    const int32_t *table, int8_t *output)
{
    const int8_t *rows[p.kernel_height];
    for (int32_t out_y = 0; out_y < p.output_height; out_y++) {
        mj_window_rows(rows, input, p.input_width * p.channels, out_y, p.stride_height, p.padding_top,
                       p.kernel_height, p.dilation_height, p.input_height);
        mj_mve_depthwise_any_row(p, rows, weight, table, output);
        output += p.output_width * p.channels;
    }
}

#endif
