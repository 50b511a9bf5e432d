/* int8 fully connected layers in C for Thumb-1: as a convolution of one pixel. */
#ifndef MJ_ARMV6M_DENSE_H
#define MJ_ARMV6M_DENSE_H

#include "conv.h"

struct mj_armv6m_dense {
    int32_t inputs, outputs;
    int32_t output_low, output_high;
};

/* weight: (outputs filled up to four / 4, inputs, 4), plus 128. table: (outputs filled up to four). */
MJ_INLINE void mj_armv6m_dense(const struct mj_armv6m_dense p, const int8_t *input, const uint8_t *weight,
                               const int32_t *table, int8_t *output)
{
    mj_armv6m_pixel(input, p.inputs, weight, (const struct mj_armv6m_channel *)(const void *)table, p.outputs,
                    p.output_low, p.output_high, output);
}

#endif
