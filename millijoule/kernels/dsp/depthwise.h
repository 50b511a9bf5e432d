/* int8 depthwise convolutions for the dual 16-bit multiplications: four channels at a time, four outputs at a time.
 *
 * The rows under the kernel are spread into `scratch`, each channel by itself as int16 less the zero point, so that
 * neighbours along the row lie in one word. A stored map is walked channels first, and each row is spread once.
 */
#ifndef MJ_DSP_DEPTHWISE_H
#define MJ_DSP_DEPTHWISE_H

#include "../window.h"
#include "block.h"

/* line: int16 in a spread row of one channel, padding included; an even number. …_pixel, …_row: bytes from one pixel and
 * from one row to the next. A stored map may be walked by columns instead, all heights and widths exchanged: what is
 * called a row here is then a column. by_line: whether channels are requantized by lines. */
struct mj_dsp_depthwise_conv2d {
    int32_t input_height, input_width, channels;
    int32_t output_height, output_width;
    int32_t kernel_height, kernel_width, stride_height, stride_width;
    int32_t padding_top, padding_left;
    int32_t line, input_pixel, input_row, output_pixel, output_row;
    int32_t by_line, input_zero_point, output_low, output_high;
};

/* Four channels of `width` pixels, `pixel` bytes apart, to four lines. offset: minus the zero point, in both halves. */
MJ_SHARED void mj_dsp_spread(const int8_t *input, int32_t pixel, int32_t width, uint32_t offset, int16_t *to,
                             int32_t line)
{
    int16_t *const to1 = to + line, *const to2 = to1 + line, *const to3 = to2 + line;
    int32_t x = 0;
    for (; x < width - 1; x += 2) {
        const uint32_t left = mj_load32(input), right = mj_load32(input + pixel);
        const uint32_t even = mj_sxtab16(offset, left), odd = mj_sxtab16_ror8(offset, left);
        const uint32_t next_even = mj_sxtab16(offset, right), next_odd = mj_sxtab16_ror8(offset, right);
        mj_store32(to + x, mj_pack_bottoms(even, next_even));
        mj_store32(to1 + x, mj_pack_bottoms(odd, next_odd));
        mj_store32(to2 + x, mj_pack_tops(next_even, even));
        mj_store32(to3 + x, mj_pack_tops(next_odd, odd));
        input += 2 * pixel;
    }
    if (x < width) {
        const uint32_t left = mj_load32(input);
        const uint32_t even = mj_sxtab16(offset, left), odd = mj_sxtab16_ror8(offset, left);
        to[x] = (int16_t)even;
        to1[x] = (int16_t)odd;
        to2[x] = (int16_t)(even >> 16);
        to3[x] = (int16_t)(odd >> 16);
    }
}

/* Three by three: four outputs, requantized and stored, in one statement. A channel's numbers are 40 bytes: for each kernel
 * row the words (w0, w1) and (w1, w2), then struct mj_dsp_channel. */
#if MJ_DSP
#define MJ_DSP_ROW3_1(x, at, s0, s1, s2) \
    "ldrd %[p], %[q], [%[channel], #" at "]\n ldrd %[a], %[b], [%[" x "]], #8\n" \
    "smlad %[s0], %[a], %[p], %[" s0 "]\n smlatb %[s1], %[a], %[p], %[" s1 "]\n ldr %[a], [%[" x "]]\n" \
    "smlad %[s2], %[b], %[p], %[" s2 "]\n smlatb %[s3], %[b], %[p], %[s3]\n" \
    "smlabt %[s0], %[b], %[q], %[s0]\n smlad %[s1], %[b], %[q], %[s1]\n" \
    "smlabt %[s2], %[a], %[q], %[s2]\n smlad %[s3], %[a], %[q], %[s3]\n"
