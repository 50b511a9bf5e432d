/* Boxes: what a detector's int8 outputs say, and which of the boxes that lie on each other stay.
 *
 * Every operation on float rounds by itself, in the order that is written here, so that the boxes are the same to the
 * last bit wherever they are computed: never compile this with -ffast-math, nor with GCC's -std=gnu… unless
 * -ffp-contract=off is given too. */
#ifndef MJ_DETECT_H
#define MJ_DETECT_H

#include <stddef.h>

#include "box.h"
#include "fixedpoint.h"

#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#endif

/* A box that may be reported. position: in all levels, counted in classes of anchors of cells. */
struct mj_candidate {
    float score;
    int32_t position;
};

/* One grid of cells. objectness: NULL for none. The tables say what an integer, plus 128, stands for; a score is that
 * of the class, times that of the objectness if there is one. step: pixels from cell to cell. sizes: width and height
 * of each anchor. */
struct mj_level {
    const int8_t *scores, *objectness, *boxes;
    const float *score_table, *objectness_table, *offset_table, *growth_table;
    int32_t rows, columns, anchors;
    float step;
    const float *sizes;
};

/* background: 1 where class 0 is none. centre: where an anchor's centre lies in its cell, from 0 to 1. peaks: only the
 * greatest of 3x3 cells count. overlap: by how much, at most, two boxes of a class that stay lie on each other.
 * room: how many candidates there is memory for. */
struct mj_detect {
    const struct mj_level *levels;
    int32_t level_count, classes, background, peaks, room;
    float centre, width, height, overlap;
};

/* Whether a score is greater than those of its 3x3 cells that come before it, and not less than those behind it. */
MJ_INLINE int32_t mj_is_peak(const struct mj_level *level, int32_t cell, const int8_t *score, int32_t cell_scores)
{
    const int32_t row = cell / level->columns, column = cell % level->columns;
    for (int32_t down = -1; down <= 1; down++) {
        for (int32_t right = -1; right <= 1; right++) {
            const int32_t y = row + down, x = column + right, steps = down * level->columns + right;
            if (steps == 0 || y < 0 || y >= level->rows || x < 0 || x >= level->columns)
                continue;
            const int8_t other = score[steps * cell_scores];
            if (down < 0 || (down == 0 && right < 0) ? *score <= other : *score < other)
                return 0;
        }
    }
    return 1;
}

/* The candidates with one more, the best first; of equal ones those that came first. Returns how many they are. */
MJ_INLINE int32_t mj_insert(struct mj_candidate *best, int32_t count, int32_t room, struct mj_candidate found)
{
    if (count == room) {
        if (found.score <= best[room - 1].score)
            return count;
        count--;
    }
    int32_t at = count;
    for (; at > 0 && best[at - 1].score < found.score; at--)
        best[at] = best[at - 1];
    best[at] = found;
    return count + 1;
}

/* The least integer whose score reaches the threshold; 128 if none does. Tables of scores never fall. */
MJ_INLINE int32_t mj_least(const float *table, float threshold)
{
    int32_t least = -128;
    while (least < 128 && !(table[least + 128] >= threshold))
        least++;
    return least;
}

/* The candidates of all levels. */
MJ_INLINE int32_t mj_candidates(const struct mj_detect *detect, float threshold, struct mj_candidate *best)
{
    const int32_t columns = detect->classes + detect->background;
    int32_t count = 0, position = 0;
    for (int32_t index = 0; index < detect->level_count; index++) {
        const struct mj_level *level = &detect->levels[index];
        const int32_t least = mj_least(level->score_table, threshold);
        const int32_t all = level->rows * level->columns * level->anchors;
        for (int32_t anchor = 0; anchor < all; anchor++) {
            const int8_t *scores = level->scores + anchor * columns + detect->background;
            for (int32_t label = 0; label < detect->classes; label++, position++) {
                if (scores[label] < least)
                    continue;
                float score = level->score_table[scores[label] + 128];
                if (level->objectness != NULL) {
                    score = score * level->objectness_table[level->objectness[anchor] + 128];
                    if (!(score >= threshold))
                        continue;
                }
                if (detect->peaks
                    && !mj_is_peak(level, anchor / level->anchors, &scores[label], level->anchors * columns))
                    continue;
                count = mj_insert(best, count, detect->room, (struct mj_candidate){score, position});
            }
        }
    }
    return count;
}

MJ_INLINE float mj_inside(float edge, float end)
{
    const float inside = edge > 0.0f ? edge : 0.0f;
    return inside < end ? inside : end;
}

/* From where to where a box goes along one axis. at: the column or row of its cell. */
MJ_INLINE void mj_span(
    int32_t at, float centre, float step, float offset, float growth, float size, float end, float *from, float *to)
{
    const float cell = ((float)at + centre) * step;
    const float moved = offset * size;
    const float middle = cell + moved;
    const float reach = growth * size * 0.5f;
    *from = mj_inside(middle - reach, end);
    *to = mj_inside(middle + reach, end);
}

MJ_INLINE struct mj_box mj_decode(const struct mj_detect *detect, struct mj_candidate found)
{
    const struct mj_level *level = detect->levels;
    int32_t position = found.position;
    for (int32_t count; position >= (count = level->rows * level->columns * level->anchors * detect->classes); level++)
        position -= count;
    const int32_t anchor = position / detect->classes, cell = anchor / level->anchors;
    const int8_t *box = level->boxes + 4 * anchor;
    const float *size = level->sizes + 2 * (anchor % level->anchors);
    struct mj_box result = {.score = found.score, .label = position % detect->classes};
    mj_span(
        cell % level->columns, detect->centre, level->step, level->offset_table[box[0] + 128],
        level->growth_table[box[2] + 128], size[0], detect->width, &result.left, &result.right);
    mj_span(
        cell / level->columns, detect->centre, level->step, level->offset_table[box[1] + 128],
        level->growth_table[box[3] + 128], size[1], detect->height, &result.top, &result.bottom);
    return result;
}

MJ_INLINE float mj_area(const struct mj_box *box)
{
    return (box->right - box->left) * (box->bottom - box->top);
}

/* Whether intersection over union is more than `overlap`. */
MJ_INLINE int32_t mj_overlap(const struct mj_box *a, const struct mj_box *b, float overlap)
{
    const float width = (a->right < b->right ? a->right : b->right) - (a->left > b->left ? a->left : b->left);
    const float height = (a->bottom < b->bottom ? a->bottom : b->bottom) - (a->top > b->top ? a->top : b->top);
    if (!(width > 0.0f) || !(height > 0.0f))
        return 0;
    const float common = width * height;
    const float both = mj_area(a) + mj_area(b);
    const float united = both - common;
    return common > overlap * united;
}

/* The boxes with scores of `threshold` or more, the best first, in found[0…most - 1]; returns how many they are. A box
 * that lies on a better one of its class is dropped, as is one of which nothing lies inside the input. */
MJ_INLINE int32_t mj_detect(
    const struct mj_detect *detect, float threshold, struct mj_candidate *best, struct mj_box *found, int32_t most)
{
    const int32_t candidates = mj_candidates(detect, threshold, best);
    int32_t count = 0;
    for (int32_t index = 0; index < candidates && count < most; index++) {
        const struct mj_box box = mj_decode(detect, best[index]);
        int32_t stays = box.left < box.right && box.top < box.bottom;
        for (int32_t other = 0; stays && other < count; other++)
            stays = found[other].label != box.label || !mj_overlap(&box, &found[other], detect->overlap);
        if (stays)
            found[count++] = box;
    }
    return count;
}

#endif
