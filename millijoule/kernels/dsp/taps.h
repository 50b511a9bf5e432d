/* int8 convolutions for the dual 16-bit multiplications without working memory: pixel by pixel, four output channels at a
 * time, from where the inputs lie.
 *
 * `…_pixel` computes one pixel of the output. taps: the input pixel under each place of the kernel, row by row, NULL where
 * it lies outside the map; `…_row` as in the portable conv.h. In place of pixels outside, `outside` is read: the zero point
 * for each input channel.
 */
#ifndef MJ_DSP_TAPS_H
#define MJ_DSP_TAPS_H

#include "../window.h"
#include "dense.h"

/* input_channels: a multiple of 4 * unroll. by_line: whether channels are requantized by lines. wide: whether weights are
 * int16, see block.h. */
struct mj_dsp_taps_conv2d {
    int32_t input_height, input_width, input_channels;
    int32_t output_height, output_width, output_channels;
    int32_t kernel_height, kernel_width, stride_height, stride_width, dilation_height, dilation_width;
    int32_t padding_top, padding_left;
    int32_t unroll, by_line, wide, output_low, output_high;
};

#define MJ_DSP_TAPS_RESULT(kind, sum, index) \
    MJ_DSP_RESULT_##kind(sum, mj_dsp_scaling_##kind(stream + (index)*MJ_DSP_WORDS_##kind))

/* stream: for each four channels, filled up to four, what their sums start from; for each four inputs their words of
 * weights, as in dense.h; their scalings. One copy for all layers. */
#define MJ_DSP_TAPS(unroll, kind, weights_kind) \
    MJ_SHARED void mj_dsp_taps_##unroll##_##kind##_##weights_kind(const int8_t *const *taps, int32_t count, \
                                                                  int32_t inputs, const uint32_t *stream, \
                                                                  int32_t channels, int8_t *output) \
    { \
        const int8_t *const *const taps_end = taps + count; \
        for (int32_t left = channels; left > 0; left -= 4) { \
            const int8_t *const *tap = taps; \
            const uint32_t *weights = stream + 4; \
            int32_t a = (int32_t)stream[0], b = (int32_t)stream[1], c = (int32_t)stream[2], d = (int32_t)stream[3]; \
            do { \
                const int8_t *input = *tap++, *const end = input + inputs; \
                do { \
                    MJ_DSP_DENSE_MACS(unroll, weights_kind); \
                } while (input != end); \
            } while (tap != taps_end); \
            stream = weights; \
            *output++ = MJ_DSP_TAPS_RESULT(kind, a, 0); \
            if (left > 1) \
                *output++ = MJ_DSP_TAPS_RESULT(kind, b, 1); \
            if (left > 2) \
                *output++ = MJ_DSP_TAPS_RESULT(kind, c, 2); \
            if (left > 3) \
                *output++ = MJ_DSP_TAPS_RESULT(kind, d, 3); \
            stream += 4 * MJ_DSP_WORDS_##kind; \
        } \
    }
#define MJ_DSP_TAPS_KINDS(unroll) \
    MJ_DSP_TAPS(unroll, rounded, packed) \
    MJ_DSP_TAPS(unroll, rounded, wide) \
    MJ_DSP_TAPS(unroll, line, packed) \
    MJ_DSP_TAPS(unroll, line, wide)

MJ_DSP_TAPS_KINDS(1)
MJ_DSP_TAPS_KINDS(2)
MJ_DSP_TAPS_KINDS(3)
MJ_DSP_TAPS_KINDS(4)
MJ_DSP_TAPS_KINDS(5)
MJ_DSP_TAPS_KINDS(6)
MJ_DSP_TAPS_KINDS(7)
MJ_DSP_TAPS_KINDS(8)

#define MJ_DSP_TAPS_CALL(unroll, kind, weights_kind) \
    mj_dsp_taps_##unroll##_##kind##_##weights_kind(taps, p.kernel_height * p.kernel_width, p.input_channels, \
                                                   (const uint32_t *)stream, p.output_channels, output)
#define MJ_DSP_TAPS_CASE(unroll) \
    case unroll: \
        if (p.by_line && p.wide) \
            MJ_DSP_TAPS_CALL(unroll, line, wide); \
        else if (p.by_line) \
            MJ_DSP_TAPS_CALL(unroll, line, packed); \
        else if (p.wide) \
            MJ_DSP_TAPS_CALL(unroll, rounded, wide); \
        else \
            MJ_DSP_TAPS_CALL(unroll, rounded, packed); \
        break;

MJ_INLINE void mj_dsp_taps_conv2d_pixel(const struct mj_dsp_taps_conv2d p, const int8_t **taps, const int8_t *outside,
                                        const int32_t *stream, int8_t *output)
{
    mj_taps_outside(taps, p.kernel_height * p.kernel_width, outside);
    switch (p.unroll) {
        MJ_DSP_TAPS_CASE(1)
        MJ_DSP_TAPS_CASE(2)
        MJ_DSP_TAPS_CASE(3)
        MJ_DSP_TAPS_CASE(4)
        MJ_DSP_TAPS_CASE(5)
        MJ_DSP_TAPS_CASE(6)
        MJ_DSP_TAPS_CASE(7)
        MJ_DSP_TAPS_CASE(8)
    }
    if (p.output_low > INT8_MIN || p.output_high < INT8_MAX)
        mj_dsp_clamp(output, p.output_channels, p.output_low, p.output_high);
}