#define MJ_DSP_ROW3_2(x, at, s0, s1, s2) \
    "ldrd %[p], %[q], [%[channel], #" at "]\n ldrd %[a], %[b], [%[" x "]], #16\n" \
    "smlad %[s0], %[a], %[p], %[" s0 "]\n ldr %[a], [%[" x "], #-8]\n" \
    "smlad %[s1], %[b], %[p], %[" s1 "]\n smlabt %[s0], %[b], %[q], %[s0]\n" \
    "smlad %[s2], %[a], %[p], %[" s2 "]\n smlabt %[s1], %[a], %[q], %[s1]\n" \
    "ldrd %[a], %[b], [%[" x "], #-4]\n" \
    "smlad %[s3], %[a], %[p], %[s3]\n smlabt %[s2], %[a], %[q], %[s2]\n smlabt %[s3], %[b], %[q], %[s3]\n"
#define MJ_DSP_SCALING3_line "ldrd %[p], %[q], [%[channel], #28]\n"
#define MJ_DSP_SCALING3_rounded MJ_DSP_SCALING3_line "ldr %[a], [%[channel], #36]\n"
#define MJ_DSP_RESULT3_rounded(sum, at) \
    "asr %[b], %[" sum "], #7\n add %[" sum "], %[q], %[" sum "], asr #31\n" \
    "smmlar %[" sum "], %[b], %[p], %[" sum "]\n asr %[" sum "], %[" sum "], %[a]\n" \
    "ssat %[" sum "], #8, %[" sum "]\n strb %[" sum "], [" at "]\n"
#define MJ_DSP_RESULT3_line(sum, at) \
    "smmla %[" sum "], %[" sum "], %[p], %[q]\n ssat %[" sum "], #8, %[" sum "], asr #12\n" \
    "strb %[" sum "], [" at "]\n"
#define MJ_DSP_OUTPUTS3(stride, kind) \
    do { \
        int32_t s0, s1, s2, s3; \
        uint32_t a, b, p, q; \
        __asm volatile("ldr %[s3], [%[channel], #24]\n" \
                       MJ_DSP_ROW3_##stride("x0", "0", "s3", "s3", "s3") \
                       MJ_DSP_ROW3_##stride("x1", "8", "s0", "s1", "s2") \
                       MJ_DSP_ROW3_##stride("x2", "16", "s0", "s1", "s2") \
                       MJ_DSP_SCALING3_##kind \
                       MJ_DSP_RESULT3_##kind("s0", "%[to]") MJ_DSP_RESULT3_##kind("s1", "%[to], %[step]") \
                       "add %[to], %[to], %[step], lsl #1\n" \
                       MJ_DSP_RESULT3_##kind("s2", "%[to]") MJ_DSP_RESULT3_##kind("s3", "%[to], %[step]") \
                       "add %[to], %[to], %[step], lsl #1\n" \
                       : [s0] "=&r"(s0), [s1] "=&r"(s1), [s2] "=&r"(s2), [s3] "=&r"(s3), [x0] "+r"(x0), \
                         [x1] "+r"(x1), [x2] "+r"(x2), [to] "+r"(to), [a] "=&r"(a), [b] "=&r"(b), [p] "=&r"(p), \
                         [q] "=&r"(q) \
                       : [channel] "r"(channel), [step] "r"(step) \
                       : "memory"); \
    } while (0)
#else
MJ_INLINE int32_t mj_dsp_row3(const int16_t *x, const uint32_t *weights, int32_t sum)
{
    return mj_wrapping_add(mj_smlad(mj_load32(x), weights[0], sum), x[2] * mj_top(weights[1]));
}

#define MJ_DSP_OUTPUTS3(stride, kind) \
    do { \
        const struct mj_dsp_channel *numbers = (const struct mj_dsp_channel *)(const void *)(channel + 6); \
        for (int32_t i = 0; i < 4; i++) { \
            int32_t sum = mj_dsp_row3(x0, channel, numbers->bias); \
            sum = mj_dsp_row3(x2, channel + 4, mj_dsp_row3(x1, channel + 2, sum)); \
            *to = MJ_DSP_RESULT_##kind(sum, numbers->scaling); \
            x0 += stride, x1 += stride, x2 += stride, to += step; \
        } \
    } while (0)
#endif

/* One output row of four channels, from left to right by fours; the last four begin earlier where that keeps them at whole
 * words, or else go through `four`. */
