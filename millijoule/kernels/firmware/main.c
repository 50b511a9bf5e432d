/* Runs the network over every sample of input.bin and writes each result to output.bin.
 *
 * On a microcontroller the files are reached through Arm semihosting, which emulators and debuggers provide; built for
 * a PC (make host), they are ordinary files. For a product, replace this file: fill the input from the board's camera
 * or sensor and act on the output,
 *
 *     for (;;) {
 *         camera_read(@NAME@_input());
 *         @NAME@_run(@NAME@_input(), @OUTPUT@);
 *         act_on(@ACTS@);
 *     }
 *
 * or, where the input arrives row by row, as model.h says. Fill the input before each inference, which overwrites it
 * unless model.h says otherwise.
 */
#include <stddef.h>
#include <stdint.h>

#include "model.h"

#if defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'

/* Arm semihosting: operations, modes of opening, reasons to exit. */
enum { SYS_OPEN = 0x01, SYS_WRITE0 = 0x04, SYS_WRITE = 0x05, SYS_READ = 0x06, SYS_EXIT = 0x18 };
enum { READ_BINARY = 1, WRITE_BINARY = 5 };
enum { APPLICATION_EXIT = 0x20026, RUN_TIME_ERROR = 0x20023 };

typedef intptr_t file;

static intptr_t semihosting(intptr_t operation, const void *argument)
{
    register intptr_t r0 __asm("r0") = operation;
    register const void *r1 __asm("r1") = argument;
    __asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static file open_file(const char *name, intptr_t length, intptr_t mode)
{
    const intptr_t arguments[] = {(intptr_t)name, mode, length};
    return semihosting(SYS_OPEN, arguments);
}

static int open_files(file *inputs, file *outputs)
{
    *inputs = open_file("input.bin", sizeof "input.bin" - 1, READ_BINARY);
    *outputs = open_file("output.bin", sizeof "output.bin" - 1, WRITE_BINARY);
    return *inputs != -1 && *outputs != -1;
}

/* SYS_READ and SYS_WRITE return the number of bytes that they did not transfer. */
static int read_bytes(file from, int8_t *to, intptr_t bytes)
{
    const intptr_t arguments[] = {from, (intptr_t)to, bytes};
    return semihosting(SYS_READ, arguments) == 0;
}

static int write_bytes(file to, const int8_t *from, intptr_t bytes)
{
    const intptr_t arguments[] = {to, (intptr_t)from, bytes};
    return semihosting(SYS_WRITE, arguments) == 0;
}

#ifdef @UPPER@_MOST_BOXES
/* To the debugger's console. */
static void print(const char *text)
{
    semihosting(SYS_WRITE0, text);
}
#endif

static int finish(file inputs, file outputs, int ok)
{
    (void)inputs;
    (void)outputs;
    semihosting(SYS_EXIT, (const void *)(ok ? APPLICATION_EXIT : RUN_TIME_ERROR));
    return ok ? 0 : 1;
}

#else

#include <stdio.h>

typedef FILE *file;

static int open_files(file *inputs, file *outputs)
{
    *inputs = fopen("input.bin", "rb");
    *outputs = fopen("output.bin", "wb");
    return *inputs != NULL && *outputs != NULL;
}

static int read_bytes(file from, int8_t *to, size_t bytes)
{
    return fread(to, bytes, 1, from) == 1;
}

static int write_bytes(file to, const int8_t *from, size_t bytes)
{
    return fwrite(from, bytes, 1, to) == 1;
}

#ifdef @UPPER@_MOST_BOXES
static void print(const char *text)
{
    fputs(text, stdout);
}
#endif

static int finish(file inputs, file outputs, int ok)
{
    if (inputs != NULL)
        fclose(inputs);
    if (outputs != NULL)
        ok = fclose(outputs) == 0 && ok;
    return ok ? 0 : 1;
}

#endif

#ifdef @UPPER@_INPUT_OUTSIDE
/* The input, which a product has where its camera or sensor leaves it. */
static int8_t frame[@UPPER@_INPUT_BYTES];
#endif

/* Returns 1 after an inference, 0 where there is no other sample, -1 if it failed. */
static int infer(file inputs)
{
#ifdef @UPPER@_INPUT_ROWS
    int status = 0;
    while (status == 0) {
        if (!read_bytes(inputs, @NAME@_input_row(), @UPPER@_INPUT_ROW_BYTES))
            return 0;
        status = @NAME@_push_row(@NAME@_input_row());
    }
    return status;
#elif defined(@UPPER@_INPUT_OUTSIDE)
    if (!read_bytes(inputs, frame, sizeof frame))
        return 0;
    return @NAME@_run(frame, @OUTPUT@) == 0 ? 1 : -1;
#else
    if (!read_bytes(inputs, @NAME@_input(), @UPPER@_INPUT_BYTES))
        return 0;
    return @NAME@_run(@NAME@_input(), @OUTPUT@) == 0 ? 1 : -1;
#endif
}

#ifdef @UPPER@_MOST_BOXES
/* Boxes that a product does not act on are written too, so that precision and recall can be computed. */
#define LEAST_SCORE 0.05f

/* What was found: how many boxes, then as many as there is room for. */
static struct {
    int32_t count;
    struct mj_box boxes[@UPPER@_MOST_BOXES];
} found;

/* Rounded; numbers are not negative here. */
static void print_number(float number)
{
    char digits[12];
    char *at = digits + sizeof digits - 1;
    uint32_t left = (uint32_t)(number + 0.5f);
    *at = 0;
    do {
        *--at = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    print(at);
}

/* raccoon 87 % 12 30 80 121: class, score, left, top, right, bottom. */
static void print_box(const struct mj_box *box)
{
    const float edges[] = {box->left, box->top, box->right, box->bottom};
    print(@NAME@_labels[box->label]);
    print(" ");
    print_number(100.0f * box->score);
    print(" %");
    for (int32_t edge = 0; edge < 4; edge++) {
        print(" ");
        print_number(edges[edge]);
    }
    print("\n");
}

static int write_boxes(file outputs)
{
    static const struct mj_box none;
    found.count = @NAME@_detect(found.boxes, @UPPER@_MOST_BOXES, LEAST_SCORE);
    for (int32_t at = found.count; at < @UPPER@_MOST_BOXES; at++)
        found.boxes[at] = none;
    for (int32_t at = 0; at < found.count && found.boxes[at].score >= @UPPER@_THRESHOLD; at++)
        print_box(&found.boxes[at]);
    return write_bytes(outputs, (const int8_t *)&found, sizeof found);
}
#endif

static int write_outputs(file outputs)
{
    int ok = @WRITES@;
#ifdef @UPPER@_MOST_BOXES
    ok = ok && write_boxes(outputs);
#endif
    return ok;
}

int main(void)
{
    file inputs, outputs;
    int ok = open_files(&inputs, &outputs);
    int status = 0;
    while (ok && (status = infer(inputs)) > 0)
        ok = write_outputs(outputs);
    return finish(inputs, outputs, ok && status == 0);
}
