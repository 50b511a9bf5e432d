/* Which rows and columns of the input a moved window reads. */
#ifndef MJ_WINDOW_H
#define MJ_WINDOW_H

#include <stddef.h>

#include "fixedpoint.h"

/* Kernel positions begin <= k < end read the input at origin + k * dilation. */
struct mj_span {
    int32_t origin, begin, end;
};

MJ_INLINE struct mj_span mj_window(int32_t out, int32_t stride, int32_t padding, int32_t kernel, int32_t dilation,
                                   int32_t size)
{
    const int32_t origin = out * stride - padding;
    const int32_t below = origin < 0 ? (-origin + dilation - 1) / dilation : 0;
    const int32_t room = (size - origin + dilation - 1) / dilation;
    const int32_t above = room < kernel ? room : kernel;
    const struct mj_span span = {origin, below, above < below ? below : above};
    return span;
}

/* The input row under each row of the kernel for output row `out`: NULL for one outside the map. */
MJ_INLINE void mj_window_rows(const int8_t **rows, const int8_t *input, int32_t row_bytes, int32_t out, int32_t stride,
                              int32_t padding, int32_t kernel, int32_t dilation, int32_t height)
{
    int32_t y = out * stride - padding;
    for (int32_t ky = 0; ky < kernel; ky++) {
        rows[ky] = y >= 0 && y < height ? input + y * row_bytes : NULL;
        y += dilation;
    }
}

/* The pixel under each place of the kernel, row by row, for column `out` of the output: NULL for one outside the map. */
MJ_INLINE void mj_window_taps(const int8_t **taps, const int8_t *const *rows, int32_t pixel_bytes, int32_t out,
                              int32_t stride, int32_t padding, int32_t kernel_height, int32_t kernel_width,
                              int32_t dilation, int32_t width)
{
    for (int32_t ky = 0; ky < kernel_height; ky++) {
        int32_t x = out * stride - padding;
        for (int32_t kx = 0; kx < kernel_width; kx++) {
            *taps++ = rows[ky] != NULL && x >= 0 && x < width ? rows[ky] + x * pixel_bytes : NULL;
            x += dilation;
        }
    }
}

/* Pixels outside the map are read at `outside`. */
MJ_INLINE void mj_taps_outside(const int8_t **taps, int32_t count, const int8_t *outside)
{
    for (int32_t i = 0; i < count; i++)
        taps[i] = taps[i] != NULL ? taps[i] : outside;
}

#endif
