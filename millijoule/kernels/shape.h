/* Operators that move bytes. */
#ifndef MJ_SHAPE_H
#define MJ_SHAPE_H

#include "fixedpoint.h"
#include "memory.h"

struct mj_pad {
    int32_t input_height, input_row_bytes;
    int32_t top_bytes, bottom_bytes, left_bytes, right_bytes;
    int32_t zero_point;
};

MJ_INLINE void mj_pad(const struct mj_pad p, const int8_t *input, int8_t *output)
{
    memset(output, p.zero_point, (size_t)p.top_bytes);
    output += p.top_bytes;
    for (int32_t row = 0; row < p.input_height; row++) {
        memset(output, p.zero_point, (size_t)p.left_bytes);
        memcpy(output + p.left_bytes, input, (size_t)p.input_row_bytes);
        memset(output + p.left_bytes + p.input_row_bytes, p.zero_point, (size_t)p.right_bytes);
        input += p.input_row_bytes;
        output += p.left_bytes + p.input_row_bytes + p.right_bytes;
    }
    memset(output, p.zero_point, (size_t)p.bottom_bytes);
}

/* One row: rows[0], or one of padding where it is NULL. */
MJ_INLINE void mj_pad_row(const struct mj_pad p, const int8_t *const *rows, int8_t *output)
{
    if (rows[0] == NULL)
        memset(output, p.zero_point, (size_t)(p.input_height * (p.left_bytes + p.input_row_bytes + p.right_bytes)));
    else
        mj_pad(p, rows[0], output);
}

/* input_pixel, output_pixel: as in conv.h. */
struct mj_copy_pixels {
    int32_t positions, channels, input_pixel, output_pixel, output_offset;
};

/* Each input pixel goes to output_offset in the output's. */
MJ_INLINE void mj_copy_pixels(const struct mj_copy_pixels p, const int8_t *input, int8_t *output)
{
    for (int32_t position = 0; position < p.positions; position++)
        memcpy(output + position * p.output_pixel + p.output_offset, input + position * p.input_pixel,
               (size_t)p.channels);
}

struct mj_strided_copy {
    int32_t size0, size1, size2, size3, size4;
    int32_t stride0, stride1, stride2, stride3, stride4;
    int32_t offset;
};

/* The output in order, read from the input in steps of the strides; size0 counts slowest. */
MJ_INLINE void mj_strided_copy(const struct mj_strided_copy p, const int8_t *input, int8_t *output)
{
    for (int32_t i0 = 0; i0 < p.size0; i0++)
        for (int32_t i1 = 0; i1 < p.size1; i1++)
            for (int32_t i2 = 0; i2 < p.size2; i2++)
                for (int32_t i3 = 0; i3 < p.size3; i3++) {
                    const int8_t *from =
                        input + p.offset + i0 * p.stride0 + i1 * p.stride1 + i2 * p.stride2 + i3 * p.stride3;
                    for (int32_t i4 = 0; i4 < p.size4; i4++)
                        *output++ = from[i4 * p.stride4];
                }
}

#endif
