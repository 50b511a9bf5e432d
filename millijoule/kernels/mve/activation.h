/* int8 functions of one number by table, 16 at a time. The output may lie over the input.
 *
 * input_pixel, output_pixel: as in the portable conv.h. */
#ifndef MJ_MVE_ACTIVATION_H
#define MJ_MVE_ACTIVATION_H

#include "instructions.h"

struct mj_mve_look_up {
    int32_t positions, channels, input_pixel, output_pixel;
};

/* table: the output for 0 to 127, then for -128 to -1: an input's byte is its place. */
MJ_INLINE void mj_mve_look_up_run(int32_t count, const int8_t *input, const int8_t *table, int8_t *output)
{
#if MJ_MVE
    for (int32_t left = mj_mve_lanes(count); left > 0; left -= 16, input += 16, output += 16) {
        const mve_pred16_t inside = vctp8q((uint32_t)left);
        const uint8x16_t place = vreinterpretq_u8_s8(vldrbq_z_s8(input, inside));
        vstrbq_p_s8(output, vldrbq_gather_offset_z_s8(table, place, inside), inside);
    }
#else
    for (int32_t i = 0; i < count; i++)
        output[i] = table[(uint8_t)input[i]];
#endif
}

MJ_INLINE void mj_mve_look_up(struct mj_mve_look_up p, const int8_t *input, const int8_t *table, int8_t *output)
{
    if (p.input_pixel == p.channels && p.output_pixel == p.channels) {
        p.channels *= p.positions; /* one run */
        p.positions = 1;
    }
    for (int32_t position = 0; position < p.positions; position++, input += p.input_pixel, output += p.output_pixel)
        mj_mve_look_up_run(p.channels, input, table, output);
}

#endif
