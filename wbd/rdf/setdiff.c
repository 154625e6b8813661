/* Set difference over lines; setdiff.h has the contract, the layout of the table and its
 * invariants. */
#include "setdiff.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { IN_OLD = 1, IN_NEW = 2 };

typedef struct {
    setdiff_span line;
    uint32_t hash_low;
    uint32_t texts;
} entry;

typedef struct {
    uint32_t hash_high;
    uint32_t place_plus_1;
} slot;

_Static_assert(sizeof(entry) == 24 && offsetof(entry, hash_low) == 16 &&
                   offsetof(entry, texts) == 20,
               "entries are laid out as setdiff.h says");
_Static_assert(sizeof(slot) == 8 && offsetof(slot, place_plus_1) == 4,
               "slots are laid out as setdiff.h says");
_Static_assert(SETDIFF_MAX_LINES <= UINT64_C(1) << 31,
               "a place fits 32 bits, and so does a slot's number");
_Static_assert(sizeof(size_t) == 8, "sizes of tables are computed without looking for overflow");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the hash masks and shifts loaded words");

/* The hash of a line is a polynomial over the integers modulo the prime 2^61 - 1, at a random
 * point: its coefficients are the size of the line and then its bytes, 7 at a time. Two different
 * lines of n bytes are two different polynomials, which meet at no more than n / 7 + 2 of all
 * points, whoever chose the lines; SipHash has no such proof, and took three times as long here. */
#define PRIME ((UINT64_C(1) << 61) - 1)

enum { WORD_BYTES = 7, WORDS_AT_ONCE = 4 };

__extension__ typedef unsigned __int128 wide;

/* What the hash needs of the seed: its point and the point's powers, and bits to spread with. */
typedef struct {
    uint64_t powers[WORDS_AT_ONCE];
    uint64_t mask;
} hash_key;

typedef struct {
    entry *entries;
    slot *slots;
    size_t count;
    size_t capacity; /* entries there is room for; there are twice as many slots */
    hash_key key;
} table;

/* Return a number below 2^61 + 8 that is congruent to a sum below 2^124. */
static uint64_t folded(wide sum) {
    const uint64_t once = ((uint64_t)sum & PRIME) + (uint64_t)(sum >> 61);
    return (once & PRIME) + (once >> 61);
}

/* Return the first 7 of 8 readable bytes. */
static uint64_t word_at(const uint8_t *bytes) {
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return word & ((UINT64_C(1) << 8 * WORD_BYTES) - 1);
}

/* Return the last bytes of a line, 7 at most, without reading past its ends. */
static uint64_t last_word(setdiff_span line, size_t left) {
    uint64_t word = 0;
    if (line.size_bytes >= sizeof word) {
        memcpy(&word, line.start + line.size_bytes - sizeof word, sizeof word);
        return word >> 8 * (sizeof word - left);
    }
    for (size_t i = left; i > 0; i--) {
        word = word << 8 | line.start[line.size_bytes - left + i - 1];
    }
    return word;
}

static hash_key key_of(setdiff_seed seed) {
    hash_key key = {.mask = seed.high};
    key.powers[0] = seed.low % PRIME;
    for (int i = 1; i < WORDS_AT_ONCE; i++) {
        key.powers[i] = (uint64_t)((wide)key.powers[i - 1] * key.powers[0] % PRIME);
    }
    return key;
}

static uint64_t hash_of(const hash_key *key, setdiff_span line) {
    const uint64_t *const k = key->powers;
    const uint8_t *next = line.start;
    size_t left = line.size_bytes;
    uint64_t h = line.size_bytes;
    for (; left > WORDS_AT_ONCE * WORD_BYTES; left -= WORDS_AT_ONCE * WORD_BYTES) {
        /* Four steps of Horner's rule in one: the products do not wait for each other. */
        h = folded((wide)h * k[3] + (wide)word_at(next) * k[2] +
                   (wide)word_at(next + WORD_BYTES) * k[1] +
                   (wide)word_at(next + 2 * WORD_BYTES) * k[0] + word_at(next + 3 * WORD_BYTES));
        next += WORDS_AT_ONCE * WORD_BYTES;
    }
    for (; left > WORD_BYTES; left -= WORD_BYTES, next += WORD_BYTES) {
        h = folded((wide)h * k[0] + word_at(next));
    }
    /* No coefficient stands alone: the difference of any two lines depends on the point. */
    h = folded((wide)h * k[1] + (wide)last_word(line, left) * k[0]);
    h -= h >= PRIME ? PRIME : 0;
    /* Spread neighbouring values over the table; this is one to one. */
    h ^= key->mask;
    h *= UINT64_C(0x9e3779b97f4a7c15);
    h ^= h >> 32;
    h *= UINT64_C(0xd6e8feb86659fd93);
    return h ^ h >> 32;
}

