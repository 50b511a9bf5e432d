/* Start-up for any Cortex-M: the vector table, then initial data, zeroed data and main. */
#include <stdint.h>

/* Addresses from linker.ld. */
extern uint32_t _stack_top, _data_load, _data_start, _data_end, _bss_start, _bss_end;

int main(void);
void Reset_Handler(void);
void Fault_Handler(void);

/* volatile: the compiler must not turn these loops into calls of memcpy and memset. */
void Reset_Handler(void)
{
    const volatile uint32_t *from = &_data_load;
    for (volatile uint32_t *to = &_data_start; to < &_data_end; to++)
        *to = *from++;
    for (volatile uint32_t *to = &_bss_start; to < &_bss_end; to++)
        *to = 0;
#if defined(__ARM_FEATURE_MVE)
    /* CPACR: access to the vector registers; CCR: the cache of loops' branches. */
    *(volatile uint32_t *)0xe000ed88 |= 0xfu << 20;
    *(volatile uint32_t *)0xe000ed14 |= 1u << 19;
    __asm volatile("dsb\n isb" ::: "memory");
#endif
    main();
    Fault_Handler();
}

/* A fault stops here, where a debugger finds it. */
void Fault_Handler(void)
{
    for (;;) {
    }
}

/* Initial stack pointer, reset, NMI and the faults: hard, memory, bus, usage, secure. No interrupt is enabled. */
__attribute__((section(".vectors"), used)) static const uintptr_t vectors[16] = {
    (uintptr_t)&_stack_top,    (uintptr_t)Reset_Handler, (uintptr_t)Fault_Handler, (uintptr_t)Fault_Handler,
    (uintptr_t)Fault_Handler,  (uintptr_t)Fault_Handler, (uintptr_t)Fault_Handler, (uintptr_t)Fault_Handler,
};
