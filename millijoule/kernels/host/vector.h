/* Sixteen int32 sums at a time, in the widest vectors that the compiler may use: AVX-512, AVX2, or plain loops. */
#ifndef MJ_HOST_VECTOR_H
#define MJ_HOST_VECTOR_H

#include "../fixedpoint.h"
#include "../memory.h"

enum { MJ_LANES = 16 };

#if defined(__AVX512BW__)
#include <immintrin.h>
enum { MJ_TILE = 8 }; /* how many positions are computed at a time: their sums fit the registers */
struct mj_sums {
    __m512i lanes;
};
#elif defined(__AVX2__)
#include <immintrin.h>
enum { MJ_TILE = 4 };
struct mj_sums {
    __m256i low, high;
};
#else
enum { MJ_TILE = 4 };
struct mj_sums {
    int32_t lanes[MJ_LANES];
};
#endif

MJ_INLINE struct mj_sums mj_load_sums(const int32_t *from)
{
    struct mj_sums sums;
    memcpy(&sums, from, sizeof sums);
    return sums;
}

/* sums + x[0] * weight[lane][0] + x[1] * weight[lane][1]; no product of pairs leaves int32. */
MJ_INLINE struct mj_sums mj_add_pairs(struct mj_sums sums, const int16_t *x, const int16_t *weight)
{
#if defined(__AVX512BW__) || defined(__AVX2__)
    int32_t pair;
    memcpy(&pair, x, sizeof pair);
#endif
#if defined(__AVX512BW__) && defined(__AVX512VNNI__)
    sums.lanes = _mm512_dpwssd_epi32(sums.lanes, _mm512_loadu_si512(weight), _mm512_set1_epi32(pair));
#elif defined(__AVX512BW__)
    sums.lanes =
        _mm512_add_epi32(sums.lanes, _mm512_madd_epi16(_mm512_loadu_si512(weight), _mm512_set1_epi32(pair)));
#elif defined(__AVX2__)
    const __m256i both = _mm256_set1_epi32(pair);
    const __m256i low = _mm256_madd_epi16(_mm256_loadu_si256((const __m256i_u *)weight), both);
    const __m256i high = _mm256_madd_epi16(_mm256_loadu_si256((const __m256i_u *)(weight + MJ_LANES)), both);
    sums.low = _mm256_add_epi32(sums.low, low);
    sums.high = _mm256_add_epi32(sums.high, high);
#else
    for (int32_t lane = 0; lane < MJ_LANES; lane++)
        sums.lanes[lane] =
            mj_wrapping_add(sums.lanes[lane], x[0] * weight[2 * lane] + x[1] * weight[2 * lane + 1]);
#endif
    return sums;
}

/* sums + x[lane] * weight[lane]; every product fits int16. */
MJ_INLINE struct mj_sums mj_add_products(struct mj_sums sums, const int16_t *x, const int16_t *weight)
{
#if defined(__AVX512BW__) || defined(__AVX2__)
    const __m256i products =
        _mm256_mullo_epi16(_mm256_loadu_si256((const __m256i_u *)x), _mm256_loadu_si256((const __m256i_u *)weight));
#endif
#if defined(__AVX512BW__)
    sums.lanes = _mm512_add_epi32(sums.lanes, _mm512_cvtepi16_epi32(products));
#elif defined(__AVX2__)
    sums.low = _mm256_add_epi32(sums.low, _mm256_cvtepi16_epi32(_mm256_castsi256_si128(products)));
    sums.high = _mm256_add_epi32(sums.high, _mm256_cvtepi16_epi32(_mm256_extracti128_si256(products, 1)));
#else
    for (int32_t lane = 0; lane < MJ_LANES; lane++)
        sums.lanes[lane] = mj_wrapping_add(sums.lanes[lane], x[lane] * weight[lane]);
#endif
    return sums;
}

/* The int8 of the first `count` sums. table: multipliers and shifts, MJ_LANES of each. */
MJ_INLINE void mj_store_sums(struct mj_sums sums, const int32_t *table, int32_t zero_point, int32_t low, int32_t high,
                             int32_t count, int8_t *output)
{
    int32_t accumulator[MJ_LANES];
    int8_t result[MJ_LANES];
    memcpy(accumulator, &sums, sizeof accumulator);
    for (int32_t lane = 0; lane < MJ_LANES; lane++) {
        const int32_t scaled =
            mj_multiply_by_quantized_multiplier(accumulator[lane], table[lane], table[MJ_LANES + lane]);
        result[lane] = (int8_t)mj_clamp(scaled + zero_point, low, high);
    }
    memcpy(output, result, (size_t)(count < MJ_LANES ? count : MJ_LANES));
}

/* Rows of a map as int16 less its zero point, each channel group filled up to pairs, with the padding around them. */
struct mj_host_lines {
    int32_t height, width, groups, group_channels, group_stride; /* group_stride: int16 numbers of one group */
    int32_t line, left, zero_point;                              /* line: positions with padding */
    int32_t input_pixel;                                         /* bytes from one pixel of the input to the next */
};

/* Row y of the input, which may lie outside the map, into `to`. */
MJ_INLINE void mj_host_line(const struct mj_host_lines p, const int8_t *input, int32_t y, int16_t *to)
{
    const int32_t pixel = p.groups * p.group_stride;
    const int32_t room = p.line - p.left, copied = room < p.width ? room : p.width;
    memset(to, 0, (size_t)(p.line * pixel) * sizeof *to);
    if (y < 0 || y >= p.height || copied < 1)
        return;
    const int8_t *from = input + y * p.width * p.input_pixel;
    to += p.left * pixel;
    for (int32_t x = 0; x < copied; x++, from += p.input_pixel)
        for (int32_t group = 0; group < p.groups; group++, to += p.group_stride)
            for (int32_t i = 0; i < p.group_channels; i++)
                to[i] = (int16_t)(from[group * p.group_channels + i] - p.zero_point);
}

#endif
