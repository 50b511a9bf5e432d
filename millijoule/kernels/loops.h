/* A program of actions in nested loops: numbers below `begin` are actions; `begin, times` opens a loop, and
 * `begin + 1, back` ends it: the loop's first number is `back` numbers before `begin + 1`. */
#ifndef MJ_LOOPS_H
#define MJ_LOOPS_H

#include "fixedpoint.h"

#define MJ_LOOP_LEVELS 4

/* next: index of an action, or the length of the program. left: how often the loops that are open are still done. All
 * zeros before the first action, which lies in no loop. */
struct mj_loops {
    uint16_t next, depth, left[MJ_LOOP_LEVELS];
};

/* On to the action behind this one. */
MJ_INLINE void mj_loops_step(struct mj_loops *loops, const uint16_t *program, uint32_t length, uint32_t begin)
{
    uint32_t next = loops->next + 1u;
    while (next < length && program[next] >= begin) {
        if (program[next] == begin) {
            loops->left[loops->depth++] = program[next + 1];
            next += 2;
        } else if (--loops->left[loops->depth - 1] > 0) {
            next -= program[next + 1];
        } else {
            loops->depth--;
            next += 2;
        }
    }
    loops->next = (uint16_t)next;
}

#endif
