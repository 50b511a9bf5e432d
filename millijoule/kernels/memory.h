/* memcpy and memset, the only library functions used, also where the compiler comes without a C library. */
#ifndef MJ_MEMORY_H
#define MJ_MEMORY_H

#include <stddef.h>

#if defined(__has_include)
#if !__has_include(<string.h>)
#define MJ_NO_STRING_H
#endif
#endif

#ifdef MJ_NO_STRING_H
void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
#else
#include <string.h>
#endif

#endif
