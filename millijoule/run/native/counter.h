/* What is counted while a firmware runs, whichever emulator runs it.
 *
 * An emulator calls enter_block before each block of code and count_access at each access to memory, keeps `executed`
 * up to date, and defines return_address.
 */
#ifndef COUNTER_H
#define COUNTER_H

#include <stdbool.h>
#include <stdint.h>

enum { MEMORIES = 5 }; /* as many as counter.MEMORIES */
enum { NO_LAYER = -1 };
enum { NOWHERE = 1 }; /* no block starts at an odd address */

/* Twin of counter.STOPS. */
enum stop { RUNNING, TOO_MANY_INSTRUCTIONS, ENDLESS_LOOP, STACK_OVERFLOW, UNALIGNED_ACCESS, INTERRUPTED };

/* Twin of counter.Accesses. */
struct accesses {
    uint32_t start, end; /* given: the memory's addresses */
    uint32_t first, last; /* the lowest and the highest byte touched; first > last: none */
    uint64_t reads, writes, read_bytes, written_bytes;
};

/* Twin of counter.Counter. */
struct counter {
    /* Given. */
    uint64_t instruction_limit; /* between two finished calls */
    uint64_t sample_capacity;
    uint64_t calls_per_sample;
    uint32_t run;               /* address of the function that is measured, <name>_run or <name>_push_row */
    int32_t layers;
    uint32_t code_start, code_bytes;
    /* Found. */
    uint64_t executed;            /* instructions of the whole firmware so far */
    uint64_t samples;             /* finished */
    uint64_t *sample_instructions;
    uint64_t *layer_instructions; /* of the first sample; one more entry at the end, for run itself */
    /* For each halfword of code, of the first sample; one more entry at the end. flow: how many blocks begin there, less
     * how many end there, so that sums from the start on say how often an instruction ran. left: how often execution went
     * elsewhere than to this halfword, from the block that ends before it. */
    int64_t *flow;
    uint64_t *left;
    struct accesses memories[MEMORIES]; /* of the first sample; the first memory that holds an address counts it */
    /* State. */
    uint64_t attributed; /* `executed` at the last change of layer */
    uint64_t sample_start;
    uint64_t calls; /* of the unfinished sample */
    uint32_t run_return, layer_return;
    uint32_t block, block_end;
    int32_t layer;
    int32_t stop; /* an enum stop, when the firmware has to be stopped */
    bool running; /* inside that function */
};

/* Where the function that is being entered returns to. */
static uint32_t return_address(const struct counter *c);

/* Thumb: an instruction has 4 bytes if the top five bits of its first halfword are 11101, 11110 or 11111. */
static uint32_t instruction_bytes(const uint8_t *code)
{
    return code[1] >> 3 >= 0x1d ? 4 : 2;
}

static void attribute(struct counter *c)
{
    if (c->samples == 0)
        c->layer_instructions[c->layer == NO_LAYER ? c->layers : c->layer] += c->executed - c->attributed;
    c->attributed = c->executed;
}

static void enter_run(struct counter *c)
{
    c->running = true;
    c->run_return = return_address(c);
    c->layer = NO_LAYER;
    c->layer_return = NOWHERE;
    c->sample_start = c->attributed = c->executed;
}

static void leave_run(struct counter *c)
{
    attribute(c);
    c->running = false;
    if (c->samples < c->sample_capacity)
        c->sample_instructions[c->samples] += c->executed - c->sample_start;
    c->sample_start = c->executed;
    if (++c->calls == c->calls_per_sample) {
        c->calls = 0;
        c->samples++;
    }
}

static bool is_profiled(const struct counter *c, uint32_t address)
{
    return c->running && c->samples == 0 && address - c->code_start <= c->code_bytes;
}

/* The code at [address, end) is about to run. layer: whose function starts there, or NO_LAYER. */
static void enter_block(struct counter *c, uint32_t address, uint32_t end, int32_t layer)
{
    if (address != c->block_end && is_profiled(c, c->block_end))
        c->left[(c->block_end - c->code_start) / 2]++;
    if (!c->running) {
        if (address == c->run)
            enter_run(c);
    } else if (address == c->run_return) {
        leave_run(c);
    } else if (layer != NO_LAYER) {
        attribute(c);
        c->layer = layer;
        c->layer_return = return_address(c);
    } else if (address == c->layer_return) {
        attribute(c);
        c->layer = NO_LAYER;
        c->layer_return = NOWHERE;
    }
    if (is_profiled(c, address) && is_profiled(c, end)) {
        c->flow[(address - c->code_start) / 2]++;
        c->flow[(end - c->code_start) / 2]--;
    }
    /* There are no interrupts: an instruction that jumps to itself does so for ever. */
    if (address == c->block && end - address == 2)
        c->stop = ENDLESS_LOOP;
    if (c->executed - c->sample_start > c->instruction_limit)
        c->stop = TOO_MANY_INSTRUCTIONS;
    c->block = address;
    c->block_end = end;
}

static void count_access(struct counter *c, uint32_t address, uint32_t bytes, bool write)
{
    if (!c->running || c->samples > 0)
        return;
    for (struct accesses *a = c->memories; a < c->memories + MEMORIES; a++) {
        if (address < a->start || address >= a->end)
            continue;
        if (write) {
            a->writes++;
            a->written_bytes += bytes;
        } else {
            a->reads++;
            a->read_bytes += bytes;
        }
        if (address < a->first)
            a->first = address;
        if (address + bytes - 1 > a->last)
            a->last = address + bytes - 1;
        return;
    }
}

#endif