MJ_INLINE void mj_dsp_taps_conv2d_row(const struct mj_dsp_taps_conv2d p, const int8_t *const *rows,
                                      const int8_t *outside, const int32_t *stream, int8_t *output)
{
    const int8_t *taps[p.kernel_height * p.kernel_width];
    for (int32_t x = 0; x < p.output_width; x++) {
        mj_window_taps(taps, rows, p.input_channels, x, p.stride_width, p.padding_left, p.kernel_height, p.kernel_width,
                       p.dilation_width, p.input_width);
        mj_dsp_taps_conv2d_pixel(p, taps, outside, stream, output + x * p.output_channels);
    }
}

MJ_INLINE void mj_dsp_taps_conv2d(const struct mj_dsp_taps_conv2d p, const int8_t *input, const int8_t *outside,
                                  const int32_t *stream, int8_t *output)
{
    const int8_t *rows[p.kernel_height];
    for (int32_t y = 0; y < p.output_height; y++) {
        mj_window_rows(rows, input, p.input_width * p.input_channels, y, p.stride_height, p.padding_top, p.kernel_height,
                       p.dilation_height, p.input_height);
        mj_dsp_taps_conv2d_row(p, rows, outside, stream, output + y * p.output_width * p.output_channels);
    }
}

/* turn: places of the kernel in one turn of the loop; a divisor of all. */
struct mj_dsp_taps_depthwise_conv2d {
    int32_t input_height, input_width, channels;
    int32_t output_height, output_width;
    int32_t kernel_height, kernel_width, stride_height, stride_width, dilation_height, dilation_width;
    int32_t padding_top, padding_left;
    int32_t turn, by_line, output_low, output_high;
};

/* Four channels of two places, or of one: the weights of a channel are a word, of two places or of one and zero. */
#if MJ_DSP
#define MJ_DSP_TAP(tap, half) \
    "sxtb16 %[t], %[" tap "]\n sxtb16 %[" tap "], %[" tap "], ror #8\n" \
    "smlab" half " %[a], %[t], r3, %[a]\n smlab" half " %[b], %[" tap "], r4, %[b]\n" \
    "smlat" half " %[c], %[t], r5, %[c]\n smlat" half " %[d], %[" tap "], r6, %[d]\n"
#define MJ_DSP_TAP_PAIRS(pairs, odd) \
    uint32_t p, q, t; \
    __asm volatile(".rept " #pairs "\n" \
                   "ldrd %[p], %[q], [%[tap]], #8\n ldmia %[weights]!, {r3, r4, r5, r6}\n" \
                   "ldr %[p], [%[p], %[at]]\n ldr %[q], [%[q], %[at]]\n" \
                   MJ_DSP_TAP("p", "b") MJ_DSP_TAP("q", "t") \
                   ".endr\n" \
                   ".rept " #odd "\n" \
                   "ldr %[p], [%[tap]], #4\n ldmia %[weights]!, {r3, r4, r5, r6}\n ldr %[p], [%[p], %[at]]\n" \
                   MJ_DSP_TAP("p", "b") \
                   ".endr" \
                   : [a] "+r"(a), [b] "+r"(b), [c] "+r"(c), [d] "+r"(d), [tap] "+r"(tap), [weights] "+r"(weights), \
                     [p] "=&r"(p), [q] "=&r"(q), [t] "=&r"(t) \
                   : [at] "r"(at) \
                   : "memory", "r3", "r4", "r5", "r6")
#else
MJ_INLINE int32_t mj_dsp_tap(int32_t sum, int32_t x, uint32_t weights, int32_t top)
{
    return mj_wrapping_add(sum, x * (top ? mj_top(weights) : mj_bottom(weights)));
}

#define MJ_DSP_TAP_PAIRS(pairs, odd) \
    for (int32_t i = 0; i < 2 * (pairs) + (odd); i++, tap++) { \
        a = mj_dsp_tap(a, (*tap)[at], weights[0], i % 2); \
        b = mj_dsp_tap(b, (*tap)[at + 1], weights[1], i % 2); \
        c = mj_dsp_tap(c, (*tap)[at + 2], weights[2], i % 2); \
        d = mj_dsp_tap(d, (*tap)[at + 3], weights[3], i % 2); \
        weights += i % 2 || i == 2 * (pairs) ? 4 : 0; \
    }
#endif

/* The function for turns of 2 * pairs + odd places. stream: for each four channels, the last of which begin earlier so that
 * all four exist, what their sums start from, their words of weights, and their scalings. One copy for all layers. */
