/* Checks of setdiff.c without Python, to be built under sanitizers; the first argument says which.
 *
 *   laws N         N pairs of random texts, against a slow comparison of each line with each
 *   allocations    every allocation of a call fails once
 *   limit          exactly SETDIFF_MAX_LINES distinct lines are taken, and one more is refused
 *   threads        several threads compare the same texts at the same time
 *   hash LOW HIGH  print the hash of each line of standard input under this seed
 */
#include "setdiff.h"

#include "driver.h"

#include <inttypes.h>
#include <pthread.h>

enum { TEXT_BYTES = 400, LINES = 200, THREADS = 4 };

static setdiff_span copied(const char *bytes, size_t size_bytes) {
    uint8_t *const copy = size_bytes == 0 ? NULL : malloc(size_bytes);
    if (copy != NULL) {
        memcpy(copy, bytes, size_bytes);
    }
    return (setdiff_span){copy, size_bytes};
}

static void drop(setdiff_span text) { free((void *)(uintptr_t)text.start); }

/* Lines of three letters of the alphabet, NUL among them; short ones come again, long ones share
 * beginnings. */
static setdiff_span random_text(void) {
    static const char alphabet[] = {'a', '\0', '\xff'};
    char text[TEXT_BYTES];
    const size_t size_bytes = random_below(TEXT_BYTES + 1);
    const uint64_t mean_bytes = 1 + random_below(60);
    for (size_t i = 0; i < size_bytes; i++) {
        text[i] =
            random_below(mean_bytes) == 0 ? '\n' : alphabet[random_below(2) + random_below(2)];
    }
    return copied(text, size_bytes);
}

static bool same(setdiff_span a, setdiff_span b) {
    return a.size_bytes == b.size_bytes && memcmp(a.start, b.start, a.size_bytes) == 0;
}

static size_t split(setdiff_span text, setdiff_span lines[TEXT_BYTES]) {
    size_t count = 0;
    size_t begin = 0;
    for (size_t i = 0; i <= text.size_bytes; i++) {
        if (i == text.size_bytes || text.start[i] == '\n') {
            if (i > begin) {
                lines[count++] = (setdiff_span){text.start + begin, i - begin};
            }
            begin = i + 1;
        }
    }
    return count;
}

static bool among(setdiff_span line, const setdiff_span *lines, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (same(line, lines[i])) {
            return true;
        }
    }
    return false;
}

/* Check that *found* is what *text* has and *other* has not, each once and in order. */
static void check_side(const setdiff_lines *found, setdiff_span text, setdiff_span other) {
    setdiff_span lines[TEXT_BYTES];
    setdiff_span others[TEXT_BYTES];
    const size_t count = split(text, lines);
    const size_t other_count = split(other, others);
    size_t expected = 0;
    for (size_t i = 0; i < count; i++) {
        const bool first = !among(lines[i], lines, i);
        if (first && !among(lines[i], others, other_count)) {
            expected++;
            CHECK(among(lines[i], found->spans, found->count));
        }
    }
    CHECK(found->count == expected);
    size_t text_bytes = 0;
    for (size_t i = 0; i < found->count; i++) {
        text_bytes += found->spans[i].size_bytes + 1;
        if (i > 0) {
            const setdiff_span a = found->spans[i - 1];
            const setdiff_span b = found->spans[i];
            const size_t common = a.size_bytes < b.size_bytes ? a.size_bytes : b.size_bytes;
            const int sign = memcmp(a.start, b.start, common);
            CHECK(sign < 0 || (sign == 0 && a.size_bytes < b.size_bytes));
        }
    }
    CHECK(found->text_bytes == text_bytes);
    uint8_t *const written = malloc(text_bytes + 1);
    CHECK(written != NULL);
    written[text_bytes] = 0x5a;
    setdiff_write(found, written);
    CHECK(written[text_bytes] == 0x5a);
    setdiff_span again[TEXT_BYTES];
    CHECK(split((setdiff_span){written, text_bytes}, again) == expected);
    for (size_t i = 0; i < expected; i++) {
        CHECK(same(again[i], found->spans[i]));
    }
    free(written);
}

static setdiff_seed random_seed(void) {
    return (setdiff_seed){random_below(UINT64_MAX), random_below(UINT64_MAX)};
}

