/* int8 convolutions and fully connected layers for Thumb-1: eight output channels of one pixel at a time, or four.
 *
 * Inputs are copied plus 128, weights stored plus 128, for only unsigned bytes can be loaded at a constant offset; the sum
 * of the inputs times 128 is taken off again. What the weights' 128 and the zero point add is in each channel's `start`.
 * `…_row` as in the portable conv.h.
 */
#ifndef MJ_ARMV6M_CONV_H
#define MJ_ARMV6M_CONV_H

#include "../memory.h"
#include "../window.h"
#include "requantize.h"

/* Copies bytes plus 128; returns their sum. */
MJ_SHARED int32_t mj_armv6m_copy_bytes(const int8_t *from, uint8_t *to, int32_t count)
{
    int32_t sum = 0;
    for (int32_t i = 0; i < count; i++) {
        const uint32_t byte = (uint8_t)from[i] ^ 0x80u;
        to[i] = (uint8_t)byte;
        sum += (int32_t)byte;
    }
    return sum;
}

/* The same for whole words, at most 128, so that halves of a word hold the sum. */
MJ_SHARED int32_t mj_armv6m_copy_words(const int8_t *from, uint8_t *to, int32_t words)
{
    const uint32_t *word = (const uint32_t *)(const void *)from, *const end = word + words;
    uint32_t *copy = (uint32_t *)(void *)to;
    uint32_t sum = 0;
    do {
        const uint32_t four = *word++ ^ 0x80808080u;
        *copy++ = four;
        sum += four & 0xff00ffu;
        sum += four >> 8 & 0xff00ffu;
    } while (word != end);
    return (int32_t)((sum & 0xffff) + (sum >> 16));
}

/* count: a constant. inputs: to whose multiples `from` points, if the map begins at a word. */
MJ_INLINE int32_t mj_armv6m_copy(const int8_t *from, uint8_t *to, int32_t count, int32_t inputs)
{
    if (inputs % 4 == 0 && count <= 512 && ((uintptr_t)from | (uintptr_t)to) % 4 == 0)
        return mj_armv6m_copy_words(from, to, count / 4);
    if (inputs % 4 == 0 || count > 16)
        return mj_armv6m_copy_bytes(from, to, count);
    int32_t sum = 0;
#pragma GCC unroll 16
    for (int32_t i = 0; i < count; i++) {
        const uint32_t byte = (uint8_t)from[i] ^ 0x80u;
        to[i] = (uint8_t)byte;
        sum += (int32_t)byte;
    }
    return sum;
}

#if MJ_ARMV6M_HIGH
#define MJ_ARMV6M_PRODUCT(at, add, sum) \
    "ldrb %[w], [%[weights], #" at "]\n muls %[w], %[x]\n " add " %[" sum "], %[w]\n"
#define MJ_ARMV6M_INPUT4(at, w0, w1, w2, w3) \
    "ldrb %[x], [%[input], #" at "]\n" \
    MJ_ARMV6M_PRODUCT(w0, "adds", "a") MJ_ARMV6M_PRODUCT(w1, "adds", "b") MJ_ARMV6M_PRODUCT(w2, "adds", "c") \
    MJ_ARMV6M_PRODUCT(w3, "adds", "d")
#define MJ_ARMV6M_INPUT8(at, w0, w1, w2, w3, w4, w5, w6, w7) \
    "ldrb %[x], [%[input], #" at "]\n" \
    MJ_ARMV6M_PRODUCT(w0, "adds", "a") MJ_ARMV6M_PRODUCT(w1, "adds", "b") MJ_ARMV6M_PRODUCT(w2, "adds", "c") \
    MJ_ARMV6M_PRODUCT(w3, "add", "d") MJ_ARMV6M_PRODUCT(w4, "add", "e") MJ_ARMV6M_PRODUCT(w5, "add", "f") \
    MJ_ARMV6M_PRODUCT(w6, "add", "g") MJ_ARMV6M_PRODUCT(w7, "add", "h")
/* One statement for all the low registers there are; five sums lie in high ones, which can only be added to. */
#define MJ_ARMV6M_SUMS8() \
    do { \
        register int32_t d8 __asm("r8") = d, e8 __asm("r9") = e, f8 __asm("r10") = f, g8 __asm("r11") = g; \
        register int32_t h8 __asm("r12") = h; \
        register const uint8_t *end8 __asm("lr") = end; \
        uint32_t x, w; \
        __asm volatile(".syntax unified\n1:\n" \
                       MJ_ARMV6M_INPUT8("0", "0", "1", "2", "3", "4", "5", "6", "7") \
                       MJ_ARMV6M_INPUT8("1", "8", "9", "10", "11", "12", "13", "14", "15") \
                       MJ_ARMV6M_INPUT8("2", "16", "17", "18", "19", "20", "21", "22", "23") \
                       MJ_ARMV6M_INPUT8("3", "24", "25", "26", "27", "28", "29", "30", "31") \
                       "adds %[weights], #32\n adds %[input], #4\n cmp %[input], %[end]\n bne 1b\n" \
                       : [a] "+l"(a), [b] "+l"(b), [c] "+l"(c), [d] "+h"(d8), [e] "+h"(e8), [f] "+h"(f8), \
                         [g] "+h"(g8), [h] "+h"(h8), [input] "+l"(input), [weights] "+l"(weights), [x] "=&l"(x), \
                         [w] "=&l"(w) \
                       : [end] "h"(end8) \
                       : "memory", "cc"); \
        d = d8, e = e8, f = f8, g = g8, h = h8; \
    } while (0)
