/* Which positions of a moved window lie inside the input, along one axis. */
#ifndef MJ_WINDOW_H
#define MJ_WINDOW_H

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

#endif
