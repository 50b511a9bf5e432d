/* int8 convolutions and fully connected layers in C for Thumb-1: four output channels of one pixel at a time.
 *
 * A weight is stored plus 128, for only unsigned bytes can be loaded at a constant offset; the sum of the inputs times 128
 * is taken off again. The input's zero point is in the bias. `…_row` as in the portable conv.h.
 */
#ifndef MJ_ARMV6M_CONV_H
#define MJ_ARMV6M_CONV_H

#include "../memory.h"
#include "../window.h"

/* Of one output channel; the scaling is that of mj_armv6m_requantize. */
struct mj_armv6m_channel {
    int32_t bias, multiplier, offset, shift;
};

/* TFLite's requantization, rounded twice, without a 64-bit product; not clamped.
 *
 * Equal to mj_multiply_by_quantized_multiplier, plus the zero point, where 1 <= shift <= 22 is its negative shift, offset
 * = 2^(shift - 1) + (zero point << shift), multiplier >= 0 and |sum| < 2^30: kernels/dsp/instructions.h has the proof.
 */
MJ_INLINE int32_t mj_armv6m_requantize(int32_t sum, const struct mj_armv6m_channel *channel)
{
    const int32_t doubled = sum * 2, top = doubled >> 16;
    const uint32_t bottom = (uint32_t)doubled & 0xffff;
    const uint32_t multiplier_top = (uint32_t)channel->multiplier >> 16;
    const uint32_t multiplier_bottom = (uint32_t)channel->multiplier & 0xffff;
    const uint32_t up = bottom * multiplier_top + (bottom * multiplier_bottom >> 16);
    const int32_t down = (int32_t)((uint32_t)top * multiplier_bottom);
    const uint32_t carry = ((up & 0xffff) + ((uint32_t)down & 0xffff) + 0x8000) >> 16;
    const int32_t high = top * (int32_t)multiplier_top + (down >> 16) + (int32_t)(up >> 16) + (int32_t)carry;
    return (high + channel->offset + (sum >> 31)) >> channel->shift;
}

MJ_INLINE int32_t mj_armv6m_total(const int8_t *input, int32_t count)
{
    int32_t total = 0;
    for (int32_t i = 0; i < count; i++)
        total += input[i];
    return total;
}

/* Eight inputs times four channels, in one statement for all eight low registers there are. */
#if defined(__thumb__) && !defined(__thumb2__)
#define MJ_ARMV6M_INPUT(at, w0, w1, w2, w3) \
    "ldrb %[x], [%[input], #" at "]\n sxtb %[x], %[x]\n" \
    "ldrb %[w], [%[weights], #" w0 "]\n muls %[w], %[x]\n adds %[a], %[w]\n" \
    "ldrb %[w], [%[weights], #" w1 "]\n muls %[w], %[x]\n adds %[b], %[w]\n" \
    "ldrb %[w], [%[weights], #" w2 "]\n muls %[w], %[x]\n adds %[c], %[w]\n" \
    "ldrb %[w], [%[weights], #" w3 "]\n muls %[w], %[x]\n adds %[d], %[w]\n"
#define MJ_ARMV6M_EIGHT() \
    do { \
        int32_t x, w; \
        __asm volatile(".syntax unified\n" \
                       MJ_ARMV6M_INPUT("0", "0", "1", "2", "3") MJ_ARMV6M_INPUT("1", "4", "5", "6", "7") \
                       MJ_ARMV6M_INPUT("2", "8", "9", "10", "11") MJ_ARMV6M_INPUT("3", "12", "13", "14", "15") \
                       MJ_ARMV6M_INPUT("4", "16", "17", "18", "19") MJ_ARMV6M_INPUT("5", "20", "21", "22", "23") \
                       MJ_ARMV6M_INPUT("6", "24", "25", "26", "27") MJ_ARMV6M_INPUT("7", "28", "29", "30", "31") \
                       "adds %[input], #8\n adds %[weights], #32\n" \
                       : [a] "+l"(a), [b] "+l"(b), [c] "+l"(c), [d] "+l"(d), [input] "+l"(input), \
                         [weights] "+l"(weights), [x] "=&l"(x), [w] "=&l"(w) \
                       : \
                       : "memory", "cc"); \
    } while (0)
#else
#define MJ_ARMV6M_EIGHT() \
    for (int32_t i = 0; i < 8; i++) { \
        const int32_t x = *input++; \
        a += weights[0] * x, b += weights[1] * x, c += weights[2] * x, d += weights[3] * x; \
        weights += 4; \
    }
