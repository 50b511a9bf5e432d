/* Where the rows of a map lie that is never there as a whole. */
#ifndef MJ_RING_H
#define MJ_RING_H

#include "fixedpoint.h"
#include "memory.h"

/* Row r lies in slot r % slots from `rows` on; 0 slots: row r lies in slot r, for the map is stored. The newest row may
 * be fresh: then it lies at `fresh`. */
struct mj_ring {
    int8_t *rows, *fresh;
    int32_t slots, row_bytes;
};

MJ_INLINE int8_t *mj_ring_row(const struct mj_ring ring, int32_t row, int32_t is_fresh)
{
    if (is_fresh)
        return ring.fresh;
    return ring.rows + (ring.slots > 0 ? row % ring.slots : row) * ring.row_bytes;
}

/* The rows under a kernel whose first row lies over row `first` of a map of `height` rows, NULL for one outside the map.
 * is_fresh: the last of them is. */
MJ_INLINE void mj_ring_window(const int8_t **rows, const struct mj_ring ring, int32_t first, int32_t kernel,
                              int32_t dilation, int32_t height, int32_t is_fresh)
{
    int32_t last = 0;
    for (int32_t ky = 0; ky < kernel; ky++) {
        const int32_t y = first + ky * dilation;
        rows[ky] = y >= 0 && y < height ? mj_ring_row(ring, y, 0) : NULL;
        last = rows[ky] != NULL ? ky : last;
    }
    if (is_fresh)
        rows[last] = ring.fresh;
}

/* The newest row goes from its place into its slot. */
MJ_INLINE void mj_ring_rest(const struct mj_ring ring, int32_t row)
{
    memcpy(mj_ring_row(ring, row, 0), ring.fresh, (size_t)ring.row_bytes);
}

#endif
