/* int8 fully connected layers by vectors: a block of one pixel. */
#ifndef MJ_MVE_DENSE_H
#define MJ_MVE_DENSE_H

#include "block.h"

/* steps: 16 inputs each, all there are, in a multiple of `unroll`. */
struct mj_mve_dense {
    int32_t outputs, steps, unroll;
    int32_t output_zero_point, output_low, output_high, ties_away;
};

/* weight, table: as in block.h. */
MJ_INLINE void mj_mve_dense(const struct mj_mve_dense p, const int8_t *input, const int8_t *weight,
                            const int32_t *table, int8_t *output)
{
    struct mj_mve_block block = {
        .pixel = {input},
        .weights = weight,
        .table = table,
        .channels = p.outputs,
        .zero_point = p.output_zero_point,
        .ties_away = p.ties_away,
    };
    mj_mve_choose(&block, p.steps, p.unroll);
    mj_mve_one(&block, output);
    if (p.output_low > INT8_MIN || p.output_high < INT8_MAX)
        mj_mve_clamp(output, p.outputs, p.output_low, p.output_high);
}


#endif