#define MJ_DSP_DEPTHWISE3(stride, kind) \
    MJ_SHARED void mj_dsp_depthwise3_##stride##_##kind(const int16_t *const *lines, int32_t line, \
                                                       const uint32_t *channel, int32_t width, int32_t pixel, \
                                                       int8_t *output) \
    { \
        for (int32_t index = 0; index < 4; index++) { \
            const int16_t *x0 = lines[0] + index * line, *x1 = lines[1] + index * line, *x2 = lines[2] + index * line; \
            int8_t *to = output + index; \
            int32_t step = pixel, left = width; \
            for (; left >= 4; left -= 4) \
                MJ_DSP_OUTPUTS3(stride, kind); \
            if (left > 0) { \
                const int32_t back = left == 4 - 2 && width > 4 ? 2 : 0; \
                int8_t four[4], *at = to; \
                if (back > 0) { \
                    x0 -= back * stride, x1 -= back * stride, x2 -= back * stride, to -= back * pixel; \
                } else { \
                    to = four, step = 1; \
                } \
                MJ_DSP_OUTPUTS3(stride, kind); \
                for (int32_t i = 0; back == 0 && i < left; i++, at += pixel) \
                    *at = four[i]; \
            } \
            channel += 10; \
        } \
    }
MJ_DSP_DEPTHWISE3(1, rounded)
MJ_DSP_DEPTHWISE3(2, rounded)
MJ_DSP_DEPTHWISE3(1, line)
MJ_DSP_DEPTHWISE3(2, line)

/* One output row of four channels, any kernel and stride: for each kernel row the words (w0, w1), (w2, w3) and so on,
 * filled up with zero; then struct mj_dsp_channel. */
MJ_INLINE void mj_dsp_depthwise_any(const struct mj_dsp_depthwise_conv2d p, const int16_t *const *lines,
                                    const uint32_t *words, int8_t *first)
{
    const int32_t pairs = (p.kernel_width + 1) / 2, pixel = p.output_pixel;
    for (int32_t index = 0; index < 4; index++) {
        const struct mj_dsp_channel channel =
            *(const struct mj_dsp_channel *)(const void *)(words + p.kernel_height * pairs);
        int8_t *output = first + index;
        for (int32_t left = 0; left < p.output_width; left += 4) {
            int32_t s0 = channel.bias, s1 = s0, s2 = s0, s3 = s0;
            const uint32_t *w = words;
            for (int32_t ky = 0; ky < p.kernel_height; ky++) {
                const int16_t *x = lines[ky] + index * p.line + left * p.stride_width;
                for (int32_t pair = 0; pair < pairs; pair++) {
                    const uint32_t two = *w++;
                    s0 = mj_smlad(mj_load32(x), two, s0);
                    s1 = mj_smlad(mj_load32(x + p.stride_width), two, s1);
                    s2 = mj_smlad(mj_load32(x + 2 * p.stride_width), two, s2);
                    s3 = mj_smlad(mj_load32(x + 3 * p.stride_width), two, s3);
                    x += 2;
                }
            }
            const int32_t sums[4] = {s0, s1, s2, s3};
            for (int32_t i = 0; i < 4 && left + i < p.output_width; i++, output += pixel)
                *output = p.by_line ? mj_dsp_line(sums[i], channel.scaling)
                                    : mj_dsp_requantize(sums[i] >> 7, sums[i] >> 31, channel.scaling);
        }
        words += p.kernel_height * pairs + 4;
    }
}

/* One output row of the four channels from `first` on, whose rows are spread in `lines`. */
MJ_INLINE void mj_dsp_depthwise_four(const struct mj_dsp_depthwise_conv2d p, int32_t first,
                                     const int16_t *const *lines, const int32_t *channels, int8_t *output)
{
    const int32_t three = p.kernel_height == 3 && p.kernel_width == 3 && p.stride_width <= 2;
    const int32_t pairs = three ? 2 : (p.kernel_width + 1) / 2;
    const uint32_t *words = (const uint32_t *)channels + first * (p.kernel_height * pairs + 4);
    output += first;
    if (!three)
        mj_dsp_depthwise_any(p, lines, words, output);
    else if (p.stride_width == 1 && p.by_line)
        mj_dsp_depthwise3_1_line(lines, p.line, words, p.output_width, p.output_pixel, output);
    else if (p.stride_width == 1)
        mj_dsp_depthwise3_1_rounded(lines, p.line, words, p.output_width, p.output_pixel, output);
    else if (p.by_line)
        mj_dsp_depthwise3_2_line(lines, p.line, words, p.output_width, p.output_pixel, output);
    else
        mj_dsp_depthwise3_2_rounded(lines, p.line, words, p.output_width, p.output_pixel, output);
}