#endif

/* The results of one pixel. input: `count` bytes. weights: (channels filled up to four / 4, count, 4). */
MJ_SHARED void mj_armv6m_pixel(const int8_t *first_input, int32_t count, const uint8_t *weights,
                               const struct mj_armv6m_channel *channel, int32_t channels, int32_t low, int32_t high,
                               int8_t *output)
{
    const int32_t excess = 128 * mj_armv6m_total(first_input, count);
    for (int32_t left = channels; left > 0; left -= 4) {
        const int8_t *input = first_input;
        int32_t a = -excess, b = a, c = a, d = a;
        for (int32_t rest = count / 8; rest > 0; rest--)
            MJ_ARMV6M_EIGHT();
        for (int32_t rest = count % 8; rest > 0; rest--) {
            const int32_t x = *input++;
            a += weights[0] * x;
            b += weights[1] * x;
            c += weights[2] * x;
            d += weights[3] * x;
            weights += 4;
        }
        const int32_t sums[4] = {a, b, c, d};
        for (int32_t i = 0; i < 4 && i < left; i++) {
            *output++ = (int8_t)mj_clamp(mj_armv6m_requantize(sums[i] + channel->bias, channel), low, high);
            channel++;
        }
        if (left < 4)
            break;
    }
}

struct mj_armv6m_conv2d {
    int32_t input_height, input_width, input_channels;
    int32_t output_height, output_width, output_channels;
    int32_t kernel_height, kernel_width, stride_height, stride_width, dilation_height, dilation_width;
    int32_t padding_top, padding_left;
    int32_t groups;
    int32_t input_zero_point, output_low, output_high;
};

/* weight: (groups, output channels of a group filled up to four / 4, weights of one, 4). table: (groups, output channels
 * of a group filled up to four). scratch: a window of a group. */
MJ_INLINE void mj_armv6m_conv2d_row(const struct mj_armv6m_conv2d p, const int8_t *const *rows, const uint8_t *weight,
                                    const int32_t *table, int8_t *scratch, int8_t *output)
{
    const int32_t inputs = p.input_channels / p.groups, channels = p.output_channels / p.groups;
    const int32_t filled = (channels + 3) / 4 * 4;
    const int32_t count = p.kernel_height * p.kernel_width * inputs;
    for (int32_t x = 0; x < p.output_width; x++) {
        const int32_t first_x = x * p.stride_width - p.padding_left;
        for (int32_t group = 0; group < p.groups; group++) {
            if (p.kernel_height * p.kernel_width * p.groups == 1 && p.padding_top + p.padding_left == 0 &&
                (p.output_width - 1) * p.stride_width < p.input_width && rows[0] != NULL) {
                mj_armv6m_pixel(rows[0] + first_x * inputs, count, weight,
                                (const struct mj_armv6m_channel *)(const void *)table, channels, p.output_low,
                                p.output_high, output);
                continue;
            }
            int8_t *to = scratch;
            for (int32_t ky = 0; ky < p.kernel_height; ky++) {
                for (int32_t kx = 0; kx < p.kernel_width; kx++) {
                    const int32_t in_x = first_x + kx * p.dilation_width;
                    if (rows[ky] != NULL && in_x >= 0 && in_x < p.input_width) {
                        const int8_t *from = rows[ky] + in_x * p.input_channels + group * inputs;
                        for (int32_t i = 0; i < inputs; i++)
                            to[i] = from[i];
                    } else {
                        for (int32_t i = 0; i < inputs; i++)
                            to[i] = (int8_t)p.input_zero_point;
                    }
                    to += inputs;
                }
            }
            mj_armv6m_pixel(scratch, count, weight + group * filled * count,
                            (const struct mj_armv6m_channel *)(const void *)table + group * filled, channels,
                            p.output_low, p.output_high, output + group * channels);
        }
        output += p.output_channels;
    }
}

MJ_INLINE void mj_armv6m_conv2d(const struct mj_armv6m_conv2d p, const int8_t *input, const uint8_t *weight,
                                const int32_t *table, int8_t *scratch, int8_t *output)
{
    const int8_t *rows[p.kernel_height];
    for (int32_t out_y = 0; out_y < p.output_height; out_y++) {
        mj_window_rows(rows, input, p.input_width * p.input_channels, out_y, p.stride_height, p.padding_top,
                       p.kernel_height, p.dilation_height, p.input_height);
        mj_armv6m_conv2d_row(p, rows, weight, table, scratch, output);
        output += p.output_width * p.output_channels;
    }
}

#endif
