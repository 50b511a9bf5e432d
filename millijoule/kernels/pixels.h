/* Where the pixels of a map lie that is never there as a whole, and what a window sees of them. */
#ifndef MJ_PIXELS_H
#define MJ_PIXELS_H

#include "fixedpoint.h"
#include "memory.h"

/* Pixels are counted line by line. Pixel p lies in slot p % slots from `pixels` on; 0 slots: in slot p, for the map is
 * stored. */
struct mj_pixels {
    int8_t *pixels;
    int32_t slots, pixel_bytes, height, width;
};

MJ_INLINE int8_t *mj_pixel(const struct mj_pixels map, int32_t pixel)
{
    const uint32_t at = (uint32_t)pixel;
    return map.pixels + (map.slots > 0 ? at % (uint32_t)map.slots : at) * (uint32_t)map.pixel_bytes;
}

/* Columns of a window: so many lie left of the map, so many in it. */
struct mj_columns {
    int32_t outside, inside;
};

/* The lines under a window that begins at (first_y, first_x), from their first pixel inside the map on; NULL for one
 * outside. A line that the end of the ring divides is copied: there is one at most, for all pixels from the first to the
 * last are in the ring. */
MJ_SHARED struct mj_columns mj_pixel_window(const int8_t **rows, const struct mj_pixels *map, int32_t first_y,
                                            int32_t first_x, int32_t kernel, int32_t dilation, int32_t columns,
                                            int8_t *copy)
{
    const int32_t begin = first_x > 0 ? first_x : 0;
    const int32_t end = first_x + columns < map->width ? first_x + columns : map->width;
    for (int32_t ky = 0; ky < kernel; ky++) {
        const int32_t y = first_y + ky * dilation;
        rows[ky] = NULL;
        if (y < 0 || y >= map->height || begin >= end)
            continue;
        rows[ky] = mj_pixel(*map, y * map->width + begin);
        const int32_t bytes = (end - begin) * map->pixel_bytes;
        const int32_t room = (int32_t)(map->pixels + map->slots * map->pixel_bytes - rows[ky]);
        if (columns > 1 && map->slots > 0 && room < bytes) {
            memcpy(copy, rows[ky], (size_t)room);
            memcpy(copy + room, map->pixels, (size_t)(bytes - room));
            rows[ky] = copy;
        }
    }
    const struct mj_columns seen = {begin - first_x, end > begin ? end - begin : 0};
    return seen;
}

/* The pixel under each place of a kernel whose first lies over (first_y, first_x), row by row; NULL for one outside. */
MJ_SHARED void mj_pixel_taps(const int8_t **taps, const struct mj_pixels *map, int32_t first_y, int32_t first_x,
                             int32_t kernel_height, int32_t kernel_width, int32_t dilation_height,
                             int32_t dilation_width)
{
    const int32_t step = dilation_width * map->pixel_bytes;
    const int32_t ring = map->slots > 0 ? map->slots * map->pixel_bytes : INT32_MAX;
    for (int32_t ky = 0; ky < kernel_height; ky++) {
        const int32_t y = first_y + ky * dilation_height;
        const uint32_t width = y >= 0 && y < map->height ? (uint32_t)map->width : 0;
        int32_t x = first_x, at = -1;
        for (int32_t left = kernel_width; left > 0; left--, x += dilation_width) {
            if ((uint32_t)x >= width) {
                *taps++ = NULL;
                continue;
            }
            /* All pixels under the window are in the ring: it ends once at most between two of a line. */
            at = at < 0 ? (int32_t)(mj_pixel(*map, y * map->width + x) - map->pixels) : at + step;
            at -= at >= ring ? ring : 0;
            *taps++ = map->pixels + at;
        }
    }
}

#endif