uint64_t setdiff_hash(setdiff_seed seed, setdiff_span line) {
    const hash_key key = key_of(seed);
    return hash_of(&key, line);
}

/* Take the next line off a text; false when there is none. */
static bool next_line(setdiff_span *text, setdiff_span *line) {
    while (text->size_bytes > 0) {
        const uint8_t *end = memchr(text->start, '\n', text->size_bytes);
        const size_t size_bytes = end == NULL ? text->size_bytes : (size_t)(end - text->start);
        const size_t taken_bytes = size_bytes + (end != NULL);
        *line = (setdiff_span){text->start, size_bytes};
        text->start += taken_bytes;
        text->size_bytes -= taken_bytes;
        if (size_bytes > 0) {
            return true;
        }
    }
    return false;
}

static bool equal(setdiff_span a, setdiff_span b) {
    return a.size_bytes == b.size_bytes && memcmp(a.start, b.start, a.size_bytes) == 0;
}

static bool in_order(setdiff_span a, setdiff_span b) {
    const size_t common_bytes = a.size_bytes < b.size_bytes ? a.size_bytes : b.size_bytes;
    const int sign = memcmp(a.start, b.start, common_bytes);
    return sign < 0 || (sign == 0 && a.size_bytes <= b.size_bytes);
}

/* Make room for *capacity* entries, a power of two. */
static bool resize(table *t, size_t capacity) {
    entry *entries = realloc(t->entries, capacity * sizeof *entries);
    if (entries == NULL) {
        return false;
    }
    t->entries = entries;
    slot *slots = calloc(2 * capacity, sizeof *slots);
    if (slots == NULL) {
        return false;
    }
    const size_t mask = 2 * capacity - 1;
    for (size_t i = 0; t->slots != NULL && i < 2 * t->capacity; i++) {
        const slot moved = t->slots[i];
        if (moved.place_plus_1 != 0) {
            size_t at = t->entries[moved.place_plus_1 - 1].hash_low & mask;
            while (slots[at].place_plus_1 != 0) {
                at = (at + 1) & mask;
            }
            slots[at] = moved;
        }
    }
    free(t->slots);
    t->slots = slots;
    t->capacity = capacity;
    return true;
}

/* Find the place of a line, and give it one if it has none. */
static setdiff_status intern(table *t, setdiff_span line, size_t *place) {
    const uint64_t hash = hash_of(&t->key, line) & SETDIFF_HASH_MASK;
    const uint32_t hash_low = (uint32_t)hash;
    const uint32_t hash_high = (uint32_t)(hash >> 32);
    size_t mask = 2 * t->capacity - 1;
    size_t at = hash_low & mask;
    for (; t->slots[at].place_plus_1 != 0; at = (at + 1) & mask) {
        *place = t->slots[at].place_plus_1 - 1;
        if (t->slots[at].hash_high == hash_high && equal(t->entries[*place].line, line)) {
            return SETDIFF_OK;
        }
    }
    if (t->count == SETDIFF_MAX_LINES) {
        return SETDIFF_TOO_MANY_LINES;
    }
    if (t->count == t->capacity) {
        if (!resize(t, 2 * t->capacity)) {
            return SETDIFF_NO_MEMORY;
        }
        mask = 2 * t->capacity - 1;
        at = hash_low & mask;
        while (t->slots[at].place_plus_1 != 0) {
            at = (at + 1) & mask;
        }
    }
    *place = t->count++;
    t->entries[*place] = (entry){line, hash_low, 0};
    t->slots[at] = (slot){hash_high, (uint32_t)t->count};
    return SETDIFF_OK;
}