static void check_laws(long pairs) {
    for (long i = 0; i < pairs; i++) {
        const setdiff_span old_text = random_text();
        const setdiff_span new_text = random_below(8) == 0 ? old_text : random_text();
        setdiff_result result;
        CHECK(setdiff_compute(old_text, new_text, random_seed(), &result) == SETDIFF_OK);
        check_side(&result.added, new_text, old_text);
        check_side(&result.removed, old_text, new_text);
        setdiff_free(&result);
        setdiff_free(&result);
        if (new_text.start != old_text.start) {
            drop(new_text);
        }
        drop(old_text);
    }
}

/* Lines first ... end - 1 as numbers, the last one first, so that the result has to be sorted. */
static setdiff_span numbered_text(int first, int end) {
    char text[LINES * 8];
    size_t size_bytes = 0;
    for (int i = end; i > first; i--) {
        size_bytes += (size_t)snprintf(text + size_bytes, sizeof text - size_bytes, "%d\n", i);
    }
    return copied(text, size_bytes);
}

static void check_allocations(void) {
    const setdiff_span old_text = numbered_text(0, 150);
    const setdiff_span new_text = numbered_text(50, LINES);
    long allowed = 0;
    for (;; allowed++) {
        setdiff_result result;
        allocations_left = allowed;
        const setdiff_status status = setdiff_compute(old_text, new_text, random_seed(), &result);
        const bool all_succeeded = allocations_left >= 0;
        allocations_left = -1;
        if (all_succeeded) {
            CHECK(status == SETDIFF_OK && result.added.count == 50 && result.removed.count == 50);
            setdiff_free(&result);
            break;
        }
        CHECK(status == SETDIFF_NO_MEMORY);
        CHECK(result.added.spans == NULL && result.removed.spans == NULL);
        CHECK(result.added.count == 0 && result.removed.count == 0);
    }
    /* Two for the table, two each time it doubles from 16 to 256, two for either side. */
    CHECK(allowed == 2 + 2 * 4 + 4);
    drop(old_text);
    drop(new_text);
}

static void check_limit(void) {
    const int most = (int)SETDIFF_MAX_LINES;
    const setdiff_span old_text = numbered_text(0, most / 2);
    const setdiff_span enough = numbered_text(most / 4, most);
    const setdiff_span too_many = numbered_text(most / 4, most + 1);
    setdiff_result result;
    CHECK(setdiff_compute(old_text, enough, random_seed(), &result) == SETDIFF_OK);
    setdiff_free(&result);
    CHECK(setdiff_compute(old_text, too_many, random_seed(), &result) == SETDIFF_TOO_MANY_LINES);
    CHECK(result.added.spans == NULL && result.removed.spans == NULL);
    drop(old_text);
    drop(enough);
    drop(too_many);
}

typedef struct {
    setdiff_span old_text;
    setdiff_span new_text;
} pair;

static void *compare_often(void *argument) {
    const pair *const texts = argument;
    for (uint64_t i = 0; i < 200; i++) {
        setdiff_result result;
        const setdiff_seed seed = {i, i};
        CHECK(setdiff_compute(texts->old_text, texts->new_text, seed, &result) == SETDIFF_OK);
        CHECK(result.added.count == 50 && result.removed.count == 50);
        setdiff_free(&result);
    }
    return NULL;
}

static void check_threads(void) {
    pair texts = {numbered_text(0, 150), numbered_text(50, LINES)};
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, compare_often, &texts) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    drop(texts.old_text);
    drop(texts.new_text);
}

static void print_hashes(setdiff_seed seed) {
    char line[TEXT_BYTES];
    while (fgets(line, sizeof line, stdin) != NULL) {
        const setdiff_span text = copied(line, strcspn(line, "\n"));
        printf("%" PRIu64 "\n", setdiff_hash(seed, text));
        drop(text);
    }
}

int main(int count, char **arguments) {
    const char *const check = count > 1 ? arguments[1] : "";
    if (strcmp(check, "laws") == 0 && count == 3) {
        check_laws(strtol(arguments[2], NULL, 10));
    } else if (strcmp(check, "allocations") == 0) {
        check_allocations();
    } else if (strcmp(check, "limit") == 0) {
        check_limit();
    } else if (strcmp(check, "threads") == 0) {
        check_threads();
    } else if (strcmp(check, "hash") == 0 && count == 4) {
        print_hashes(
            (setdiff_seed){strtoull(arguments[2], NULL, 10), strtoull(arguments[3], NULL, 10)});
    } else {
        fprintf(stderr, "setdiff_test: no check %s\n", check);
        return 2;
    }
    return 0;
}
