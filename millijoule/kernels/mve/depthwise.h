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
 * and two columns; there are two of each. input_pixel, output_pixel: as in the portable conv.h. */
struct mj_mve_depthwise_conv2d {
    int32_t input_height, input_width, channels;
    int32_t output_height, output_width;
    int32_t kernel_height, kernel_width, stride_height, stride_width;
    int32_t padding_top, padding_left, columns, squares, input_pixel, output_pixel;
    int32_t input_zero_point, output_zero_point, output_low, output_high, ties_away;
};

/* Of one channel; the bias holds the input's zero point, the shift is 0 or less. */
struct mj_mve_channel {
    int32_t bias, multiplier, shift;
};

/* What the channels of one row of blocks have in common. The order of the first members is known to the loops below.
 * offsets: of four outputs. patch: where its columns begin. step: from a patch to the next. advance: of the output behind
 * a turn of the loop. taps: 16 for each channel, column by column; 5 zeros lie before the first. pixel, row: bytes of
 * the output. */
struct mj_mve_patches {
    int32_t offsets[4], patch[4];
    int32_t advance, zero_point, step, width;
    const int8_t *columns, *taps;
    const struct mj_mve_channel *channel;
    int32_t channels, pixel, row;
};

/* Four rows of some channels, NULL for one outside the map, to columns of them. */
MJ_MVE_OPTIMIZED MJ_SHARED void mj_mve_columns(const int8_t *const *rows, int32_t pixel, int32_t count, int32_t channels,
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
    __asm volatile("vctp.8 %[channels]\n"
                   "wls lr, %[count], 2f\n"
                   "1: vpstttt\n"
                   "vldrbt.u8 q0, [%[a]]\n vldrbt.u8 q1, [%[b]]\n vldrbt.u8 q2, [%[c]]\n vldrbt.u8 q3, [%[d]]\n"
                   "add %[a], %[step_a]\n add %[b], %[step_b]\n add %[c], %[step_c]\n add %[d], %[step_d]\n"
                   "vst40.8 {q0, q1, q2, q3}, [%[to]]\n vst41.8 {q0, q1, q2, q3}, [%[to]]\n"
                   "vst42.8 {q0, q1, q2, q3}, [%[to]]\n vst43.8 {q0, q1, q2, q3}, [%[to]]!\n"
                   "le lr, 1b\n"
                   "2:"
                   : [a] "+r"(from[0]), [b] "+r"(from[1]), [c] "+r"(from[2]), [d] "+r"(from[3]), [to] "+r"(to)
                   : [step_a] "r"(step[0]), [step_b] "r"(step[1]), [step_c] "r"(step[2]), [step_d] "r"(step[3]),
                     [channels] "r"(channels), [count] "r"(count)
                   : "lr", "q0", "q1", "q2", "q3", "cc", "memory");
#else
    for (int32_t x = 0; x < count; x++, to += MJ_MVE_COLUMN_BYTES)
        for (int32_t channel = 0; channel < MJ_MVE_BESIDE; channel++)
            for (int32_t y = 0; y < MJ_MVE_SIDE; y++)
                to[channel * MJ_MVE_SIDE + y] = channel < channels ? from[y][x * step[y] + channel] : 0;
#endif
}

/* The outputs of one channel. In assembly: GCC 12 passes sums to vectors through memory and moves vectors that it need
 * not. VMLADAV needs even registers for its sums. Registers are scarce, so that numbers take the places of addresses:
 * before MJ_MVE_BEGIN [multiplier] holds the taps' address, [shift] the channel's, [advance] the columns', and
 * [zero_point] that of what the channels have in common. The bias comes into r1, the number of outputs into lr, offsets
 * and addresses of a patch into q1 and q2, the kernel into q4. VPR changes too; compilers know no name for it. */
#if MJ_MVE
#define MJ_MVE_BEGIN(first_turns) \
    "vldrw.u32 q1, [%[zero_point]]\n vldrw.u32 q2, [%[zero_point], #16]\n vadd.i32 q2, q2, %[advance]\n" \
    "vldrb.u8 q4, [%[multiplier]]\n ldr lr, [%[zero_point], #44]\n" first_turns \
    "ldrd r1, %[multiplier], [%[shift]]\n ldr %[shift], [%[shift], #8]\n" \
    "ldrd %[advance], %[zero_point], [%[zero_point], #32]\n"
/* Sums in r0, r2, r4 and r6 to int8, the low bytes of the words of q0. */
#define MJ_MVE_RESULTS(ties_away) \
    "vmov q0[2], q0[0], r0, r4\n vmov q0[3], q0[1], r2, r6\n" \
    "vadd.i32 q0, q0, r1\n vqrdmulh.s32 q0, q0, %[multiplier]\n" ties_away "vrshl.s32 q0, %[shift]\n" \
    "vadd.i32 q0, q0, %[zero_point]\n vqmovnb.s32 q0, q0\n vqmovnb.s16 q0, q0\n"
