/* int8 fully connected layer, portable. */
#ifndef MJ_DENSE_H
#define MJ_DENSE_H

#include "fixedpoint.h"

struct mj_dense {
    int32_t inputs, outputs;
    int32_t input_zero_point, weight_zero_point, output_zero_point, output_low, output_high;
};

/* weight: (outputs, inputs). */
MJ_INLINE void mj_dense(const struct mj_dense p, const int8_t *input, const int8_t *weight, const int32_t *bias,
                        const int32_t *multiplier, const int8_t *shift, int8_t *output)
{
    for (int32_t out = 0; out < p.outputs; out++) {
        int32_t sum = bias[out];
        for (int32_t i = 0; i < p.inputs; i++)
            sum = mj_wrapping_add(sum, (input[i] - p.input_zero_point) * (weight[i] - p.weight_zero_point));
        weight += p.inputs;
        sum = mj_multiply_by_quantized_multiplier(sum, multiplier[out], shift[out]);
        output[out] = (int8_t)mj_clamp(sum + p.output_zero_point, p.output_low, p.output_high);
    }
}

#endif