#define MJ_ARMV6M_SUMS4() \
    do { \
        uint32_t x, w; \
        __asm volatile(".syntax unified\n1:\n" \
                       MJ_ARMV6M_INPUT4("0", "0", "1", "2", "3") MJ_ARMV6M_INPUT4("1", "4", "5", "6", "7") \
                       MJ_ARMV6M_INPUT4("2", "8", "9", "10", "11") MJ_ARMV6M_INPUT4("3", "12", "13", "14", "15") \
                       "adds %[weights], #16\n adds %[input], #4\n cmp %[input], %[end]\n bne 1b\n" \
                       : [a] "+l"(a), [b] "+l"(b), [c] "+l"(c), [d] "+l"(d), [input] "+l"(input), \
                         [weights] "+l"(weights), [x] "=&l"(x), [w] "=&l"(w) \
                       : [end] "h"(end) \
                       : "memory", "cc"); \
    } while (0)
#else
#define MJ_ARMV6M_SUMS4() \
    while (input != end) { \
        const int32_t x = *input++; \
        a += weights[0] * x, b += weights[1] * x, c += weights[2] * x, d += weights[3] * x; \
        weights += 4; \
    }
#define MJ_ARMV6M_SUMS8() \
    while (input != end) { \
        const int32_t x = *input++; \
        a += weights[0] * x, b += weights[1] * x, c += weights[2] * x, d += weights[3] * x; \
        e += weights[4] * x, f += weights[5] * x, g += weights[6] * x, h += weights[7] * x; \
        weights += 8; \
    }
#endif

/* count: inputs, filled up to four with zeros. weights: as many groups of eight channels as there are, (count, 8) each;
 * for 1 to 4 more channels one of (count, 4), for 5 to 7 one of eight. */
struct mj_armv6m_pixel {
    int32_t count, sum, channels, low, high;
};

/* Eight sums, or four, of the channels from `weights` on; returns the next ones' weights. */
MJ_INLINE const uint8_t *mj_armv6m_sums(const uint8_t *input, const struct mj_armv6m_pixel *pixel, int32_t eight,
                                        const uint8_t *weights, int32_t *sums)
{
    const uint8_t *const end = input + pixel->count;
    int32_t a = -128 * pixel->sum, b = a, c = a, d = a;
    if (eight) {
        int32_t e = a, f = a, g = a, h = a;
        MJ_ARMV6M_SUMS8();
        sums[4] = e, sums[5] = f, sums[6] = g, sums[7] = h;
    } else {
        MJ_ARMV6M_SUMS4();
    }
    sums[0] = a, sums[1] = b, sums[2] = c, sums[3] = d;
    return weights;
}

/* The results of one pixel, requantized by lines. */
MJ_SHARED void mj_armv6m_pixel_line(const uint8_t *input, const struct mj_armv6m_pixel *pixel, const uint8_t *weights,
                                    const struct mj_armv6m_line *channel, int8_t *output)
{
    int32_t sums[8], left = pixel->channels;
    for (; left >= 8; left -= 8) {
        weights = mj_armv6m_sums(input, pixel, 1, weights, sums);
        MJ_ARMV6M_STORE_ON_LINE(sums[0], 0);
        MJ_ARMV6M_STORE_ON_LINE(sums[1], 1);
        MJ_ARMV6M_STORE_ON_LINE(sums[2], 2);
        MJ_ARMV6M_STORE_ON_LINE(sums[3], 3);
        MJ_ARMV6M_STORE_ON_LINE(sums[4], 4);
        MJ_ARMV6M_STORE_ON_LINE(sums[5], 5);
        MJ_ARMV6M_STORE_ON_LINE(sums[6], 6);
        MJ_ARMV6M_STORE_ON_LINE(sums[7], 7);
        output += 8;
    }
    if (left > 0)
        mj_armv6m_sums(input, pixel, left > 4, weights, sums);
    for (int32_t i = 0; i < left; i++, output++)
        MJ_ARMV6M_STORE_ON_LINE(sums[i], 0);
}

