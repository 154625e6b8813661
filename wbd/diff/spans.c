/* Two snapshots become rows about their parts; spans.h has the contract. */
#include "spans.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first byte of a word is its lowest");

/* What a value has to be. The first ones are what spans_row.map can be. */
typedef unsigned shape;
enum { ANY = SPANS_OTHER, ENTITY = SPANS_NODE + 1, TERM, TERMS, GROUP, STATEMENT, MAIN_SNAK };
enum { REFERENCES = MAIN_SNAK + 1, REFERENCE, DATATYPE, OWN_KEY, NODE_ID, NODE_NAME };

#define OBJECT(mask, ...) .first_byte = '{', .required = mask, .members = {__VA_ARGS__}
#define MEMBER(key, value) {key, sizeof key - 1, value}

/* Each shape: its first byte, 0 for any; a bit for each member that is required; the shape of
 * elements and other members; its members. Strings are not in the table. */
static const struct {
    char first_byte;
    uint8_t required;
    shape inner;
    struct {
        const char *key;
        size_t key_bytes;
        shape value;
    } members[6];
} shapes[NODE_NAME + 1] = {
    [ENTITY] = {OBJECT(0, MEMBER("labels", SPANS_LABELS), MEMBER("aliases", SPANS_ALIASES),
                       MEMBER("descriptions", SPANS_DESCRIPTIONS), MEMBER("claims", SPANS_CLAIMS),
                       MEMBER("sitelinks", SPANS_SITELINKS))},
    [SPANS_LABELS] = {.first_byte = '{', .inner = TERM},
    [SPANS_DESCRIPTIONS] = {.first_byte = '{', .inner = TERM},
    [SPANS_ALIASES] = {.first_byte = '{', .inner = TERMS},
    [SPANS_CLAIMS] = {.first_byte = '{', .inner = GROUP},
    [TERMS] = {.first_byte = '[', .inner = TERM},
    [TERM] = {OBJECT(1, MEMBER("language", OWN_KEY))},
    [GROUP] = {.first_byte = '[', .inner = STATEMENT},
    [STATEMENT] = {OBJECT(3, MEMBER("id", NODE_ID), MEMBER("mainsnak", MAIN_SNAK),
                          MEMBER("references", REFERENCES))},
    [MAIN_SNAK] = {OBJECT(1, MEMBER("property", OWN_KEY), MEMBER("datatype", DATATYPE))},
    [REFERENCES] = {.first_byte = '[', .inner = REFERENCE},
    [REFERENCE] = {OBJECT(0, MEMBER("hash", NODE_NAME))},
};

/* Reads one text from front to back. A function that returns false has met something unusual or
 * has found no memory, and the comparison ends. */
typedef struct reader {
    const uint8_t *base, *at, *end;
    struct reader *old; /* while this is the new side */
    unsigned depth;
    bool no_memory;
    size_t part; /* the row of the part that is being read */
    size_t next; /* of the old side: the row to compare with next */
    spans_result parts;
} reader;

static inline bool is(spans_text text, const void *bytes, size_t size_bytes) {
    return text.size_bytes == size_bytes && memcmp(text.start, bytes, size_bytes) == 0;
}

static inline bool is_map(shape wanted) { return wanted >= SPANS_LABELS && wanted <= SPANS_CLAIMS; }

static bool add_row(spans_result *to, const spans_row *row) {
    if (to->count == to->capacity) {
        const size_t doubled = to->count == 0 ? 64 : 2 * to->count;
        spans_row *const larger = realloc(to->rows, doubled * sizeof *larger);
        if (larger == NULL) {
            return false;
        }
        to->rows = larger;
        to->capacity = doubled;
    }
    to->rows[to->count++] = *row;
    return true;
}

/* Add a row for a part whose value comes next, or for a statement's node. */
static bool begin_row(reader *r, shape map, spans_text key) {
    uint64_t hash = (key.size_bytes << 3 | map) * UINT64_C(0x9e3779b97f4a7c15);
    for (size_t at = 0; at < key.size_bytes; at += 8) {
        uint64_t word = 0;
        memcpy(&word, key.start + at, key.size_bytes - at < 8 ? key.size_bytes - at : 8);
        hash = (hash ^ word) * UINT64_C(0xd6e8feb86659fd93);
        hash ^= hash >> 32;
    }
    const spans_row row = {.hash = hash | 1, /* 0 is a free slot */
                           .start = (uint32_t)(key.start - 1 - r->base),
                           .key_bytes = (uint32_t)key.size_bytes,
                           .map = (uint8_t)map};
    r->no_memory = !add_row(&r->parts, &row);
    return !r->no_memory;
}

