/* Runs the network over every sample of input.bin and writes each result to output.bin.
 *
 * On a microcontroller the files are reached through Arm semihosting, which emulators and debuggers provide; built for
 * a PC (make host), they are ordinary files. For a product, replace this file: fill the input from the board's camera
 * or sensor and act on the output,
 *
 *     for (;;) {
 *         camera_read(@NAME@_input());
 *         @NAME@_run(@NAME@_input(), @NAME@_output());
 *         act_on(@NAME@_output());
 *     }
 *
 * The input is overwritten by an inference: fill it before each.
 */
#include <stdint.h>

#include "model.h"

#if defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'

/* Arm semihosting: operations, modes of opening, reasons to exit. */
enum { SYS_OPEN = 0x01, SYS_WRITE = 0x05, SYS_READ = 0x06, SYS_EXIT = 0x18 };
enum { READ_BINARY = 1, WRITE_BINARY = 5 };
enum { APPLICATION_EXIT = 0x20026, RUN_TIME_ERROR = 0x20023 };

static intptr_t semihosting(intptr_t operation, const void *argument)
{
    register intptr_t r0 __asm("r0") = operation;
    register const void *r1 __asm("r1") = argument;
    __asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static intptr_t open_file(const char *name, intptr_t length, intptr_t mode)
{
    const intptr_t arguments[] = {(intptr_t)name, mode, length};
    return semihosting(SYS_OPEN, arguments);
}

int main(void)
{
    const intptr_t inputs = open_file("input.bin", sizeof "input.bin" - 1, READ_BINARY);
    const intptr_t outputs = open_file("output.bin", sizeof "output.bin" - 1, WRITE_BINARY);
    const intptr_t sample[] = {inputs, (intptr_t)@NAME@_input(), @UPPER@_INPUT_BYTES};
    const intptr_t result[] = {outputs, (intptr_t)@NAME@_output(), @UPPER@_OUTPUT_BYTES};
    int ok = inputs != -1 && outputs != -1;

    /* SYS_READ and SYS_WRITE return the number of bytes that they did not transfer. */
    while (ok && semihosting(SYS_READ, sample) == 0) {
        ok = @NAME@_run(@NAME@_input(), @NAME@_output()) == 0;
        ok = semihosting(SYS_WRITE, result) == 0 && ok;
    }
    semihosting(SYS_EXIT, (const void *)(ok ? APPLICATION_EXIT : RUN_TIME_ERROR));
    for (;;) {
    }
}

#else

#include <stdio.h>

int main(void)
{
    FILE *inputs = fopen("input.bin", "rb");
    FILE *outputs = fopen("output.bin", "wb");
    int ok = inputs != NULL && outputs != NULL;

    while (ok && fread(@NAME@_input(), @UPPER@_INPUT_BYTES, 1, inputs) == 1) {
        ok = @NAME@_run(@NAME@_input(), @NAME@_output()) == 0;
        ok = fwrite(@NAME@_output(), @UPPER@_OUTPUT_BYTES, 1, outputs) == 1 && ok;
    }
    if (inputs != NULL)
        fclose(inputs);
    if (outputs != NULL)
        ok = fclose(outputs) == 0 && ok;
    return ok ? 0 : 1;
}

#endif
