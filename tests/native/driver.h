/* What the checks of C code without Python share: a broken promise ends the program with its line
 * number, chance is the same in each run, and allocations fail when they are told to.
 *
 * Link with -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc.
 */
#ifndef WBD_TESTS_NATIVE_DRIVER_H
#define WBD_TESTS_NATIVE_DRIVER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(promise)                                                                             \
    do {                                                                                           \
        if (!(promise)) {                                                                          \
            fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #promise);                  \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static uint64_t random_state = UINT64_C(0x2545f4914f6cdd1d);

static inline uint64_t random_below(uint64_t end) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % end;
}

/* How many allocations succeed before one fails; -1 for all of them. */
static long allocations_left = -1;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);

static bool fails(void) { return allocations_left >= 0 && allocations_left-- == 0; }

void *__wrap_malloc(size_t size) { return fails() ? NULL : __real_malloc(size); }

void *__wrap_calloc(size_t count, size_t size) {
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size) {
    return fails() ? NULL : __real_realloc(memory, size);
}

/* Copy a text to the heap in its exact size, so that a read past either end is seen. */
static inline uint8_t *copy_of(const char *bytes, size_t size_bytes) {
    uint8_t *const copy = malloc(size_bytes == 0 ? 1 : size_bytes);
    CHECK(copy != NULL);
    memcpy(copy, bytes, size_bytes);
    return copy;
}

#endif
