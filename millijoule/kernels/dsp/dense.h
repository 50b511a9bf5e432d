/* int8 fully connected layers for the dual 16-bit multiplications: four outputs at a time, weights as in block.h. */
#ifndef MJ_DSP_DENSE_H
#define MJ_DSP_DENSE_H

#include "block.h"

/* inputs: a multiple of 4 * unroll. scaling_step: 3, or 0 where all outputs have the same scaling. */
struct mj_dsp_dense {
    int32_t inputs, outputs, unroll;
    int32_t scaling_step;
    int32_t output_low, output_high;
};

#if MJ_DSP
/* Fixed registers, for a load of several needs them in ascending order. */
#define MJ_DSP_DENSE_MACS(unroll) \
    __asm volatile(".rept " #unroll "\n" \
                   "ldr %[x], [%[input]], #4\n" \
                   "ldmia %[weights]!, {r3, r4, r5, r6}\n" \
                   "sxtab16 %[first], %[offset], %[x], ror #8\n" \
                   "and %[x], %[mask], %[x], lsl #8\n" \
                   "ssub16 %[x], %[x], %[first]\n" \
                   "smlad %[a], r3, %[first], %[a]\n smlad %[b], r4, %[first], %[b]\n" \
                   "smlad %[c], r5, %[first], %[c]\n smlad %[d], r6, %[first], %[d]\n" \
                   "sxtb16 r3, r3\n sxtb16 r4, r4\n sxtb16 r5, r5\n sxtb16 r6, r6\n" \
                   "smlad %[a], r3, %[x], %[a]\n smlad %[b], r4, %[x], %[b]\n" \
                   "smlad %[c], r5, %[x], %[c]\n smlad %[d], r6, %[x], %[d]\n" \
                   ".endr" \
                   : [a] "+r"(a), [b] "+r"(b), [c] "+r"(c), [d] "+r"(d), [input] "+r"(input), \
                     [weights] "+r"(weights), [x] "=&r"(x), [first] "=&r"(first) \
                   : [offset] "r"(0xff81ff81u), [mask] "r"(0xff00ff00u) \
                   : "memory", "r3", "r4", "r5", "r6")
#else
#define MJ_DSP_DENSE_MACS(unroll) \
    for (int32_t i = 0; i < (unroll); i++) { \
        x = mj_load32(input); \
        first = mj_sxtab16_ror8(0xff81ff81u, x); \
        x = mj_ssub16(x << 8 & 0xff00ff00u, first); \
        a = mj_smlad(mj_sxtb16(weights[0]), x, mj_smlad(weights[0], first, a)); \
        b = mj_smlad(mj_sxtb16(weights[1]), x, mj_smlad(weights[1], first, b)); \
        c = mj_smlad(mj_sxtb16(weights[2]), x, mj_smlad(weights[2], first, c)); \
        d = mj_smlad(mj_sxtb16(weights[3]), x, mj_smlad(weights[3], first, d)); \
        input += 4, weights += 4; \
    }
#endif

#define MJ_DSP_DENSE_RESULT(sum, index) \
    mj_dsp_requantize((sum) >> 7, (sum) >> 31, *(const struct mj_dsp_scaling *)(const void *)(scaling + (index)*step))

/* Outputs by fours; one copy for all layers. */
#define MJ_DSP_DENSE(unroll) \
    MJ_SHARED void mj_dsp_dense_##unroll(const int8_t *first_input, int32_t inputs, const uint32_t *weights, \
                                         const int32_t *bias, const int32_t *scaling, int32_t step, int32_t outputs, \
                                         int8_t *output) \
    { \
        const int8_t *const end = first_input + inputs; \
        for (int32_t left = outputs; left > 0; left -= 4) { \
            const int8_t *input = first_input; \
            int32_t a = bias[0], b = bias[1], c = bias[2], d = bias[3]; \
            uint32_t x, first; \
            do { \
                MJ_DSP_DENSE_MACS(unroll); \
            } while (input != end); \
            *output++ = MJ_DSP_DENSE_RESULT(a, 0); \
            if (left > 1) \
                *output++ = MJ_DSP_DENSE_RESULT(b, 1); \
            if (left > 2) \
                *output++ = MJ_DSP_DENSE_RESULT(c, 2); \
            if (left > 3) \
                *output++ = MJ_DSP_DENSE_RESULT(d, 3); \
            bias += 4; \
            scaling += 4 * step; \
        } \
    }
MJ_DSP_DENSE(1)
MJ_DSP_DENSE(2)
MJ_DSP_DENSE(4)

/* weight: (outputs filled up to four / 4, inputs / 4, 4) words. bias: as in block.h, filled up to four. */
MJ_INLINE void mj_dsp_dense(const struct mj_dsp_dense p, const int8_t *input, const int8_t *weight,
                            const int32_t *bias, const int32_t *scaling, int8_t *output)
{
    const uint32_t *words = (const uint32_t *)(const void *)weight;
    if (p.unroll == 4)
        mj_dsp_dense_4(input, p.inputs, words, bias, scaling, p.scaling_step, p.outputs, output);
    else if (p.unroll == 2)
        mj_dsp_dense_2(input, p.inputs, words, bias, scaling, p.scaling_step, p.outputs, output);
    else
        mj_dsp_dense_1(input, p.inputs, words, bias, scaling, p.scaling_step, p.outputs, output);
    if (p.output_low > INT8_MIN || p.output_high < INT8_MAX)
        mj_dsp_clamp(output, p.outputs, p.output_low, p.output_high);
}

#endif
