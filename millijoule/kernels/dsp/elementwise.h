/* int8 addition by table. The output may lie over either input.
 *
 * a_step, b_step, output_pixel: as in the portable elementwise.h. */
#ifndef MJ_DSP_ELEMENTWISE_H
#define MJ_DSP_ELEMENTWISE_H

#include "instructions.h"

struct mj_dsp_add {
    int32_t positions, channels, a_step, b_step, output_pixel;
    int32_t multiplier, offset, shift;
    int32_t output_low, output_high;
};

/* a_table, b_table: twice what each int8, from -128 to 127, adds to the sum. */
MJ_INLINE void mj_dsp_add(struct mj_dsp_add p, const int8_t *a, const int8_t *b, const int32_t *a_table,
                          const int32_t *b_table, int8_t *output)
{
    const struct mj_dsp_scaling scaling = {p.multiplier, p.offset, p.shift};
    const int32_t *const of_a = a_table + 128, *const of_b = b_table + 128;
    if (p.a_step == p.channels && p.b_step == p.channels && p.output_pixel == p.channels) {
        p.channels *= p.positions; /* one run */
        p.positions = 1;
    }
    for (int32_t position = 0; position < p.positions; position++) {
        int8_t *const to = output + position * p.output_pixel;
#pragma GCC unroll 4
        for (int32_t i = 0; i < p.channels; i++) {
            const int32_t doubled = of_a[a[i]] + of_b[b[i]];
            to[i] = mj_dsp_requantize(doubled, doubled >> 31, scaling);
        }
        a += p.a_step;
        b += p.b_step;
    }
    mj_dsp_clamp_pixels(output, p.positions, p.output_pixel, p.channels, p.output_low, p.output_high);
}

#endif
