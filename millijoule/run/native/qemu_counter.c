/* A QEMU plugin that counts what counter.h counts. Every instruction adds one to `executed` as it runs.
 *
 * It reads `question.txt` in QEMU's working directory and writes `answer.txt` when QEMU ends, both made and read by
 * qemu.py: numbers between blanks, in the order of read_question and write_answer; then `profile.bin`, flow and left.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "counter.h"
#include "qemu_plugin.h"

struct block {
    uint32_t start, end;
    int32_t layer;
};

PLUGIN_EXPORT int qemu_plugin_version = 1;

static struct counter counter = {.layer = NO_LAYER, .layer_return = NOWHERE};
static uint32_t *layer_addresses;
static int watch_memory;

static uint32_t return_address(const struct counter *c)
{
    return c->block_end; /* a function is entered by a call, which ends its block */
}

static bool read_question(FILE *file)
{
    if (fscanf(file, "%" SCNu64 "%" SCNu64 "%" SCNu64 "%" SCNu32 "%" SCNu32 "%" SCNu32 "%d%" SCNd32,
               &counter.instruction_limit, &counter.sample_capacity, &counter.calls_per_sample, &counter.run,
               &counter.code_start, &counter.code_bytes, &watch_memory, &counter.layers) != 8)
        return false;
    counter.flow = calloc(counter.code_bytes / 2 + 1, sizeof *counter.flow);
    counter.left = calloc(counter.code_bytes / 2 + 1, sizeof *counter.left);
    counter.sample_instructions = calloc(counter.sample_capacity, sizeof *counter.sample_instructions);
    counter.layer_instructions = calloc((size_t)counter.layers + 1, sizeof *counter.layer_instructions);
    layer_addresses = calloc((size_t)counter.layers, sizeof *layer_addresses);
    for (int32_t i = 0; i < counter.layers; i++)
        if (fscanf(file, "%" SCNu32, &layer_addresses[i]) != 1)
            return false;
    for (int i = 0; i < MEMORIES; i++) {
        struct accesses *a = &counter.memories[i];
        if (fscanf(file, "%" SCNu32 "%" SCNu32, &a->start, &a->end) != 2)
            return false;
        a->first = UINT32_MAX;
    }
    return true;
}

static void write_answer(FILE *file)
{
    fprintf(file, "%" PRId32 " %" PRIu32 " %" PRId32 " %" PRIu64 "\n", counter.stop, counter.block,
            counter.running ? counter.layer : NO_LAYER, counter.samples);
    for (uint64_t i = 0; i < counter.samples && i < counter.sample_capacity; i++)
        fprintf(file, "%" PRIu64 "\n", counter.sample_instructions[i]);
    for (int32_t i = 0; i <= counter.layers; i++)
        fprintf(file, "%" PRIu64 "\n", counter.layer_instructions[i]);
    for (int i = 0; i < MEMORIES; i++) {
        const struct accesses *a = &counter.memories[i];
        fprintf(file, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu32 " %" PRIu32 "\n", a->reads, a->writes,
                a->read_bytes, a->written_bytes, a->first, a->last);
    }
}

static void finish(qemu_plugin_id_t id, void *user)
{
    FILE *file = fopen("answer.txt", "w");
    (void)id;
    (void)user;
    if (file != NULL) {
        write_answer(file);
        fclose(file);
    }
    file = fopen("profile.bin", "wb");
    if (file != NULL) {
        fwrite(counter.flow, sizeof *counter.flow, counter.code_bytes / 2 + 1, file);
        fwrite(counter.left, sizeof *counter.left, counter.code_bytes / 2 + 1, file);
        fclose(file);
    }
}

static void execute(unsigned cpu, void *user)
{
    const struct block *block = user;
    (void)cpu;
    enter_block(&counter, block->start, block->end, block->layer);
    if (counter.stop != RUNNING) {
        finish(0, NULL);
        _Exit(1);
    }
}

static void access_memory(unsigned cpu, qemu_plugin_meminfo_t info, uint64_t address, void *user)
{
    (void)cpu;
    (void)user;
    count_access(&counter, (uint32_t)address, 1u << qemu_plugin_mem_size_shift(info), qemu_plugin_mem_is_store(info));
}

static void translate(qemu_plugin_id_t id, struct qemu_plugin_tb *code)
{
    const size_t instructions = qemu_plugin_tb_n_insns(code);
    const struct qemu_plugin_insn *last = qemu_plugin_tb_get_insn(code, instructions - 1);
    struct block *block = malloc(sizeof *block);
    (void)id;
    if (block == NULL)
        abort();
    block->start = (uint32_t)qemu_plugin_tb_vaddr(code);
    /* QEMU 7.2 counts what it read of an instruction beyond the page into the size of the one before it. */
    block->end = (uint32_t)qemu_plugin_insn_vaddr(last) + instruction_bytes(qemu_plugin_insn_data(last));
    block->layer = NO_LAYER;
    for (int32_t i = 0; i < counter.layers; i++)
        if (layer_addresses[i] == block->start)
            block->layer = i;

    qemu_plugin_register_vcpu_tb_exec_cb(code, execute, QEMU_PLUGIN_CB_NO_REGS, block);
    for (size_t i = 0; i < instructions; i++) {
        struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(code, i);
        qemu_plugin_register_vcpu_insn_exec_inline(instruction, QEMU_PLUGIN_INLINE_ADD_U64, &counter.executed, 1);
        if (watch_memory)
            qemu_plugin_register_vcpu_mem_cb(instruction, access_memory, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_RW,
                                             NULL);
    }
}

PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
    FILE *file = fopen("question.txt", "r");
    (void)info;
    (void)argc;
    (void)argv;
    if (file == NULL || !read_question(file)) {
        fprintf(stderr, "the counting plugin cannot read question.txt\n");
        return 1;
    }
    fclose(file);
    qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
    qemu_plugin_register_atexit_cb(id, finish, NULL);
    return 0;
}