static inline bool begins_with(const reader *r, const void *bytes, size_t size_bytes) {
    return (size_t)(r->end - r->at) >= size_bytes && memcmp(r->at, bytes, size_bytes) == 0;
}

static inline bool take_bytes(reader *r, const void *bytes, size_t size_bytes) {
    const bool taken = begins_with(r, bytes, size_bytes);
    r->at += taken ? size_bytes : 0;
    return taken;
}

static inline bool take(reader *r, uint8_t byte) {
    return r->at < r->end && *r->at == byte && r->at++ != NULL;
}

/* Skip one or more characters of several bytes (Unicode 15, table 3-7). */
static bool skip_characters(reader *r) {
    do {
        const uint8_t *const at = r->at;
        const int more = at[0] >= 0xf0 ? 3 : at[0] >= 0xe0 ? 2 : 1;
        if (at[0] < 0xc2 || at[0] > 0xf4 || r->end - at <= more) {
            return false;
        }
        const uint8_t low = at[0] == 0xe0 ? 0xa0 : at[0] == 0xf0 ? 0x90 : 0x80;
        const uint8_t high = at[0] == 0xed ? 0x9f : at[0] == 0xf4 ? 0x8f : 0xbf;
        if (at[1] < low || at[1] > high || (more > 1 && (at[2] & 0xc0) != 0x80) ||
            (more > 2 && (at[3] & 0xc0) != 0x80)) {
            return false;
        }
        r->at += more + 1;
    } while (r->at < r->end && *r->at >= 0x80);
    return true;
}

/* Find the next quote, backslash, control or longer character of a string, or the end. */
static inline const uint8_t *find_special(const uint8_t *at, const uint8_t *end) {
    const uint64_t ones = UINT64_C(0x0101010101010101);
    for (;; at += 8) {
        uint64_t word = 0; /* bytes behind the end are controls */
        if (end - at >= 8) {
            memcpy(&word, at, 8);
        } else {
            memcpy(&word, at, (size_t)(end - at));
        }
        const uint64_t quote = word ^ ones * '"';
        const uint64_t backslash = word ^ ones * '\\';
        /* The lowest bit that is set is in the first such byte. */
        const uint64_t stop = (((quote - ones) & ~quote) | ((backslash - ones) & ~backslash) |
                               ((word - ones * ' ') & ~word) | word) &
                              (ones << 7);
        if (stop != 0) {
            return at + __builtin_ctzll(stop) / 8;
        }
    }
}

static bool read_string(reader *r, spans_text *text) {
    bool good = take(r, '"');
    text->start = r->at;
    while (good) {
        r->at = find_special(r->at, r->end);
        text->size_bytes = (size_t)(r->at - text->start);
        if (take(r, '"')) {
            return true;
        }
        if (take(r, '\\')) {
            good = r->at < r->end && memchr("\"\\bfnrt", *r->at++, 7) != NULL;
        } else {
            good = r->at < r->end && skip_characters(r);
        }
    }
    return false;
}

static bool skip_digits(reader *r, ptrdiff_t most) {
    const uint8_t *const start = r->at;
    while (r->at < r->end && *r->at >= '0' && *r->at <= '9') {
        r->at++;
    }
    return r->at > start && r->at - start <= most;
}

static bool skip_number(reader *r) {
    const uint8_t *const start = r->at;
    take(r, '-');
    bool good = take(r, '0') || skip_digits(r, SPANS_NUMBER_BYTES_MAX);
    good = good && (!take(r, '.') || skip_digits(r, SPANS_NUMBER_BYTES_MAX));
    if (good && take(r, 'e')) {
        take(r, '-');
        good = skip_digits(r, 2);
    }
    return good && r->at - start <= SPANS_NUMBER_BYTES_MAX;
}