#define MJ_MVE_TIES_0 ""
#define MJ_MVE_TIES_1 "vshr.s32 q3, q0, #31\n vadd.i32 q0, q0, q3\n"
#define MJ_MVE_CHANNEL(code) \
    __asm volatile(code : [to] "+r"(to), [multiplier] "+r"(taps), [shift] "+r"(channel), \
                   [advance] "+r"(columns), [zero_point] "+r"(p) \
                   : \
                   : "r0", "r1", "r2", "r4", "r6", "lr", "q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7", "cc", "memory")

/* Two rows in squares; an odd last column is computed with the one before it once more. The kernel at the four places in
 * a patch is q4 to q7. An address is moved before it is read from. The carry flag says that the number of outputs is odd;
 * nothing in the loop changes it. */
#define MJ_MVE_SQUARE(ties_away) \
    "vmladav.s8 r0, q0, q4\n vmladav.s8 r2, q0, q5\n vmladav.s8 r4, q0, q6\n vmladav.s8 r6, q0, q7\n" \
    MJ_MVE_RESULTS(ties_away) "vstrb.32 q0, [%[to], q1]\n"
#define MJ_MVE_SQUARES(ties_away) \
    MJ_MVE_BEGIN("vldrb.u8 q5, [%[multiplier], #-4]\n vldrb.u8 q6, [%[multiplier], #-1]\n" \
                 "vldrb.u8 q7, [%[multiplier], #-5]\n lsrs lr, lr, #1\n") \
    "wls lr, lr, 2f\n" \
    "1: vldrw.u32 q0, [q2, #128]!\n" MJ_MVE_SQUARE(ties_away) "add %[to], %[advance]\n le lr, 1b\n" \
    "2: bcc 3f\n vldrw.u32 q0, [q2, #64]\n sub %[to], %[to], %[advance], asr #1\n" MJ_MVE_SQUARE(ties_away) \
    "3:"

/* A row of any kernel, four outputs in a turn. */
#define MJ_MVE_PATCH(sum) "vldrw.u32 q0, [q2]\n vmladav.s8 " sum ", q0, q4\n vadd.i32 q2, q2, q5\n"
#define MJ_MVE_SINGLE(ties_away) \
    MJ_MVE_BEGIN("ldr r0, [%[zero_point], #40]\n vdup.32 q5, r0\n") \
    "1: " MJ_MVE_PATCH("r0") MJ_MVE_PATCH("r2") MJ_MVE_PATCH("r4") MJ_MVE_PATCH("r6") MJ_MVE_RESULTS(ties_away) \
    "vctp.32 lr\n vpst\n vstrbt.32 q0, [%[to], q1]\n add %[to], %[advance]\n subs lr, #4\n bgt 1b"
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

/* Of one channel: two rows of the output, 3 by 3, moved by one. */
MJ_INLINE void mj_mve_squares(const struct mj_mve_patches *p, const int8_t *columns, const int8_t *taps,
                              const struct mj_mve_channel *channel, int32_t ties_away, int8_t *to)
{
#if MJ_MVE
    if (ties_away)
        MJ_MVE_CHANNEL(MJ_MVE_SQUARES(MJ_MVE_TIES_1));
    else
        MJ_MVE_CHANNEL(MJ_MVE_SQUARES(MJ_MVE_TIES_0));
#else
    (void)ties_away;
    for (int32_t x = 0; x < p->width; x++)
        for (int32_t y = 0; y < 2; y++) {
            const int32_t sum = mj_mve_patch_sum(columns + x * MJ_MVE_COLUMN_BYTES, taps - y);
            to[y * p->row + x * p->pixel] = mj_mve_result(sum, *channel, p->zero_point);
        }
#endif
}

/* Of one channel: one row of the output, of any kernel that fits a patch. */
MJ_INLINE void mj_mve_single(const struct mj_mve_patches *p, const int8_t *columns, const int8_t *taps,
                             const struct mj_mve_channel *channel, int32_t ties_away, int8_t *to)
{
#if MJ_MVE
    if (ties_away)
        MJ_MVE_CHANNEL(MJ_MVE_SINGLE(MJ_MVE_TIES_1));
    else
        MJ_MVE_CHANNEL(MJ_MVE_SINGLE(MJ_MVE_TIES_0));
#else
    (void)ties_away;
    for (int32_t x = 0; x < p->width; x++)
        to[x * p->pixel] = mj_mve_result(mj_mve_patch_sum(columns + x * p->step, taps), *channel, p->zero_point);
#endif
}

