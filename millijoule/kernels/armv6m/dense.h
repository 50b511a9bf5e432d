/* int8 fully connected layers for Thumb-1: as a convolution of one pixel. */
#ifndef MJ_ARMV6M_DENSE_H
#define MJ_ARMV6M_DENSE_H

#include "conv.h"

/* count: inputs, filled up to four. by_line: whether channels are requantized by lines. */
struct mj_armv6m_dense {
    int32_t inputs, count, outputs;
    int32_t by_line, output_low, output_high;
};

/* weight, table: as in struct mj_armv6m_conv2d. scratch: count bytes. */
MJ_INLINE void mj_armv6m_dense(const struct mj_armv6m_dense p, const int8_t *input, const uint8_t *weight,
                               const int32_t *table, int8_t *scratch, int8_t *output)
{
    uint8_t *copy = (uint8_t *)scratch;
    memset(copy + p.count - 4, 0, 4);
    const struct mj_armv6m_pixel pixel = {
        p.count, mj_armv6m_copy(input, copy, p.inputs, p.inputs), p.outputs, p.output_low, p.output_high,
    };
    mj_armv6m_pixel(copy, &pixel, p.by_line, weight, table, output);
}

#endif
