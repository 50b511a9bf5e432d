/* Unicorn's hooks. Python hooks would take a thousand times as long as the instructions that they count. */
#include <stddef.h>

#include "counter.h"

/* A block of code, remembered at its first address. */
struct block {
    uint16_t bytes, instructions;
    int32_t entered; /* 0, or 1 + the layer whose function starts here */
};

/* Twin of emulator.Hooks. */
struct hooks {
    struct counter counter;
    const uint8_t *code; /* the flash's bytes */
    struct block *blocks; /* one for each halfword of code */
    uint32_t stack_limit; /* below it, the stack has overwritten data */
    int32_t link_register, stack_register, status_register, program_counter; /* unicorn's numbers */
    bool watch_stack;
    bool strict_alignment; /* Armv6-M; unicorn itself lets unaligned accesses pass */
    void *emulator;
    int (*read_register)(void *emulator, int number, void *value);
    int (*write_register)(void *emulator, int number, const void *value);
    int (*stop)(void *emulator);
};

enum { MEMORY_WRITE = 17 }; /* UC_MEM_WRITE */
enum { IF_THEN_STATE = 0x0600fc00 }; /* EPSR bits: where in an IT block execution is */

const uint32_t hooks_bytes = sizeof(struct hooks);

static uint32_t read_register(const struct hooks *h, int32_t number)
{
    uint32_t value = 0;
    h->read_register(h->emulator, number, &value);
    return value;
}

static uint32_t return_address(const struct counter *c)
{
    const struct hooks *h = (const struct hooks *)c;
    return read_register(h, h->link_register) & ~1u;
}

static uint16_t count_instructions(const uint8_t *code, uint32_t bytes)
{
    uint16_t count = 0;
    for (uint32_t at = 0; at < bytes; count++)
        at += instruction_bytes(code + at);
    return count;
}

void on_block(void *emulator, uint64_t address, uint32_t bytes, void *user)
{
    struct hooks *h = user;
    const uint32_t at = (uint32_t)address - h->counter.code_start;
    (void)emulator;
    if (at >= h->counter.code_bytes || bytes > h->counter.code_bytes - at)
        return; /* RAM is not executable: unicorn reports it */

    struct block *block = &h->blocks[at / 2];
    if (block->bytes != bytes) {
        /* The same address starts a shorter block where execution resumes inside an IT block. */
        block->bytes = (uint16_t)bytes;
        block->instructions = count_instructions(h->code + at, bytes);
    }
    enter_block(&h->counter, (uint32_t)address, (uint32_t)address + bytes, block->entered - 1);
    h->counter.executed += block->instructions;

    if (h->watch_stack && read_register(h, h->stack_register) < h->stack_limit)
        h->counter.stop = STACK_OVERFLOW;
    if (h->counter.stop != RUNNING)
        h->stop(h->emulator);
}

void on_access(void *emulator, int type, uint64_t address, int bytes, int64_t value, void *user)
{
    struct hooks *h = user;
    (void)emulator;
    (void)value;
    count_access(&h->counter, (uint32_t)address, (uint32_t)bytes, type == MEMORY_WRITE);
    if (h->strict_alignment && address % (uint32_t)bytes != 0) {
        h->counter.stop = UNALIGNED_ACCESS;
        h->counter.block = read_register(h, h->program_counter);
        h->stop(h->emulator);
    }

    /* Unicorn restores the IT state for this callback and leaves it set, so that the instructions after the IT block
     * would be conditional too (unicorn issue 2309). Inside a block of code the state is kept clear. */
    uint32_t status = read_register(h, h->status_register);
    if (status & IF_THEN_STATE) {
        status &= ~(uint32_t)IF_THEN_STATE;
        h->write_register(h->emulator, h->status_register, &status);
    }
}
