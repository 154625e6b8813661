/* Which branches of instrumented C code ran, for a fuzzer that counts branches itself.
 *
 * gcc calls __sanitizer_cov_trace_pc() at each block of code built with
 * -fsanitize-coverage=trace-pc; this file is built without. A place in the code is told by its
 * distance from the function below, cut to 16 bits: the code is smaller than that.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define HIDDEN __attribute__((visibility("hidden")))

/* Counting is not under test. */
#define UNCHECKED __attribute__((no_sanitize("address", "undefined"), optimize("O2")))
#define PLACES (1 << 16)

static uint8_t hits[PLACES];
static uint16_t touched[PLACES];
static size_t touched_count;

HIDDEN void __sanitizer_cov_trace_pc(void);
size_t fuzz_take(uint16_t *places, uint8_t *counts, size_t room);
int fuzz_planted_fault(size_t size_bytes);

HIDDEN UNCHECKED void __sanitizer_cov_trace_pc(void) {
    uintptr_t here = (uintptr_t)__builtin_return_address(0);
    uint16_t place = (uint16_t)(here - (uintptr_t)&fuzz_take);
    if (hits[place] == 0) {
        touched[touched_count++] = place;
    }
    hits[place] = (uint8_t)(hits[place] + (hits[place] < UINT8_MAX));
}

/* Write the places that ran since the last call and how often, at most 255 times; return their
 * number. */
size_t fuzz_take(uint16_t *places, uint8_t *counts, size_t room) {
    size_t found = touched_count < room ? touched_count : room;
    for (size_t i = 0; i < touched_count; i++) {
        if (i < found) {
            places[i] = touched[i];
            counts[i] = hits[touched[i]];
        }
        hits[touched[i]] = 0;
    }
    touched_count = 0;
    return found;
}

/* Read one byte behind a piece of memory, which AddressSanitizer has to notice. */
int fuzz_planted_fault(size_t size_bytes) {
    volatile uint8_t *piece = calloc(size_bytes, 1);
    int result = piece ? piece[size_bytes] : 0;
    free((void *)piece);
    return result;
}