#define MJ_MVE_PATCHES(kind, ties_away) \
    MJ_MVE_OPTIMIZED MJ_SHARED void mj_mve_##kind##_##ties_away(const struct mj_mve_patches *p, int8_t *output) \
    { \
        const int32_t channels = p->channels; \
        const int8_t *columns = p->columns, *taps = p->taps; \
        for (int32_t index = 0; index < channels; index++) { \
            mj_mve_##kind(p, columns, taps, p->channel + index, ties_away, output + index); \
            columns += MJ_MVE_SIDE, taps += MJ_MVE_SIDE * MJ_MVE_SIDE; \
        } \
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
    const int32_t row = p.output_width * p.output_pixel, turn = p.squares ? 2 : 4;
    struct mj_mve_patches patches = {
        .advance = turn * p.output_pixel,
        .zero_point = p.output_zero_point,
        .step = p.stride_width * MJ_MVE_COLUMN_BYTES,
        .columns = scratch,
        .width = p.output_width,
        .pixel = p.output_pixel,
        .row = row,
    };
    for (int32_t i = 0; i < 4; i++) {
        patches.offsets[i] = p.squares ? i % 2 * p.output_pixel + i / 2 * row : i * p.output_pixel;
        patches.patch[i] = (p.squares ? i - turn : i) * MJ_MVE_COLUMN_BYTES;
    }
    for (int32_t first = 0; first < p.channels; first += MJ_MVE_BESIDE) {
        const int8_t *from[MJ_MVE_SIDE];
        for (int32_t y = 0; y < MJ_MVE_SIDE; y++)
            from[y] = rows[y] == NULL ? NULL : rows[y] + first;
        const int32_t left = p.channels - first;
        patches.channels = left < MJ_MVE_BESIDE ? left : MJ_MVE_BESIDE;
        patches.taps = taps + 8 + first * 16;
        patches.channel = (const struct mj_mve_channel *)(const void *)table + first;
        mj_mve_columns(from, p.input_pixel, p.input_width < room ? p.input_width : room, left, p.input_zero_point,
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
    mj_mve_clamp_pixels(output, p.output_width, p.output_pixel, p.channels, p.output_low, p.output_high);
}

MJ_INLINE void mj_mve_depthwise_conv2d(const struct mj_mve_depthwise_conv2d p, const int8_t *input, const int8_t *taps,
                                       const int32_t *table, int8_t *scratch, int8_t *output)
{
    const int8_t *rows[MJ_MVE_SIDE] = {NULL, NULL, NULL, NULL};
    mj_mve_frame(p, scratch);
    for (int32_t y = 0; y < p.output_height; y += p.squares ? 2 : 1) {
        if (p.squares && y == p.output_height - 1)
            y--; /* an odd last row, with the one before it once more */
        mj_window_rows(rows, input, p.input_width * p.input_pixel, y, p.stride_height, p.padding_top,
                       p.squares ? MJ_MVE_SIDE : p.kernel_height, 1, p.input_height);
        mj_mve_depthwise_rows(p, rows, taps, table, scratch, output + y * p.output_width * p.output_pixel);
    }
    mj_mve_clamp_pixels(output, p.output_height * p.output_width, p.output_pixel, p.channels, p.output_low,
                        p.output_high);
}

/* Any kernel: four channels at a time. */
struct mj_mve_depthwise_any {
    int32_t input_height, input_width, channels;
    int32_t output_height, output_width;
    int32_t kernel_height, kernel_width, stride_height, stride_width, dilation_height, dilation_width;
    int32_t padding_top, padding_left, input_pixel, output_pixel;
    int32_t input_zero_point, output_zero_point, output_low, output_high, ties_away;
};

/* weight: (kernel_height, kernel_width, channels). table: (fours of channels, 3, 4): biases, multipliers, shifts. */
MJ_INLINE void mj_mve_depthwise_any_row(const struct mj_mve_depthwise_any p, const int8_t *const *rows,
                                        const int8_t *weight, const int32_t *table, int8_t *output)
{
    for (int32_t out_x = 0; out_x < p.output_width; out_x++, output += p.output_pixel) {
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
                const int8_t *x = rows[ky] + first_x * p.input_pixel + channel;
                const int8_t *w = weight + (ky * p.kernel_width + columns.begin) * p.channels + channel;
                for (int32_t kx = columns.begin; kx < columns.end; kx++) {
#if MJ_MVE
                    const int32x4_t centred = vsubq_n_s32(vldrbq_z_s32(x, inside), p.input_zero_point);
                    sum = vaddq_s32(sum, vmulq_s32(centred, vldrbq_z_s32(w, inside)));
#else
                    for (int32_t i = 0; i < count; i++)
                        sum[i] = mj_wrapping_add(sum[i], (x[i] - p.input_zero_point) * w[i]);
#endif
                    x += p.dilation_width * p.input_pixel;
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
        mj_window_rows(rows, input, p.input_width * p.input_pixel, out_y, p.stride_height, p.padding_top,
                       p.kernel_height, p.dilation_height, p.input_height);
        mj_mve_depthwise_any_row(p, rows, weight, table, output);
        output += p.output_width * p.output_pixel;
    }
}

#endif
