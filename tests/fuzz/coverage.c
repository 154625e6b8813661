/* Which branches of instrumented C code ran, for libFuzzer to count.
 *
 * gcc calls __sanitizer_cov_trace_pc() at each block of code built with
 * -fsanitize-coverage=trace-pc; this file is built without. A place in the code is told by its
 * distance from fuzz_count(), cut to 16 bits: the code is smaller than that. libFuzzer, which is
 * loaded already, reads and clears the counters around each input.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define HIDDEN __attribute__((visibility("hidden")))

/* Counting is not under test. */
#define UNCHECKED __attribute__((no_sanitize("address", "undefined"), optimize("O2")))
#define PLACES (1 << 16)

static _Alignas(4096) uint8_t hits[PLACES];

/* What libFuzzer calls the places: a pair of address and flags each. */
static uintptr_t names[PLACES][2];

HIDDEN void __sanitizer_cov_trace_pc(void);
void __sanitizer_cov_8bit_counters_init(uint8_t *start, uint8_t *stop);
void __sanitizer_cov_pcs_init(const uintptr_t *start, const uintptr_t *stop);
void fuzz_count(void);
int fuzz_planted_fault(size_t size_bytes);

HIDDEN UNCHECKED void __sanitizer_cov_trace_pc(void) {
    uintptr_t here = (uintptr_t)__builtin_return_address(0);
    uint16_t place = (uint16_t)(here - (uintptr_t)&fuzz_count);
    hits[place] = (uint8_t)(hits[place] + (hits[place] < UINT8_MAX));
}

/* Give libFuzzer the counters. Once, before it starts. */
void fuzz_count(void) {
    for (size_t i = 0; i < PLACES; i++) {
        names[i][0] = (uintptr_t)&hits[i];
    }
    __sanitizer_cov_8bit_counters_init(hits, hits + PLACES);
    __sanitizer_cov_pcs_init(names[0], names[0] + 2 * (size_t)PLACES);
}

/* Read one byte behind a piece of memory, which AddressSanitizer has to notice. */
int fuzz_planted_fault(size_t size_bytes) {
    volatile uint8_t *piece = calloc(size_bytes, 1);
    int result = piece ? piece[size_bytes] : 0;
    free((void *)piece);
    return result;
}
