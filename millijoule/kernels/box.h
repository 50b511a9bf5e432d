/* A box that a detector finds. */
#ifndef MJ_BOX_H
#define MJ_BOX_H

#include <stdint.h>

/* In pixels of the input: a pixel's area goes from its number to the next. label: the class, counted from 0. */
struct mj_box {
    float left, top, right, bottom, score;
    int32_t label;
};

#endif