/* Note for every line of a text that the text has it. */
static setdiff_status read_text(table *t, setdiff_span text, uint32_t which) {
    setdiff_span line;
    size_t place = 0;
    /* Two versions of a graph have long runs of lines in common, in whatever order they are: where
     * a line follows the same line as in the other text, one comparison finds it, which costs less
     * than its hash. */
    size_t expected = 0;
    while (next_line(&text, &line)) {
        if (expected < t->count && equal(t->entries[expected].line, line)) {
            place = expected;
        } else {
            const setdiff_status status = intern(t, line, &place);
            if (status != SETDIFF_OK) {
                return status;
            }
        }
        t->entries[place].texts |= which;
        expected = place + 1;
    }
    return SETDIFF_OK;
}

/* Put spans in order: merge neighbouring runs of 1, 2, 4 ... The C library's qsort() would allocate
 * unseen. */
static setdiff_status sort(setdiff_span *spans, size_t count) {
    size_t sorted = 1;
    while (sorted < count && in_order(spans[sorted - 1], spans[sorted])) {
        sorted++;
    }
    if (sorted >= count) {
        return SETDIFF_OK;
    }
    setdiff_span *merged = malloc(count * sizeof *merged);
    if (merged == NULL) {
        return SETDIFF_NO_MEMORY;
    }
    setdiff_span *from = spans;
    setdiff_span *to = merged;
    for (size_t run = 1; run < count; run *= 2) {
        for (size_t begin = 0; begin < count; begin += 2 * run) {
            const size_t middle = count - begin < run ? count : begin + run;
            const size_t end = count - middle < run ? count : middle + run;
            size_t left = begin;
            size_t right = middle;
            for (size_t i = begin; i < end; i++) {
                const bool take_left =
                    left < middle && (right == end || in_order(from[left], from[right]));
                to[i] = take_left ? from[left++] : from[right++];
            }
        }
        setdiff_span *swapped = from;
        from = to;
        to = swapped;
    }
    if (from != spans) {
        memcpy(spans, from, count * sizeof *spans);
    }
    free(merged);
    return SETDIFF_OK;
}

/* Collect the lines that one text alone has, in order. */
static setdiff_status collect(const table *t, uint32_t which, setdiff_lines *lines) {
    size_t count = 0;
    for (size_t i = 0; i < t->count; i++) {
        count += t->entries[i].texts == which;
    }
    if (count == 0) {
        return SETDIFF_OK;
    }
    lines->spans = malloc(count * sizeof *lines->spans);
    if (lines->spans == NULL) {
        return SETDIFF_NO_MEMORY;
    }
    for (size_t i = 0; i < t->count; i++) {
        if (t->entries[i].texts == which) {
            lines->spans[lines->count++] = t->entries[i].line;
            lines->text_bytes += t->entries[i].line.size_bytes + 1;
        }
    }
    return sort(lines->spans, lines->count);
}

setdiff_status setdiff_compute(setdiff_span old_text, setdiff_span new_text, setdiff_seed seed,
                               setdiff_result *result) {
    table t = {.key = key_of(seed)};
    setdiff_status status = SETDIFF_NO_MEMORY;
    *result = (setdiff_result){0};
    /* Triples of large public dumps are 140 bytes long on average; with room for one in 128 bytes
     * the table of a graph and its next version seldom grows. */
    size_t capacity = 16;
    while (capacity < old_text.size_bytes / 128 && capacity < SETDIFF_MAX_LINES) {
        capacity *= 2;
    }
    if (!resize(&t, capacity) || (status = read_text(&t, old_text, IN_OLD)) != SETDIFF_OK ||
        (status = read_text(&t, new_text, IN_NEW)) != SETDIFF_OK ||
        (status = collect(&t, IN_NEW, &result->added)) != SETDIFF_OK ||
        (status = collect(&t, IN_OLD, &result->removed)) != SETDIFF_OK) {
        setdiff_free(result);
    }
    free(t.entries);
    free(t.slots);
    return status;
}

void setdiff_write(const setdiff_lines *lines, uint8_t *target) {
    for (size_t i = 0; i < lines->count; i++) {
        const setdiff_span line = lines->spans[i];
        memcpy(target, line.start, line.size_bytes);
        target[line.size_bytes] = '\n';
        target += line.size_bytes + 1;
    }
}

void setdiff_free(setdiff_result *result) {
    free(result->added.spans);
    free(result->removed.spans);
    *result = (setdiff_result){0};
}
