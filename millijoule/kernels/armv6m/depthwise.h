/* int8 depthwise convolutions for Thumb-1: one channel at a time, a row of sums at a time.
 *
 * The rows under the kernel are spread into `scratch` as int32 less the zero point, for only words can be loaded with
 * their sign at a constant offset; so are the channel's weights. A stored map is walked channels first, and each row is
 * spread once. `…_row` as in the portable conv.h.
 */
#ifndef MJ_ARMV6M_DEPTHWISE_H
#define MJ_ARMV6M_DEPTHWISE_H

#include "../memory.h"
#include "../window.h"
#include "requantize.h"

/* line: int32 in a spread row, padding included. sums: an even number of them, output_width or one more. by_line: whether
 * channels are requantized by lines. input_pixel, output_pixel: as in the portable conv.h. */
struct mj_armv6m_depthwise_conv2d {
    int32_t input_height, input_width, channels;
    int32_t output_height, output_width;
    int32_t kernel_height, kernel_width, stride_height, stride_width;
    int32_t padding_top, padding_left;
    int32_t line, sums, by_line, input_pixel, output_pixel;
    int32_t input_zero_point, output_low, output_high;
};

#if MJ_ARMV6M
#define MJ_ARMV6M_SPREAD1 \
    "ldrsb %[x], [%[from], %[zero]]\n subs %[x], %[zero_point]\n stmia %[to]!, {%[x]}\n adds %[from], %[pixel]\n"
#define MJ_ARMV6M_SPREAD4() \
    do { \
        int32_t x; \
        __asm volatile(".syntax unified\n" MJ_ARMV6M_SPREAD1 MJ_ARMV6M_SPREAD1 MJ_ARMV6M_SPREAD1 MJ_ARMV6M_SPREAD1 \
                       : [x] "=&l"(x), [from] "+l"(from), [to] "+l"(to) \
                       : [zero] "l"(0), [zero_point] "l"(zero_point), [pixel] "l"(pixel) \
                       : "memory", "cc"); \
    } while (0)
#else
#define MJ_ARMV6M_SPREAD4() \
    for (int32_t i = 0; i < 4; i++) { \
        *to++ = *from - zero_point; \
        from += pixel; \
    }
#endif

/* One channel of `width` pixels, `pixel` bytes apart. */
MJ_SHARED void mj_armv6m_spread(const int8_t *from, int32_t pixel, int32_t width, int32_t zero_point, int32_t *to)
{
    for (; width >= 4; width -= 4)
        MJ_ARMV6M_SPREAD4();
    for (; width > 0; width--) {
        *to++ = *from - zero_point;
        from += pixel;
    }
}

/* Two sums of three by three, in one statement for all the low registers there are. */
#if MJ_ARMV6M_HIGH
#define MJ_ARMV6M_TAP(row, at, weight) \
    "ldr %[x], [%[" row "], #" at "]\n ldr %[w], [%[weights], #" weight "]\n muls %[x], %[w]\n adds %[sum], %[x]\n"
#define MJ_ARMV6M_SUM3(at0, at1, at2) \
    "ldr %[sum], [%[row0], #" at0 "]\n ldr %[w], [%[weights]]\n muls %[sum], %[w]\n" \
    MJ_ARMV6M_TAP("row0", at1, "4") MJ_ARMV6M_TAP("row0", at2, "8") \
    MJ_ARMV6M_TAP("row1", at0, "12") MJ_ARMV6M_TAP("row1", at1, "16") MJ_ARMV6M_TAP("row1", at2, "20") \
    MJ_ARMV6M_TAP("row2", at0, "24") MJ_ARMV6M_TAP("row2", at1, "28") MJ_ARMV6M_TAP("row2", at2, "32") \
    "stmia %[sums]!, {%[sum]}\n"