#define MJ_DSP_TAPS_DEPTHWISE(turn, pairs, odd, kind) \
    MJ_SHARED void mj_dsp_taps_depthwise_##turn##_##kind(const int8_t *const *taps, int32_t count, \
                                                         const uint32_t *stream, int32_t channels, int8_t *output) \
    { \
        const int8_t *const *const taps_end = taps + count; \
        for (int32_t at = 0; at < channels; at = mj_dsp_next_four(at, channels)) { \
            const int8_t *const *tap = taps; \
            const uint32_t *weights = stream + 4; \
            int32_t a = (int32_t)stream[0], b = (int32_t)stream[1], c = (int32_t)stream[2], d = (int32_t)stream[3]; \
            do { \
                MJ_DSP_TAP_PAIRS(pairs, odd); \
            } while (tap != taps_end); \
            stream = weights; \
            output[at] = MJ_DSP_TAPS_RESULT(kind, a, 0); \
            output[at + 1] = MJ_DSP_TAPS_RESULT(kind, b, 1); \
            output[at + 2] = MJ_DSP_TAPS_RESULT(kind, c, 2); \
            output[at + 3] = MJ_DSP_TAPS_RESULT(kind, d, 3); \
            stream += 4 * MJ_DSP_WORDS_##kind; \
        } \
    }
#define MJ_DSP_TAPS_DEPTHWISE_KINDS(turn, pairs, odd) \
    MJ_DSP_TAPS_DEPTHWISE(turn, pairs, odd, rounded) \
    MJ_DSP_TAPS_DEPTHWISE(turn, pairs, odd, line)

MJ_DSP_TAPS_DEPTHWISE_KINDS(1, 0, 1)
MJ_DSP_TAPS_DEPTHWISE_KINDS(2, 1, 0)
MJ_DSP_TAPS_DEPTHWISE_KINDS(3, 1, 1)
MJ_DSP_TAPS_DEPTHWISE_KINDS(4, 2, 0)
MJ_DSP_TAPS_DEPTHWISE_KINDS(5, 2, 1)
MJ_DSP_TAPS_DEPTHWISE_KINDS(6, 3, 0)
MJ_DSP_TAPS_DEPTHWISE_KINDS(7, 3, 1)
MJ_DSP_TAPS_DEPTHWISE_KINDS(8, 4, 0)
MJ_DSP_TAPS_DEPTHWISE_KINDS(9, 4, 1)

#define MJ_DSP_TAPS_DEPTHWISE_CASE(turn) \
    case turn: \
        if (p.by_line) \
            mj_dsp_taps_depthwise_##turn##_line(taps, count, (const uint32_t *)stream, p.channels, output); \
        else \
            mj_dsp_taps_depthwise_##turn##_rounded(taps, count, (const uint32_t *)stream, p.channels, output); \
        break;

MJ_INLINE void mj_dsp_taps_depthwise_conv2d_pixel(const struct mj_dsp_taps_depthwise_conv2d p, const int8_t **taps,
                                                  const int8_t *outside, const int32_t *stream, int8_t *output)
{
    const int32_t count = p.kernel_height * p.kernel_width;
    mj_taps_outside(taps, count, outside);
    switch (p.turn) {
        MJ_DSP_TAPS_DEPTHWISE_CASE(1)
        MJ_DSP_TAPS_DEPTHWISE_CASE(2)
        MJ_DSP_TAPS_DEPTHWISE_CASE(3)
        MJ_DSP_TAPS_DEPTHWISE_CASE(4)
        MJ_DSP_TAPS_DEPTHWISE_CASE(5)
        MJ_DSP_TAPS_DEPTHWISE_CASE(6)
        MJ_DSP_TAPS_DEPTHWISE_CASE(7)
        MJ_DSP_TAPS_DEPTHWISE_CASE(8)
        MJ_DSP_TAPS_DEPTHWISE_CASE(9)
    }
    if (p.output_low > INT8_MIN || p.output_high < INT8_MAX)
        mj_dsp_clamp(output, p.channels, p.output_low, p.output_high);
}

MJ_INLINE void mj_dsp_taps_depthwise_conv2d_row(const struct mj_dsp_taps_depthwise_conv2d p, const int8_t *const *rows,
                                                const int8_t *outside, const int32_t *stream, int8_t *output)
{
    const int8_t *taps[p.kernel_height * p.kernel_width];
    for (int32_t x = 0; x < p.output_width; x++) {
        mj_window_taps(taps, rows, p.channels, x, p.stride_width, p.padding_left, p.kernel_height, p.kernel_width,
                       p.dilation_width, p.input_width);
        mj_dsp_taps_depthwise_conv2d_pixel(p, taps, outside, stream, output + x * p.channels);
    }
}

MJ_INLINE void mj_dsp_taps_depthwise_conv2d(const struct mj_dsp_taps_depthwise_conv2d p, const int8_t *input,
                                            const int8_t *outside, const int32_t *stream, int8_t *output)
{
    const int8_t *rows[p.kernel_height];
    for (int32_t y = 0; y < p.output_height; y++) {
        mj_window_rows(rows, input, p.input_width * p.channels, y, p.stride_height, p.padding_top, p.kernel_height,
                       p.dilation_height, p.input_height);
        mj_dsp_taps_depthwise_conv2d_row(p, rows, outside, stream, output + y * p.output_width * p.channels);
    }
}

#endif