/* Tell whether a text is word characters, and hyphens where they are allowed. */
static bool is_name(const uint8_t *start, size_t size_bytes, bool hyphens) {
    /* A bit for each byte. Without a branch for each, which no processor could predict. */
    const uint64_t allowed[4] = {UINT64_C(0x03ff000000000000) | (uint64_t)hyphens << '-',
                                 UINT64_C(0x07fffffe87fffffe), 0, 0};
    uint64_t all = size_bytes > 0;
    for (size_t i = 0; i < size_bytes; i++) {
        all &= allowed[start[i] >> 6] >> (start[i] & 63);
    }
    return all != 0;
}

/* Tell whether a text is an id whose node no other such id has: $ becomes the first hyphen. */
static bool is_node_id(spans_text id) {
    const uint8_t *const dollar = memchr(id.start, '$', id.size_bytes);
    const size_t before_bytes = dollar == NULL ? 0 : (size_t)(dollar - id.start);
    return is_name(id.start, before_bytes, false) &&
           is_name(dollar + 1, id.size_bytes - before_bytes - 1, true);
}

static bool check_text(reader *r, shape wanted, spans_text text) {
    spans_row *const part = &r->parts.rows[r->part];
    if (wanted == OWN_KEY) {
        return is(text, r->base + part->start + 1, part->key_bytes);
    }
    if (wanted == NODE_ID) {
        part->statements++;
        return is_node_id(text) && begin_row(r, SPANS_NODE, text);
    }
    part->identifiers += wanted == DATATYPE && is(text, "external-id", 11);
    return wanted != NODE_NAME || is_name(text.start, text.size_bytes, true);
}

/* Skip the next part if the old side has it too. In any case go on behind its key there. */
static bool skip_unchanged(reader *r, shape map) {
    spans_result *const old = &r->old->parts;
    for (size_t i = r->old->next; i < old->count && i < r->old->next + SPANS_WINDOW; i++) {
        spans_row *const part = &old->rows[i];
        const uint8_t *const start = r->old->base + part->start;
        if (part->map == map && begins_with(r, start, part->key_bytes + 3)) {
            r->old->next = i + 1;
            /* Should a number go on, as 12 begins 123, no comma follows, and all is unusual. */
            part->unchanged = take_bytes(r, start, part->size_bytes);
            return part->unchanged;
        }
    }
    return false;
}

static bool read_value(reader *r, shape wanted);

static bool read_part(reader *r, shape map, spans_text key, shape wanted) {
    const size_t row = r->part = r->parts.count;
    /* p1 would be the same property as P1. */
    const bool good = is_name(key.start, key.size_bytes, false) && *key.start == 'P';
    if ((map == SPANS_CLAIMS && !good) || !begin_row(r, map, key) || !read_value(r, wanted)) {
        return false;
    }
    r->parts.rows[row].size_bytes = (uint32_t)(r->at - r->base) - r->parts.rows[row].start;
    return true;
}

static bool read_member(reader *r, shape wanted, unsigned *seen) {
    shape inner = shapes[wanted].inner;
    spans_text key;
    if (wanted <= ENTITY && wanted != ANY && r->old != NULL &&
        skip_unchanged(r, wanted == ENTITY ? SPANS_SITELINKS : wanted)) {
        return true;
    }
    if (!read_string(r, &key) || !take(r, ':')) {
        return false;
    }
    for (unsigned i = 0; shapes[wanted].members[i].key != NULL; i++) {
        if (is(key, shapes[wanted].members[i].key, shapes[wanted].members[i].key_bytes)) {
            if ((*seen >> i & 1) != 0) {
                return false;
            }
            *seen |= 1U << i;
            inner = shapes[wanted].members[i].value;
        }
    }
    if (is_map(wanted) || (wanted == ENTITY && !is_map(inner))) {
        return read_part(r, wanted == ENTITY ? inner : wanted, key, inner);
    }
    return read_value(r, inner);
}

/* Read what a container holds, and its closing bracket. */
static bool read_container(reader *r, shape wanted, uint8_t close) {
    unsigned seen = 0;
    for (bool more = r->at < r->end && *r->at != close; more; more = take(r, ',')) {
        if (!(close == ']' ? read_value(r, shapes[wanted].inner) : read_member(r, wanted, &seen))) {
            return false;
        }
    }
    if (wanted == REFERENCE && seen == 0) {
        r->parts.rows[r->part].opaque = 1;
    }
    return (~seen & shapes[wanted].required) == 0 && take(r, close);
}