#define MJ_ARMV6M_SUMS3(step, at1, at2, at3) \
    do { \
        register const int32_t *last __asm("r8") = end; \
        int32_t sum, x, w; \
        __asm volatile(".syntax unified\n1:\n" \
                       MJ_ARMV6M_SUM3("0", "4", "8") MJ_ARMV6M_SUM3(#at1, #at2, #at3) \
                       "adds %[row0], #" #step "\n adds %[row1], #" #step "\n adds %[row2], #" #step "\n" \
                       "cmp %[sums], %[end]\n bne 1b\n" \
                       : [sum] "=&l"(sum), [x] "=&l"(x), [w] "=&l"(w), [row0] "+l"(row0), [row1] "+l"(row1), \
                         [row2] "+l"(row2), [sums] "+l"(sums) \
                       : [weights] "l"(weights), [end] "h"(last) \
                       : "memory", "cc"); \
    } while (0)
#else
MJ_INLINE int32_t mj_armv6m_sum3(const int32_t *x, const int32_t *weights)
{
    return x[0] * weights[0] + x[1] * weights[1] + x[2] * weights[2];
}

#define MJ_ARMV6M_SUMS3(step, at1, at2, at3) \
    for (; sums != end; row0 += (step) / 8, row1 += (step) / 8, row2 += (step) / 8) \
        *sums++ = mj_armv6m_sum3(row0, weights) + mj_armv6m_sum3(row1, weights + 3) + mj_armv6m_sum3(row2, weights + 6);
#endif

MJ_SHARED void mj_armv6m_sums3_1(const int32_t *const *lines, const int32_t *weights, int32_t *sums, int32_t count)
{
    const int32_t *row0 = lines[0], *row1 = lines[1], *row2 = lines[2], *const end = sums + count;
    MJ_ARMV6M_SUMS3(8, 4, 8, 12);
}

MJ_SHARED void mj_armv6m_sums3_2(const int32_t *const *lines, const int32_t *weights, int32_t *sums, int32_t count)
{
    const int32_t *row0 = lines[0], *row1 = lines[1], *row2 = lines[2], *const end = sums + count;
    MJ_ARMV6M_SUMS3(16, 8, 12, 16);
}

/* A row of one channel's results, `pixel` bytes apart. */
MJ_SHARED void mj_armv6m_row_line(const int32_t *sums, int32_t count, const struct mj_armv6m_line *numbers,
                                  int8_t *output, int32_t pixel)
{
    for (; count > 0; count--) {
        const struct mj_armv6m_line *channel = numbers;
        MJ_ARMV6M_STORE_ON_LINE(*sums++, 0);
        output += pixel;
    }
}

MJ_INLINE void mj_armv6m_row_rounded(const int32_t *sums, int32_t count, const struct mj_armv6m_rounded *channel,
                                     int32_t low, int32_t high, int8_t *output, int32_t pixel)
{
    for (; count > 0; count--) {
        *output = (int8_t)mj_clamp(mj_armv6m_round(*sums++, channel), low, high);
        output += pixel;
    }
}

/* Where a channel's numbers are in `scratch`. */
struct mj_armv6m_spread {
    int32_t *lines, *weights, *sums;
};

MJ_INLINE struct mj_armv6m_spread mj_armv6m_channel(const struct mj_armv6m_depthwise_conv2d p, const int8_t *weight,
                                                    int32_t channel, int8_t *scratch)
{
    int32_t *const lines = (int32_t *)(void *)scratch, *const sums = lines + p.kernel_height * p.line;
    const struct mj_armv6m_spread spread = {lines, sums + p.sums, sums};
    const int32_t count = p.kernel_height * p.kernel_width;
    for (int32_t i = 0; i < count; i++)
        spread.weights[i] = weight[channel * count + i];
    return spread;
}

/* One output row of one channel whose rows are spread in `lines`. */
MJ_INLINE void mj_armv6m_depthwise_one(const struct mj_armv6m_depthwise_conv2d p, const int32_t *const *lines,
                                       const struct mj_armv6m_spread spread, const int32_t *table, int32_t channel,
                                       int8_t *output)
{
    if (p.kernel_height == 3 && p.kernel_width == 3 && p.stride_width == 1) {
        mj_armv6m_sums3_1(lines, spread.weights, spread.sums, p.sums);
    } else if (p.kernel_height == 3 && p.kernel_width == 3 && p.stride_width == 2) {
        mj_armv6m_sums3_2(lines, spread.weights, spread.sums, p.sums);
    } else {
        for (int32_t x = 0; x < p.output_width; x++) {
            const int32_t *weights = spread.weights;
            int32_t sum = 0;
            for (int32_t ky = 0; ky < p.kernel_height; ky++) {
                for (int32_t kx = 0; kx < p.kernel_width; kx++)
                    sum += lines[ky][x * p.stride_width + kx] * *weights++;
            }
            spread.sums[x] = sum;
        }
    }
    if (p.by_line)
        mj_armv6m_row_line(spread.sums, p.output_width, (const struct mj_armv6m_line *)(const void *)table + channel,
                           output + channel, p.output_pixel);
    else
        mj_armv6m_row_rounded(spread.sums, p.output_width,
                              (const struct mj_armv6m_rounded *)(const void *)table + channel, p.output_low,
                              p.output_high, output + channel, p.output_pixel);
}

/* A channel of an input row, NULL for one of padding, between the zeros at its ends. */
MJ_INLINE void mj_armv6m_spread_row(const struct mj_armv6m_depthwise_conv2d p, const int8_t *row, int32_t channel,
                                    int32_t *to)
{
    const int32_t room = p.line - p.padding_left;
    if (row == NULL)
        memset(to, 0, (size_t)p.line * sizeof *to);
    else
        mj_armv6m_spread(row + channel, p.input_pixel, p.input_width < room ? p.input_width : room, p.input_zero_point,
                         to + p.padding_left);
}

/* weight: (channels, kernel_height, kernel_width). table: struct mj_armv6m_line, or …_rounded, of each channel; the sums
 * are of inputs less their zero point. scratch: int32, kernel_height lines, the sums, the weights of one channel. */
MJ_INLINE void mj_armv6m_depthwise_conv2d_row(const struct mj_armv6m_depthwise_conv2d p, const int8_t *const *rows,
                                              const int8_t *weight, const int32_t *table, int8_t *scratch,
                                              int8_t *output)
{
    const int32_t *lines[p.kernel_height];
    memset(scratch, 0, (size_t)(p.kernel_height * p.line) * sizeof **lines);
    for (int32_t channel = 0; channel < p.channels; channel++) {
        const struct mj_armv6m_spread spread = mj_armv6m_channel(p, weight, channel, scratch);
        for (int32_t ky = 0; ky < p.kernel_height; ky++) {
            lines[ky] = spread.lines + ky * p.line;
            mj_armv6m_spread_row(p, rows[ky], channel, spread.lines + ky * p.line);
        }
        mj_armv6m_depthwise_one(p, lines, spread, table, channel, output);
    }
}

MJ_INLINE void mj_armv6m_depthwise_conv2d(const struct mj_armv6m_depthwise_conv2d p, const int8_t *input,
                                          const int8_t *weight, const int32_t *table, int8_t *scratch, int8_t *output)
{
    const int32_t *lines[p.kernel_height];
    memset(scratch, 0, (size_t)(p.kernel_height * p.line) * sizeof **lines);
    for (int32_t channel = 0; channel < p.channels; channel++) {
        const struct mj_armv6m_spread spread = mj_armv6m_channel(p, weight, channel, scratch);
        int32_t below = 0, first = 0; /* rows that are spread, counted from the top of the padding; the top one's line */
        for (int32_t out_y = 0; out_y < p.output_height; out_y++) {
            const int32_t top = out_y * p.stride_height;
            int32_t at = first;
            for (int32_t ky = 0; ky < p.kernel_height; ky++) {
                int32_t *to = spread.lines + at * p.line;
                at = at + 1 < p.kernel_height ? at + 1 : 0;
                lines[ky] = to;
                if (top + ky >= below) {
                    const int32_t y = top + ky - p.padding_top;
                    const int8_t *row = input + y * p.input_width * p.input_pixel;
                    mj_armv6m_spread_row(p, y >= 0 && y < p.input_height ? row : NULL, channel, to);
                }
            }
            below = top + p.kernel_height;
            for (first += p.stride_height; first >= p.kernel_height; first -= p.kernel_height)
                ;
            mj_armv6m_depthwise_one(p, lines, spread, table, channel, output + out_y * p.output_width * p.output_pixel);
        }
    }
}

#endif
