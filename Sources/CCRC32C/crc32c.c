/* SPDX-License-Identifier: Apache-2.0 */

/* The instruction takes three cycles but a new one can start in each, so three independent streams keep it busy. Their
 * checksums are joined by "shifting": a checksum followed by m zero bytes is a linear map of the checksum, kept as four
 * tables of 256 words for each of the two block lengths used. The tables and not a carry-less multiplication, so that
 * x86-64 and ARM run, and tests on either check, the same code.
 *
 *      data  | stream A, m bytes | stream B, m bytes | stream C, m bytes | ...
 *      crc = shift(shift(A) ^ B) ^ C
 *
 * Everything below works on the inverted register; the public functions invert on the way in and out. */

#include "CCRC32C.h"
#include <string.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#define GODWIT_HARDWARE "sse4.2"
#define TARGET __attribute__((target("sse4.2")))
#define STEP8(crc, word) _mm_crc32_u64((crc), (word))
#define STEP1(crc, byte) _mm_crc32_u8((uint32_t)(crc), (byte))
#elif defined(__aarch64__) && defined(__linux__)
#include <arm_acle.h>
#include <sys/auxv.h>
#define GODWIT_HARDWARE "armv8-crc"
#define TARGET __attribute__((target("crc")))
#define STEP8(crc, word) ((uint64_t)__crc32cd((uint32_t)(crc), (word)))
#define STEP1(crc, byte) __crc32cb((uint32_t)(crc), (byte))
#endif

#define POLYNOMIAL 0x82f63b78u
#define LONG_BLOCK ((size_t)4096)
#define SHORT_BLOCK ((size_t)256)

static uint32_t byte_tables[8][256];
static uint32_t long_shift[4][256];
static uint32_t short_shift[4][256];

/* a · b modulo the polynomial; bit 31 is x⁰. */
static uint32_t multiply(uint32_t a, uint32_t b) {
    uint32_t product = 0;
    for (int bit = 31; bit >= 0; bit--) {
        if (a >> bit & 1) product ^= b;
        b = b & 1 ? b >> 1 ^ POLYNOMIAL : b >> 1;
    }
    return product;
}

/* x^(8 · bytes) modulo the polynomial, for a power of two. */
static uint32_t power(size_t bytes) {
    uint32_t value = 0x00800000u; /* x⁸ */
    for (; bytes > 1; bytes >>= 1) value = multiply(value, value);
    return value;
}

static void fill_shift(uint32_t table[4][256], size_t block) {
    const uint32_t factor = power(block);
    for (int lane = 0; lane < 4; lane++) {
        table[lane][0] = 0;
        for (uint32_t bit = 1; bit < 256; bit <<= 1) {
            const uint32_t image = multiply(factor, bit << 8 * lane);
            for (uint32_t below = 0; below < bit; below++) table[lane][bit | below] = table[lane][below] ^ image;
        }
    }
}

typedef uint32_t (*checksum_function)(uint32_t, const uint8_t *, size_t);

static uint32_t run_portable(uint32_t crc, const uint8_t *p, size_t n) {
    while (n >= 8) {
        const uint32_t low = crc ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
        crc = byte_tables[7][low & 0xff] ^ byte_tables[6][low >> 8 & 0xff] ^ byte_tables[5][low >> 16 & 0xff] ^
              byte_tables[4][low >> 24] ^ byte_tables[3][p[4]] ^ byte_tables[2][p[5]] ^ byte_tables[1][p[6]] ^
              byte_tables[0][p[7]];
        p += 8;
        n -= 8;
    }
    for (; n > 0; n--) crc = crc >> 8 ^ byte_tables[0][(crc ^ *p++) & 0xff];
    return crc;
}

static checksum_function chosen = run_portable;

#ifdef GODWIT_HARDWARE
static inline uint32_t shift(uint32_t table[4][256], uint32_t crc) {
    return table[0][crc & 0xff] ^ table[1][crc >> 8 & 0xff] ^ table[2][crc >> 16 & 0xff] ^ table[3][crc >> 24];
}

static inline uint64_t load(const uint8_t *p) {
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

TARGET static inline uint32_t triple(uint32_t crc, const uint8_t *p, size_t block, uint32_t table[4][256]) {
    uint64_t a = crc, b = 0, c = 0;
    for (size_t at = 0; at < block; at += 8) {
        a = STEP8(a, load(p + at));
        b = STEP8(b, load(p + block + at));
        c = STEP8(c, load(p + 2 * block + at));
    }
    return shift(table, shift(table, (uint32_t)a) ^ (uint32_t)b) ^ (uint32_t)c;
}

TARGET static uint32_t run_hardware(uint32_t crc, const uint8_t *p, size_t n) {
    for (; n >= 3 * LONG_BLOCK; n -= 3 * LONG_BLOCK, p += 3 * LONG_BLOCK) crc = triple(crc, p, LONG_BLOCK, long_shift);
    for (; n >= 3 * SHORT_BLOCK; n -= 3 * SHORT_BLOCK, p += 3 * SHORT_BLOCK)
        crc = triple(crc, p, SHORT_BLOCK, short_shift);
    uint64_t wide = crc;
    for (; n >= 8; n -= 8, p += 8) wide = STEP8(wide, load(p));
    crc = (uint32_t)wide;
    for (; n > 0; n--) crc = STEP1(crc, *p++);
    return crc;
}

static int has_instruction(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    return __builtin_cpu_supports("sse4.2");
#else
    return (getauxval(AT_HWCAP) & (1ul << 7)) != 0; /* HWCAP_CRC32 */
#endif
}
#endif

/* Runs before main, so that no call has to ask whether the tables are there. */
__attribute__((constructor)) static void prepare(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ POLYNOMIAL : crc >> 1;
        byte_tables[0][byte] = crc;
    }
    for (int lane = 1; lane < 8; lane++)
        for (uint32_t byte = 0; byte < 256; byte++) {
            const uint32_t before = byte_tables[lane - 1][byte];
            byte_tables[lane][byte] = before >> 8 ^ byte_tables[0][before & 0xff];
        }
    fill_shift(long_shift, LONG_BLOCK);
    fill_shift(short_shift, SHORT_BLOCK);
#ifdef GODWIT_HARDWARE
    if (has_instruction()) chosen = run_hardware;
#endif
}

uint32_t godwit_crc32c(uint32_t crc, const void *data, size_t n) { return ~chosen(~crc, data, n); }

uint32_t godwit_crc32c_portable(uint32_t crc, const void *data, size_t n) { return ~run_portable(~crc, data, n); }

const char *godwit_crc32c_implementation(void) {
#ifdef GODWIT_HARDWARE
    if (chosen == run_hardware) return GODWIT_HARDWARE;
#endif
    return "portable";
}
