/* int8 fully connected layers for the dual 16-bit multiplications: four outputs at a time, weights as in block.h. */
#ifndef MJ_DSP_DENSE_H
#define MJ_DSP_DENSE_H

#include "block.h"

/* inputs: a multiple of 4 * unroll. scaling_step: 3, or 0 where all outputs have the same scaling. wide: whether weights
 * are int16, see block.h. */
struct mj_dsp_dense {
    int32_t inputs, outputs, unroll, wide;
    int32_t scaling_step;
    int32_t output_low, output_high;
};

#if MJ_DSP
#define MJ_DSP_DENSE_INPUTS_packed \
    "sxtab16 %[first], %[offset], %[x], ror #8\n and %[x], %[mask], %[x], lsl #8\n ssub16 %[x], %[x], %[first]\n"
#define MJ_DSP_DENSE_INPUTS_wide "sxtb16 %[first], %[x]\n sxtb16 %[x], %[x], ror #8\n"
#define MJ_DSP_DENSE_SECOND_packed "sxtb16 r3, r3\n sxtb16 r4, r4\n sxtb16 r5, r5\n sxtb16 r6, r6\n"
#define MJ_DSP_DENSE_SECOND_wide "ldmia %[weights]!, {r3, r4, r5, r6}\n"
/* Fixed registers, for a load of several needs them in ascending order. */
#define MJ_DSP_DENSE_MACS(unroll, kind) \
    uint32_t x, first; \
    __asm volatile(".rept " #unroll "\n" \
                   "ldr %[x], [%[input]], #4\n" \
                   "ldmia %[weights]!, {r3, r4, r5, r6}\n" \
                   MJ_DSP_DENSE_INPUTS_##kind \
                   "smlad %[a], r3, %[first], %[a]\n smlad %[b], r4, %[first], %[b]\n" \
                   "smlad %[c], r5, %[first], %[c]\n smlad %[d], r6, %[first], %[d]\n" \
                   MJ_DSP_DENSE_SECOND_##kind \
                   "smlad %[a], r3, %[x], %[a]\n smlad %[b], r4, %[x], %[b]\n" \
                   "smlad %[c], r5, %[x], %[c]\n smlad %[d], r6, %[x], %[d]\n" \
                   ".endr" \
                   : [a] "+r"(a), [b] "+r"(b), [c] "+r"(c), [d] "+r"(d), [input] "+r"(input), \
                     [weights] "+r"(weights), [x] "=&r"(x), [first] "=&r"(first) \
                   : [offset] "r"(0xff81ff81u), [mask] "r"(0xff00ff00u) \
                   : "memory", "r3", "r4", "r5", "r6")
#else
#define MJ_DSP_DENSE_WORDS_packed 4
#define MJ_DSP_DENSE_WORDS_wide 8
#define MJ_DSP_DENSE_SECOND_packed(i) mj_sxtb16(weights[i])
#define MJ_DSP_DENSE_SECOND_wide(i) weights[4 + (i)]
#define MJ_DSP_DENSE_MACS(unroll, kind) \
    for (int32_t i = 0; i < (unroll); i++) { \
        uint32_t two[2]; \
        mj_dsp_widen_##kind(mj_load32(input), two, 1); \
        a = mj_smlad(MJ_DSP_DENSE_SECOND_##kind(0), two[1], mj_smlad(weights[0], two[0], a)); \
        b = mj_smlad(MJ_DSP_DENSE_SECOND_##kind(1), two[1], mj_smlad(weights[1], two[0], b)); \
        c = mj_smlad(MJ_DSP_DENSE_SECOND_##kind(2), two[1], mj_smlad(weights[2], two[0], c)); \
        d = mj_smlad(MJ_DSP_DENSE_SECOND_##kind(3), two[1], mj_smlad(weights[3], two[0], d)); \
        input += 4, weights += MJ_DSP_DENSE_WORDS_##kind; \
    }
#endif

#define MJ_DSP_DENSE_RESULT(sum, index) \
    mj_dsp_requantize((sum) >> 7, (sum) >> 31, *(const struct mj_dsp_scaling *)(const void *)(scaling + (index)*step))

/* Outputs by fours; one copy for all layers. */
#define MJ_DSP_DENSE(unroll, kind) \
    MJ_SHARED void mj_dsp_dense_##unroll##_##kind(const int8_t *first_input, int32_t inputs, const uint32_t *weights, \
                                                  const int32_t *bias, const int32_t *scaling, int32_t step, \
                                                  int32_t outputs, int8_t *output) \
    { \
        const int8_t *const end = first_input + inputs; \
        for (int32_t left = outputs; left > 0; left -= 4) { \
            const int8_t *input = first_input; \
            int32_t a = bias[0], b = bias[1], c = bias[2], d = bias[3]; \
            do { \
                MJ_DSP_DENSE_MACS(unroll, kind); \
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
MJ_DSP_DENSE(1, packed)
MJ_DSP_DENSE(2, packed)
MJ_DSP_DENSE(4, packed)
MJ_DSP_DENSE(1, wide)
MJ_DSP_DENSE(2, wide)
MJ_DSP_DENSE(4, wide)

#define MJ_DSP_DENSE_CASE(unroll) \
    case unroll: \
        if (p.wide) \
            mj_dsp_dense_##unroll##_wide(input, p.inputs, words, bias, scaling, p.scaling_step, p.outputs, output); \
        else \
            mj_dsp_dense_##unroll##_packed(input, p.inputs, words, bias, scaling, p.scaling_step, p.outputs, output); \
        break;

/* weight: (outputs filled up to four / 4, inputs / 4, 4) words, if wide (…, inputs / 2, 4). bias: as in block.h, filled up
 * to four. */
MJ_INLINE void mj_dsp_dense(const struct mj_dsp_dense p, const int8_t *input, const int8_t *weight,
                            const int32_t *bias, const int32_t *scaling, int8_t *output)
{
    const uint32_t *words = (const uint32_t *)(const void *)weight;
    switch (p.unroll) {
        MJ_DSP_DENSE_CASE(1)
        MJ_DSP_DENSE_CASE(2)
        MJ_DSP_DENSE_CASE(4)
    }
    if (p.output_low > INT8_MIN || p.output_high < INT8_MAX)
        mj_dsp_clamp(output, p.outputs, p.output_low, p.output_high);
}

#endif
