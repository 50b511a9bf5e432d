/* Fixed-point arithmetic of TFLite's int8 specification (double rounding): the twin of fixedpoint.py.
 *
 * Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference",
 * section 2.3. Right shifts of negative numbers are arithmetic: gcc, clang and armclang define them so.
 */
#ifndef MJ_FIXEDPOINT_H
#define MJ_FIXEDPOINT_H

#include <stdint.h>

/* MJ_INLINE: specialised for each call's constants, unless it was defined before: as `static`, code is compiled once
 * for all calls. MJ_SHARED: always one copy for all calls.
 *
 * noipa: GCC 12 for Arm may turn a pointer into an integer (its pass ivopts), then find that the function stores nowhere
 * (local-pure-const), and drop the calls. What callers do not know of a function they cannot draw conclusions from.
 */
#if defined(__GNUC__) && !defined(__clang__)
#define MJ_SHARED static __attribute__((noipa, unused))
#elif defined(__GNUC__)
#define MJ_SHARED static __attribute__((noinline, unused))
#else
#define MJ_SHARED static
#endif
#ifdef MJ_INLINE
#elif defined(__GNUC__)
#define MJ_INLINE static inline __attribute__((always_inline, unused))
#else
#define MJ_INLINE static inline
#endif

/* round(a * b / 2^31), ties upwards; the one overflow saturates. */
MJ_INLINE int32_t mj_saturating_rounding_doubling_high_mul(int32_t a, int32_t b)
{
    if (a == INT32_MIN && b == INT32_MIN)
        return INT32_MAX;
    return (int32_t)(((int64_t)a * b + (1 << 30)) >> 31);
}

/* round(x / 2^exponent), ties away from zero; 0 <= exponent <= 31. */
MJ_INLINE int32_t mj_rounding_divide_by_pot(int32_t x, int32_t exponent)
{
    const int32_t mask = (int32_t)(((uint32_t)1 << exponent) - 1);
    const int32_t remainder = x & mask;
    const int32_t threshold = (mask >> 1) + (x < 0);
    return (x >> exponent) + (remainder > threshold);
}

/* x * multiplier / 2^31 * 2^shift, rounded twice. */
MJ_INLINE int32_t mj_multiply_by_quantized_multiplier(int32_t x, int32_t multiplier, int32_t shift)
{
    const int32_t left = shift > 0 ? shift : 0;
    const int32_t right = shift > 0 ? 0 : -shift;
    const int32_t doubled = (int32_t)((uint32_t)x << left);
    return mj_rounding_divide_by_pot(mj_saturating_rounding_doubling_high_mul(doubled, multiplier), right);
}

MJ_INLINE int32_t mj_clamp(int32_t x, int32_t low, int32_t high)
{
    return x < low ? low : x > high ? high : x;
}

/* x + y and x * y as two's complement, where int32 may wrap. */
MJ_INLINE int32_t mj_wrapping_add(int32_t x, int32_t y)
{
    return (int32_t)((uint32_t)x + (uint32_t)y);
}

#endif