static bool read_value(reader *r, shape wanted) {
    spans_text text;
    const uint8_t first = r->at < r->end ? *r->at : 0;
    if (is_map(wanted) && take_bytes(r, "[]", 2)) {
        return true; /* PHP's empty map */
    }
    if (first == '"' && shapes[wanted].first_byte == 0) {
        return read_string(r, &text) && (wanted < DATATYPE || check_text(r, wanted, text));
    }
    if (wanted >= OWN_KEY ||
        (shapes[wanted].first_byte != 0 && shapes[wanted].first_byte != first)) {
        return false;
    }
    if (first == '{' || first == '[') {
        r->at++;
        /* In ASCII a closing bracket is the second one on. */
        const bool read =
            r->depth++ < SPANS_DEPTH_MAX && read_container(r, wanted, (uint8_t)(first + 2));
        r->depth--;
        return read;
    }
    return take_bytes(r, "true", 4) || take_bytes(r, "false", 5) || take_bytes(r, "null", 4) ||
           skip_number(r);
}

/* Note a hash of an unchanged part; tell whether it is that of another part's key or node. */
static bool is_taken(uint64_t *slots, size_t mask, uint64_t hash, bool unchanged) {
    uint64_t *slot = &slots[hash & SPANS_HASH_MASK & mask];
    for (int probes = 0; *slot != 0 && *slot != hash && probes < SPANS_PROBES_MAX; probes++) {
        slot = &slots[(size_t)(slot - slots + 1) & mask];
    }
    const bool taken = *slot != 0;
    *slot = unchanged && !taken ? hash : *slot;
    return taken;
}

/* Divide the parts, and check that unchanged ones are apart from all others. */
static spans_status divide(const reader sides[2], spans_result *result) {
    size_t mask = 127;
    while (mask < 2 * sides[0].parts.count) {
        mask = 2 * mask + 1;
    }
    uint64_t *const slots = calloc(mask + 1, sizeof *slots);
    spans_status status = slots == NULL ? SPANS_NO_MEMORY : SPANS_OK;
    /* Unchanged parts, changed ones of the old text, those of the new text. */
    for (int pass = 0; pass < 3; pass++) {
        const spans_result *const parts = &sides[pass / 2].parts;
        bool unchanged = false;
        for (size_t i = 0; i < parts->count && status == SPANS_OK; i++) {
            const spans_row *const row = &parts->rows[i];
            const bool is_node = row->map == SPANS_NODE;
            unchanged = is_node ? unchanged : row->unchanged;
            if (unchanged != (pass == 0)) {
                continue;
            }
            if (is_taken(slots, mask, row->hash, unchanged)) {
                status = SPANS_UNUSUAL;
            } else if (!is_node && (!unchanged || row->map == SPANS_CLAIMS) &&
                       !add_row(result, row)) {
                status = SPANS_NO_MEMORY;
            }
        }
        result->ends[pass] = result->count;
    }
    free(slots);
    return status;
}

static bool read_text(reader *r, spans_text text) {
    r->base = r->at = text.start;
    r->end = text.start + text.size_bytes;
    return text.size_bytes <= SPANS_TEXT_BYTES_MAX && read_value(r, ENTITY) && r->at == r->end;
}

spans_status spans_compare(const spans_text texts[2], spans_result *result) {
    reader sides[2] = {{.old = NULL}, {.old = &sides[0]}};
    *result = (spans_result){0};
    const bool read = read_text(&sides[0], texts[0]) && read_text(&sides[1], texts[1]);
    const bool no_memory = sides[0].no_memory || sides[1].no_memory;
    const spans_status failure = no_memory ? SPANS_NO_MEMORY : SPANS_UNUSUAL;
    const spans_status status = read ? divide(sides, result) : failure;
    free(sides[0].parts.rows);
    free(sides[1].parts.rows);
    if (status != SPANS_OK) {
        free(result->rows);
        *result = (spans_result){0};
    }
    return status;
}
