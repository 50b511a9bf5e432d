/* int8 addition by table. The output may lie over either input. */
#ifndef MJ_DSP_ELEMENTWISE_H
#define MJ_DSP_ELEMENTWISE_H

#include "instructions.h"

struct mj_dsp_add {
    int32_t count;
    int32_t multiplier, offset, shift;
    int32_t output_low, output_high;
};

/* a_table, b_table: twice what each int8, from -128 to 127, adds to the sum. */
MJ_INLINE void mj_dsp_add(const struct mj_dsp_add p, const int8_t *a, const int8_t *b, const int32_t *a_table,
                          const int32_t *b_table, int8_t *output)
{
    const struct mj_dsp_scaling scaling = {p.multiplier, p.offset, p.shift};
    const int32_t *const of_a = a_table + 128, *const of_b = b_table + 128;
#pragma GCC unroll 4
    for (int32_t i = 0; i < p.count; i++) {
        const int32_t doubled = of_a[a[i]] + of_b[b[i]];
        output[i] = mj_dsp_requantize(doubled, doubled >> 31, scaling);
    }
    if (p.output_low > INT8_MIN || p.output_high < INT8_MAX)
        mj_dsp_clamp(output, p.count, p.output_low, p.output_high);
}

#endif