/* The same by two roundings. */
MJ_SHARED void mj_armv6m_pixel_rounded(const uint8_t *input, const struct mj_armv6m_pixel *pixel,
                                       const uint8_t *weights, const struct mj_armv6m_rounded *channel, int8_t *output)
{
    int32_t sums[8];
    for (int32_t left = pixel->channels; left > 0; left -= 8) {
        weights = mj_armv6m_sums(input, pixel, left > 4, weights, sums);
        for (int32_t i = 0; i < 8 && i < left; i++)
            *output++ = (int8_t)mj_clamp(mj_armv6m_round(sums[i], channel++), pixel->low, pixel->high);
    }
}

MJ_INLINE void mj_armv6m_pixel(const uint8_t *input, const struct mj_armv6m_pixel *pixel, int32_t by_line,
                               const uint8_t *weights, const int32_t *table, int8_t *output)
{
    if (by_line)
        mj_armv6m_pixel_line(input, pixel, weights, (const struct mj_armv6m_line *)(const void *)table, output);
    else
        mj_armv6m_pixel_rounded(input, pixel, weights, (const struct mj_armv6m_rounded *)(const void *)table, output);
}

/* by_line: whether channels are requantized by lines. count: weights of an output channel, filled up to four.
 * group_weights: those of a group's channels. input_pixel, output_pixel: as in the portable conv.h. */
struct mj_armv6m_conv2d {
    int32_t input_height, input_width, input_channels;
    int32_t output_height, output_width, output_channels;
    int32_t kernel_height, kernel_width, stride_height, stride_width, dilation_height, dilation_width;
    int32_t padding_top, padding_left;
    int32_t groups, by_line, count, group_weights, input_pixel, output_pixel;
    int32_t input_zero_point, output_low, output_high;
};

/* weight: groups of group_weights, each as in struct mj_armv6m_pixel. table: struct mj_armv6m_line, or …_rounded, of each
 * channel. scratch: count bytes. */
MJ_INLINE void mj_armv6m_conv2d_row(const struct mj_armv6m_conv2d p, const int8_t *const *rows, const uint8_t *weight,
                                    const int32_t *table, int8_t *scratch, int8_t *output)
{
    const int32_t inputs = p.input_channels / p.groups, channels = p.output_channels / p.groups;
    const int32_t numbers = p.by_line ? 5 : 4;
    struct mj_armv6m_pixel pixel = {p.count, 0, channels, p.output_low, p.output_high};
    uint8_t *window = (uint8_t *)scratch;
    memset(window + p.count - 4, 0, 4);
    for (int32_t x = 0; x < p.output_width; x++) {
        const int32_t first_x = x * p.stride_width - p.padding_left;
        for (int32_t group = 0; group < p.groups; group++) {
            uint8_t *to = window;
            pixel.sum = 0;
            for (int32_t ky = 0; ky < p.kernel_height; ky++) {
                if (p.groups == 1 && p.dilation_width == 1 &&
                    (p.kernel_width == 1 || p.input_pixel == p.input_channels) && rows[ky] != NULL && first_x >= 0 &&
                    first_x + p.kernel_width <= p.input_width) {
                    const int8_t *from = rows[ky] + first_x * p.input_pixel;
                    pixel.sum += mj_armv6m_copy(from, to, p.kernel_width * inputs, inputs);
                    to += p.kernel_width * inputs;
                    continue;
                }
                for (int32_t kx = 0; kx < p.kernel_width; kx++) {
                    const int32_t in_x = first_x + kx * p.dilation_width;
                    if (rows[ky] != NULL && in_x >= 0 && in_x < p.input_width) {
                        const int8_t *from = rows[ky] + in_x * p.input_pixel + group * inputs;
                        pixel.sum += mj_armv6m_copy_bytes(from, to, inputs);
                    } else {
                        memset(to, p.input_zero_point + 128, (size_t)inputs);
                        pixel.sum += (p.input_zero_point + 128) * inputs;
                    }
                    to += inputs;
                }
            }
            mj_armv6m_pixel(window, &pixel, p.by_line, weight + group * p.group_weights,
                            table + group * channels * numbers, output + group * channels);
        }
        output += p.output_pixel;
    }
}

MJ_INLINE void mj_armv6m_conv2d(const struct mj_armv6m_conv2d p, const int8_t *input, const uint8_t *weight,
                                const int32_t *table, int8_t *scratch, int8_t *output)
{
    const int8_t *rows[p.kernel_height];
    for (int32_t out_y = 0; out_y < p.output_height; out_y++) {
        mj_window_rows(rows, input, p.input_width * p.input_pixel, out_y, p.stride_height, p.padding_top,
                       p.kernel_height, p.dilation_height, p.input_height);
        mj_armv6m_conv2d_row(p, rows, weight, table, scratch, output);
        output += p.output_width * p.output_pixel;
    }
}

#endif