/* The four channels from `first` on of an input row, NULL for one of padding, spread between the zeros at its ends. */
MJ_INLINE void mj_dsp_spread_row(const struct mj_dsp_depthwise_conv2d p, const int8_t *row, int32_t first, int16_t *to)
{
    const uint32_t offset = (uint32_t)-p.input_zero_point & 0xffff;
    const int32_t room = p.line - p.padding_left;
    if (row == NULL)
        memset(to, 0, (size_t)p.line * 4 * sizeof *to);
    else
        mj_dsp_spread(row + first, p.input_pixel, p.input_width < room ? p.input_width : room, offset << 16 | offset,
                      to + p.padding_left, p.line);
}

/* table: for each channel, its weights, 256 times as large, and its struct mj_dsp_channel. channels: 4 or more.
 * scratch: kernel_height * 4 lines. */
MJ_INLINE void mj_dsp_depthwise_conv2d_row(const struct mj_dsp_depthwise_conv2d p, const int8_t *const *rows,
                                           const int32_t *table, int8_t *scratch, int8_t *output)
{
    const int16_t *lines[p.kernel_height];
    int16_t *spread = (int16_t *)(void *)scratch;
    memset(spread, 0, (size_t)(p.kernel_height * 4 * p.line) * sizeof *spread);
    for (int32_t ky = 0; ky < p.kernel_height; ky++)
        lines[ky] = spread + ky * 4 * p.line;
    for (int32_t first = 0; first < p.channels; first = mj_dsp_next_four(first, p.channels)) {
        for (int32_t ky = 0; ky < p.kernel_height; ky++)
            mj_dsp_spread_row(p, rows[ky], first, spread + ky * 4 * p.line);
        mj_dsp_depthwise_four(p, first, lines, table, output);
    }
    mj_dsp_clamp_pixels(output, p.output_width, p.output_pixel, p.channels, p.output_low, p.output_high);
}

MJ_INLINE void mj_dsp_depthwise_conv2d(const struct mj_dsp_depthwise_conv2d p, const int8_t *input,
                                       const int32_t *table, int8_t *scratch, int8_t *output)
{
    const int16_t *lines[p.kernel_height];
    int16_t *spread = (int16_t *)(void *)scratch;
    memset(spread, 0, (size_t)(p.kernel_height * 4 * p.line) * sizeof *spread);
    for (int32_t first = 0; first < p.channels; first = mj_dsp_next_four(first, p.channels)) {
        int32_t below = 0; /* rows that are spread, counted from the top of the padding */
        for (int32_t out_y = 0; out_y < p.output_height; out_y++) {
            const int32_t top = out_y * p.stride_height;
            for (int32_t ky = 0; ky < p.kernel_height; ky++) {
                int16_t *to = spread + (top + ky) % p.kernel_height * 4 * p.line;
                lines[ky] = to;
                if (top + ky >= below) {
                    const int32_t y = top + ky - p.padding_top;
                    mj_dsp_spread_row(p, y >= 0 && y < p.input_height ? input + y * p.input_row : NULL, first, to);
                }
            }
            below = top + p.kernel_height;
            mj_dsp_depthwise_four(p, first, lines, table, output + out_y * p.output_row);
        }
    }
    const int32_t pixel = p.output_pixel < p.output_row ? p.output_pixel : p.output_row;
    mj_dsp_clamp_pixels(output, p.output_height * p.output_width, pixel, p.channels, p.output_low, p.output_high);
}

#endif
