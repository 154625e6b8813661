/* Parts of two snapshots that are not alike; spans.h has the contract. */
#include "spans.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first byte of a word is its lowest");
_Static_assert(sizeof(size_t) == 8, "sizes are computed without looking for overflow");
_Static_assert(SPANS_DEPTH_MAX <= 64, "brackets are remembered in one word");

static const char *const MAP_NAMES[SPANS_MAPS] = {"labels", "descriptions", "aliases", "sitelinks",
                                                  "claims"};

/* The id of a statement, and the part that it is in. */
typedef struct {
    uint32_t start;
    uint32_t size_bytes;
    uint32_t part;
} statement_id;

/* Reads one text from front to back. Whatever returns false has met something unusual, or found no
 * memory; then the whole comparison ends. */
typedef struct {
    const uint8_t *base;
    const uint8_t *at;
    const uint8_t *end;
    unsigned depth;
    bool opaque; /* of the group that is being read */
    bool no_memory;
    spans_part *parts;
    size_t count;
    size_t capacity;
    statement_id *ids;
    size_t id_count;
    size_t id_capacity;
    /* The other text, when it is read already, and the place of the part that is expected next. */
    const uint8_t *other_base;
    const spans_part *others;
    size_t other_count;
    size_t expected;
} reader;

/* The bytes of a string between its quotes. */
typedef struct {
    const uint8_t *start;
    size_t size_bytes;
    bool escaped;
} string;

/* Whether a container has one more member or element. */
typedef enum { FAILED, ENDED, ONE_MORE } step;

static bool is(const string *found, const char *wanted) {
    const size_t size_bytes = strlen(wanted);
    return !found->escaped && found->size_bytes == size_bytes &&
           memcmp(found->start, wanted, size_bytes) == 0;
}

static int peek_behind_space(reader *r) {
    while (r->at < r->end) {
        const uint8_t byte = *r->at;
        if (byte != ' ' && byte != '\n' && byte != '\t' && byte != '\r') {
            return byte;
        }
        r->at++;
    }
    return -1;
}

/* Return the next byte that is no white space, or -1 at the end. */
static inline int peek(reader *r) {
    return r->at < r->end && *r->at > ' ' ? *r->at : peek_behind_space(r);
}

static bool is_digit(const reader *r) { return r->at < r->end && *r->at >= '0' && *r->at <= '9'; }

static bool between(uint8_t byte, uint8_t low, uint8_t high) { return byte >= low && byte <= high; }

/* Skip one character of several bytes (Unicode 15, table 3-7). */
static bool skip_character(reader *r) {
    const uint8_t *const at = r->at;
    const ptrdiff_t left = r->end - at;
    const uint8_t first = at[0];
    if (between(first, 0xc2, 0xdf) && left >= 2 && between(at[1], 0x80, 0xbf)) {
        r->at += 2;
        return true;
    }
    if (between(first, 0xe0, 0xef) && left >= 3) {
        const uint8_t low = first == 0xe0 ? 0xa0 : 0x80;
        const uint8_t high = first == 0xed ? 0x9f : 0xbf;
        r->at += 3;
        return between(at[1], low, high) && between(at[2], 0x80, 0xbf);
    }
    if (between(first, 0xf0, 0xf4) && left >= 4) {
        const uint8_t low = first == 0xf0 ? 0x90 : 0x80;
        const uint8_t high = first == 0xf4 ? 0x8f : 0xbf;
        r->at += 4;
        return between(at[1], low, high) && between(at[2], 0x80, 0xbf) &&
               between(at[3], 0x80, 0xbf);
    }
    return false;
}

static int hex_digit(uint8_t byte) {
    if (between(byte, '0', '9')) {
        return byte - '0';
    }
    byte |= 0x20;
    return between(byte, 'a', 'f') ? byte - 'a' + 10 : -1;
}

/* Skip an escape; at is at its backslash. */
static bool skip_escape(reader *r) {
    if (r->end - r->at < 2) {
        return false;
    }
    const uint8_t kind = r->at[1];
    r->at += 2;
    switch (kind) {
    case '"':
    case '\\':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return true;
    case '/':
        r->opaque = true;
        return true;
    case 'u':
        break;
    default:
        return false;
    }
    r->opaque = true;
    if (r->end - r->at < 4) {
        return false;
    }
    int unit = 0;
    for (int i = 0; i < 4; i++) {
        const int digit = hex_digit(*r->at++);
        if (digit < 0) {
            return false;
        }
        unit = unit << 4 | digit;
    }
    return unit < 0xd800 || unit > 0xdfff;
}

/* Return a word whose lowest set bit is in the first byte that ends a run of plain characters:
 * quote, backslash, control or part of a longer character. */
static uint64_t special(uint64_t word) {
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t tops = ones << 7;
    const uint64_t quote = word ^ ones * '"';
    const uint64_t backslash = word ^ ones * '\\';
    return (((quote - ones) & ~quote) | ((backslash - ones) & ~backslash) |
            ((word - ones * ' ') & ~word) | word) &
           tops;
}

/* Read a string; at is at its opening quote, and behind the closing one afterwards. */
static bool read_string(reader *r, string *found) {
    const uint8_t *const start = ++r->at;
    found->escaped = false;
    for (;;) {
        while (r->end - r->at >= 8) {
            uint64_t word;
            memcpy(&word, r->at, sizeof word);
            const uint64_t stop = special(word);
            if (stop != 0) {
                r->at += __builtin_ctzll(stop) / 8;
                break;
            }
            r->at += 8;
        }
        if (r->at == r->end) {
            return false;
        }
        const uint8_t byte = *r->at;
        if (byte == '"') {
            found->start = start;
            found->size_bytes = (size_t)(r->at - start);
            r->at++;
            return true;
        }
        if (byte == '\\') {
            found->escaped = true;
            if (!skip_escape(r)) {
                return false;
            }
        } else if (byte >= 0x80) {
            /* Letters of most scripts follow each other. */
            do {
                if (!skip_character(r)) {
                    return false;
                }
            } while (r->at < r->end && *r->at >= 0x80);
        } else if (byte < ' ') {
            return false;
        } else {
            r->at++;
        }
    }
}

static bool skip_digits(reader *r, int most) {
    if (!is_digit(r)) {
        return false;
    }
    for (int i = 0; i < most && is_digit(r); i++) {
        r->at++;
    }
    return true;
}

static bool skip_number(reader *r) {
    const uint8_t *const start = r->at;
    if (*r->at == '-') {
        r->at++;
    }
    if (r->at < r->end && *r->at == '0') {
        r->at++;
    } else if (!skip_digits(r, SPANS_NUMBER_BYTES_MAX)) {
        return false;
    }
    if (r->at < r->end && *r->at == '.') {
        r->at++;
        if (!skip_digits(r, SPANS_NUMBER_BYTES_MAX)) {
            return false;
        }
    }
    if (r->at < r->end && (*r->at | 0x20) == 'e') {
        r->at++;
        if (r->at < r->end && (*r->at == '+' || *r->at == '-')) {
            r->at++;
        }
        if (!skip_digits(r, 2)) {
            return false;
        }
    }
    return r->at - start <= SPANS_NUMBER_BYTES_MAX;
}

static bool skip_word(reader *r, const char *word) {
    const size_t size_bytes = strlen(word);
    if ((size_t)(r->end - r->at) < size_bytes || memcmp(r->at, word, size_bytes) != 0) {
        return false;
    }
    r->at += size_bytes;
    return true;
}

/* Skip a value that is neither object nor array. */
static bool skip_scalar(reader *r) {
    string ignored;
    switch (peek(r)) {
    case '"':
        return read_string(r, &ignored);
    case 't':
        return skip_word(r, "true");
    case 'f':
        return skip_word(r, "false");
    case 'n':
        return skip_word(r, "null");
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
        return skip_number(r);
    default:
        return false;
    }
}

/* Enter a container at whose bracket the reader is. */
static bool enter(reader *r) {
    r->at++;
    return ++r->depth <= SPANS_DEPTH_MAX;
}

static bool read_key(reader *r, string *key) {
    if (peek(r) != '"' || !read_string(r, key) || peek(r) != ':') {
        return false;
    }
    r->at++;
    return true;
}

/* Go to the next member of an object that was entered, behind its colon; at the end leave it. */
static step next_member(reader *r, bool *first, string *key) {
    const int byte = peek(r);
    if (byte == '}') {
        r->at++;
        r->depth--;
        return ENDED;
    }
    if (!*first) {
        if (byte != ',') {
            return FAILED;
        }
        r->at++;
    }
    *first = false;
    return read_key(r, key) ? ONE_MORE : FAILED;
}

/* Go to the next element of an array that was entered; at the end leave it. */
static step next_element(reader *r, bool *first) {
    const int byte = peek(r);
    if (byte == ']') {
        r->at++;
        r->depth--;
        return ENDED;
    }
    if (!*first) {
        if (byte != ',') {
            return FAILED;
        }
        r->at++;
        if (peek(r) == ']') {
            return FAILED;
        }
    }
    *first = false;
    return ONE_MORE;
}

/* Skip any value. */
static bool skip_value(reader *r) {
    const unsigned outer_depth = r->depth;
    uint64_t objects = 0; /* a bit for each open bracket, the innermost lowest */
    string key;
    for (;;) {
        const int byte = peek(r);
        if (byte == '{' || byte == '[') {
            if (!enter(r)) {
                return false;
            }
            objects = objects << 1 | (byte == '{');
            if (peek(r) != byte + 2) {
                if (byte == '{' && !read_key(r, &key)) {
                    return false;
                }
                continue;
            }
        } else if (!skip_scalar(r)) {
            return false;
        }
        /* A value is complete, or an empty container is still to be left. */
        for (;;) {
            if (r->depth == outer_depth) {
                return true;
            }
            const bool in_object = (objects & 1) != 0;
            const int next = peek(r);
            if (next == ',') {
                r->at++;
                if (in_object && !read_key(r, &key)) {
                    return false;
                }
                break;
            }
            if (next != (in_object ? '}' : ']')) {
                return false;
            }
            r->at++;
            r->depth--;
            objects >>= 1;
        }
    }
}

/* Note that a key which is looked for was met; false if it was before. */
static bool once(unsigned *seen, unsigned key) {
    const bool again = (*seen & key) != 0;
    *seen |= key;
    return !again;
}

/* Read a string that has to be there, without an escape. */
static bool read_plain(reader *r, string *found) {
    return peek(r) == '"' && read_string(r, found) && !found->escaped;
}

/* Read a string of a group whose value tells something; without it the group is opaque. */
static bool read_clear(reader *r, string *found) {
    *found = (string){NULL, 0, true};
    if (peek(r) != '"') {
        r->opaque = true;
        return skip_value(r);
    }
    return read_string(r, found);
}

/* Read the value of a data value: whether it has the text of a time. */
static bool read_value(reader *r, bool *is_time) {
    bool seen = false;
    bool first = true;
    string key;
    step next;
    *is_time = false;
    if (peek(r) != '{') {
        return skip_value(r);
    }
    if (!enter(r)) {
        return false;
    }
    while ((next = next_member(r, &first, &key)) == ONE_MORE) {
        const bool time = is(&key, "time");
        if (key.escaped || (time && seen)) {
            return false;
        }
        if (time) {
            seen = true;
            *is_time = peek(r) == '"';
        }
        if (!skip_value(r)) {
            return false;
        }
    }
    return next == ENDED;
}

static bool read_datavalue(reader *r) {
    enum { TYPE = 1, VALUE = 2 };
    unsigned seen = 0;
    bool first = true;
    bool is_time = false;
    string key;
    string type = {NULL, 0, true};
    step next;
    if (peek(r) != '{') {
        r->opaque = true;
        return skip_value(r);
    }
    if (!enter(r)) {
        return false;
    }
    while ((next = next_member(r, &first, &key)) == ONE_MORE) {
        bool read;
        if (key.escaped) {
            return false;
        }
        if (is(&key, "type")) {
            read = once(&seen, TYPE) && read_clear(r, &type);
        } else if (is(&key, "value")) {
            read = once(&seen, VALUE) && read_value(r, &is_time);
        } else {
            read = skip_value(r);
        }
        if (!read) {
            return false;
        }
    }
    if (type.escaped || (is(&type, "time") && !is_time)) {
        r->opaque = true;
    }
    return next == ENDED;
}

/* Read a snak; a main snak if *property* is not NULL, which has to be of that property. */
static bool read_snak(reader *r, const string *property, bool *identifier) {
    enum { SNAKTYPE = 1, PROPERTY = 2, DATATYPE = 4, DATAVALUE = 8 };
    unsigned seen = 0;
    bool first = true;
    string key;
    string text;
    string kind = {NULL, 0, true};
    step next;
    if (peek(r) != '{') {
        r->opaque = true;
        return property == NULL && skip_value(r);
    }
    if (!enter(r)) {
        return false;
    }
    while ((next = next_member(r, &first, &key)) == ONE_MORE) {
        bool read;
        if (key.escaped) {
            return false;
        }
        if (is(&key, "snaktype")) {
            read = once(&seen, SNAKTYPE) && read_clear(r, &kind);
        } else if (is(&key, "datavalue")) {
            read = once(&seen, DATAVALUE) && read_datavalue(r);
        } else if (property != NULL && is(&key, "property")) {
            read = once(&seen, PROPERTY) && read_plain(r, &text) &&
                   text.size_bytes == property->size_bytes &&
                   memcmp(text.start, property->start, text.size_bytes) == 0;
        } else if (property != NULL && is(&key, "datatype") && peek(r) == '"') {
            read = once(&seen, DATATYPE) && read_plain(r, &text);
            *identifier = read && is(&text, "external-id");
        } else if (property != NULL && is(&key, "datatype")) {
            read = once(&seen, DATATYPE) && skip_value(r);
        } else {
            read = skip_value(r);
        }
        if (!read) {
            return false;
        }
    }
    if (kind.escaped || (is(&kind, "value") && (seen & DATAVALUE) == 0)) {
        r->opaque = true;
    }
    return next == ENDED && (property == NULL || (seen & PROPERTY) != 0);
}

static bool read_snaks(reader *r) {
    bool first = true;
    step next;
    if (peek(r) != '[') {
        r->opaque = true;
        return skip_value(r);
    }
    if (!enter(r)) {
        return false;
    }
    while ((next = next_element(r, &first)) == ONE_MORE) {
        if (!read_snak(r, NULL, NULL)) {
            return false;
        }
    }
    return next == ENDED;
}

/* Skip a value; it leaves the group clear only if it is an empty array, PHP's empty map. */
static bool skip_empty(reader *r) {
    const bool array = peek(r) == '[';
    const uint8_t *const start = r->at;
    if (!skip_value(r)) {
        return false;
    }
    const uint8_t *next = start + 1;
    while (next < r->at && *next <= ' ') {
        next++;
    }
    if (!array || *next != ']') {
        r->opaque = true;
    }
    return true;
}

/* Read snaks by property. The keys are not looked at. */
static bool read_snak_map(reader *r) {
    bool first = true;
    string key;
    step next;
    if (peek(r) != '{') {
        return skip_empty(r);
    }
    if (!enter(r)) {
        return false;
    }
    while ((next = next_member(r, &first, &key)) == ONE_MORE) {
        if (!read_snaks(r)) {
            return false;
        }
    }
    return next == ENDED;
}

/* Tell whether a text is the local name of a node as it stands. */
static bool is_local_name(const string *text) {
    /* A bit for each byte: hyphen and digits, letters and underscore. Ids are looked at without a
     * branch for each character, which no processor could foresee. */
    static const uint64_t in_names[4] = {UINT64_C(0x03ff200000000000), UINT64_C(0x07fffffe87fffffe),
                                         0, 0};
    uint64_t all = text->size_bytes > 0;
    for (size_t i = 0; i < text->size_bytes; i++) {
        all &= in_names[text->start[i] >> 6] >> (text->start[i] & 63);
    }
    return all != 0;
}

/* Tell whether it is an id whose node no other such id has: $ becomes the first hyphen. */
static bool is_statement_id(const string *id) {
    const uint8_t *const dollar = memchr(id->start, '$', id->size_bytes);
    if (dollar == NULL) {
        return false;
    }
    const size_t before_bytes = (size_t)(dollar - id->start);
    const string before = {id->start, before_bytes, false};
    const string behind = {dollar + 1, id->size_bytes - before_bytes - 1, false};
    return is_local_name(&before) && is_local_name(&behind) &&
           memchr(id->start, '-', before_bytes) == NULL;
}

static bool read_reference(reader *r) {
    enum { HASH = 1, SNAKS = 2 };
    unsigned seen = 0;
    bool first = true;
    string key;
    string hash = {NULL, 0, true};
    step next;
    if (peek(r) != '{') {
        r->opaque = true;
        return skip_value(r);
    }
    if (!enter(r)) {
        return false;
    }
    while ((next = next_member(r, &first, &key)) == ONE_MORE) {
        bool read;
        if (key.escaped) {
            return false;
        }
        if (is(&key, "hash")) {
            read = once(&seen, HASH) && read_clear(r, &hash);
        } else if (is(&key, "snaks")) {
            read = once(&seen, SNAKS) && read_snak_map(r);
        } else {
            read = skip_value(r);
        }
        if (!read) {
            return false;
        }
    }
    if (hash.escaped || !is_local_name(&hash) || (seen & SNAKS) == 0) {
        r->opaque = true;
    }
    return next == ENDED;
}

static bool read_references(reader *r) {
    bool first = true;
    step next;
    if (peek(r) != '[') {
        r->opaque = true;
        return skip_value(r);
    }
    if (!enter(r)) {
        return false;
    }
    while ((next = next_element(r, &first)) == ONE_MORE) {
        if (!read_reference(r)) {
            return false;
        }
    }
    return next == ENDED;
}

/* Make room for one more element of an array that doubles. */
static void *grown(void *array, size_t count, size_t *capacity, size_t element_bytes) {
    if (count < *capacity) {
        return array;
    }
    const size_t doubled = *capacity == 0 ? 64 : 2 * *capacity;
    void *larger = realloc(array, doubled * element_bytes);
    if (larger != NULL) {
        *capacity = doubled;
    }
    return larger;
}

static bool add_id(reader *r, const string *id) {
    statement_id *ids = grown(r->ids, r->id_count, &r->id_capacity, sizeof *ids);
    if (ids == NULL) {
        r->no_memory = true;
        return false;
    }
    r->ids = ids;
    r->ids[r->id_count++] = (statement_id){(uint32_t)(id->start - r->base),
                                           (uint32_t)id->size_bytes, (uint32_t)r->count};
    return true;
}

/* Add a part; its value begins at the reader's place. */
static bool add_part(reader *r, spans_part part) {
    spans_part *parts = grown(r->parts, r->count, &r->capacity, sizeof *parts);
    if (parts == NULL) {
        r->no_memory = true;
        return false;
    }
    r->parts = parts;
    r->parts[r->count++] = part;
    return true;
}

static bool read_statement(reader *r, const string *property, spans_part *group) {
    enum { ID = 1, MAINSNAK = 2, QUALIFIERS = 4, REFERENCES = 8 };
    unsigned seen = 0;
    bool first = true;
    bool identifier = false;
    string key;
    string id;
    step next;
    if (peek(r) != '{' || !enter(r)) {
        return false;
    }
    while ((next = next_member(r, &first, &key)) == ONE_MORE) {
        bool read;
        if (key.escaped) {
            return false;
        }
        if (is(&key, "mainsnak")) {
            read = once(&seen, MAINSNAK) && read_snak(r, property, &identifier);
        } else if (is(&key, "id")) {
            read = once(&seen, ID) && read_plain(r, &id) && is_statement_id(&id) && add_id(r, &id);
        } else if (is(&key, "qualifiers")) {
            read = once(&seen, QUALIFIERS) && read_snak_map(r);
        } else if (is(&key, "references")) {
            read = once(&seen, REFERENCES) && read_references(r);
        } else {
            read = skip_value(r);
        }
        if (!read) {
            return false;
        }
    }
    group->statements++;
    group->identifiers += identifier;
    return next == ENDED && (seen & ID) != 0 && (seen & MAINSNAK) != 0;
}

static bool is_property_id(const string *key) {
    if (key->size_bytes < 2 || key->start[0] != 'P' || !between(key->start[1], '1', '9')) {
        return false;
    }
    for (size_t i = 2; i < key->size_bytes; i++) {
        if (!between(key->start[i], '0', '9')) {
            return false;
        }
    }
    return true;
}

static bool read_group(reader *r, const string *key, spans_part *group) {
    bool first = true;
    step next;
    if (!is_property_id(key) || peek(r) != '[' || !enter(r)) {
        return false;
    }
    r->opaque = false;
    while ((next = next_element(r, &first)) == ONE_MORE) {
        if (!read_statement(r, key, group)) {
            return false;
        }
    }
    group->opaque = r->opaque;
    return next == ENDED;
}

static bool read_term(reader *r, const string *language) {
    bool found = false;
    bool first = true;
    string key;
    string text;
    step next;
    if (peek(r) != '{' || !enter(r)) {
        return false;
    }
    while ((next = next_member(r, &first, &key)) == ONE_MORE) {
        if (key.escaped) {
            return false;
        }
        if (!is(&key, "language")) {
            if (!skip_value(r)) {
                return false;
            }
            continue;
        }
        if (found || !read_plain(r, &text) || text.size_bytes != language->size_bytes ||
            memcmp(text.start, language->start, text.size_bytes) != 0) {
            return false;
        }
        found = true;
    }
    return next == ENDED && found;
}

static bool read_terms(reader *r, const string *language) {
    bool first = true;
    step next;
    if (peek(r) != '[' || !enter(r)) {
        return false;
    }
    while ((next = next_element(r, &first)) == ONE_MORE) {
        if (!read_term(r, language)) {
            return false;
        }
    }
    return next == ENDED;
}

/* Skip the member at whose opening quote the reader is, if it is the one that is expected. */
static bool skip_expected(reader *r, spans_map map) {
    if (r->expected >= r->other_count || r->others[r->expected].map != map) {
        return false;
    }
    const spans_part *const other = &r->others[r->expected];
    const uint8_t *const start = r->other_base + other->key - 1;
    const uint8_t *const end = r->other_base + other->value + other->value_bytes;
    const size_t size_bytes = (size_t)(end - start);
    /* The end of a number or word does not show: 12 begins 123. */
    if ((end[-1] != '}' && end[-1] != ']' && end[-1] != '"') ||
        (size_t)(r->end - r->at) < size_bytes || memcmp(r->at, start, size_bytes) != 0) {
        return false;
    }
    const uint32_t moved = (uint32_t)(r->at - r->base) - (other->key - 1);
    spans_part part = *other;
    part.key += moved;
    part.value += moved;
    part.match = (uint32_t)r->expected + 1;
    part.alike = true;
    r->expected++;
    r->at += size_bytes;
    return add_part(r, part);
}

/* Guess the place of the next part, behind one with this key: edits change, add or drop a few. */
static void expect_behind(reader *r, spans_map map, const string *key) {
    for (size_t place = r->expected; place < r->expected + 2 && place < r->other_count; place++) {
        const spans_part *const other = r->others + place;
        if (other->map == map && other->key_bytes == key->size_bytes &&
            memcmp(r->other_base + other->key, key->start, key->size_bytes) == 0) {
            r->expected = place + 1;
            return;
        }
    }
}

/* Begin a part whose value the reader is before. */
static spans_part part_of(reader *r, spans_map map, const string *key) {
    peek(r);
    return (spans_part){.key = (uint32_t)(key->start - r->base),
                        .key_bytes = (uint32_t)key->size_bytes,
                        .value = (uint32_t)(r->at - r->base),
                        .map = (uint8_t)map};
}

static bool end_part(reader *r, spans_part part) {
    part.value_bytes = (uint32_t)(r->at - r->base) - part.value;
    return add_part(r, part);
}

static bool read_map(reader *r, spans_map map) {
    bool first = true;
    string key;
    if (peek(r) == '[') {
        return enter(r) && next_element(r, &first) == ENDED;
    }
    if (peek(r) != '{' || !enter(r)) {
        return false;
    }
    while (r->expected < r->other_count && r->others[r->expected].map != map) {
        r->expected++;
    }
    if (r->expected == r->other_count) {
        /* Maps in another order, or none on the other side. */
        for (r->expected = 0; r->expected < r->other_count; r->expected++) {
            if (r->others[r->expected].map == map) {
                break;
            }
        }
    }
    for (;;) {
        int byte = peek(r);
        if (byte == '}') {
            r->at++;
            r->depth--;
            return true;
        }
        if (!first) {
            if (byte != ',') {
                return false;
            }
            r->at++;
            byte = peek(r);
        }
        first = false;
        if (byte == '"' && skip_expected(r, map)) {
            continue;
        }
        if (r->no_memory || !read_key(r, &key) || key.escaped) {
            return false;
        }
        spans_part part = part_of(r, map, &key);
        bool read;
        switch (map) {
        case SPANS_LABELS:
        case SPANS_DESCRIPTIONS:
            read = read_term(r, &key);
            break;
        case SPANS_ALIASES:
            read = read_terms(r, &key);
            break;
        case SPANS_CLAIMS:
            read = read_group(r, &key, &part);
            break;
        default:
            read = skip_value(r);
        }
        if (!read || !end_part(r, part)) {
            return false;
        }
        expect_behind(r, map, &key);
    }
}

/* Read a top-level member that is no map. */
static bool read_other(reader *r, const string *key) {
    string type;
    const spans_part part = part_of(r, SPANS_TOP, key);
    if (is(key, "redirect") || is(key, "statements")) {
        return false;
    }
    if (is(key, "type")) {
        return read_plain(r, &type) && (is(&type, "item") || is(&type, "property")) &&
               end_part(r, part);
    }
    return skip_value(r) && end_part(r, part);
}

static bool read_entity(reader *r) {
    unsigned seen = 0;
    bool first = true;
    string key;
    step next;
    if (peek(r) != '{' || !enter(r)) {
        return false;
    }
    while ((next = next_member(r, &first, &key)) == ONE_MORE) {
        unsigned map = 0;
        if (key.escaped) {
            return false;
        }
        while (map < SPANS_MAPS && !is(&key, MAP_NAMES[map])) {
            map++;
        }
        const bool read = map == SPANS_MAPS ? read_other(r, &key)
                                            : once(&seen, 1U << map) && read_map(r, (spans_map)map);
        if (!read) {
            return false;
        }
    }
    return next == ENDED && peek(r) == -1;
}

/* Keys of one kind -> their numbers. A slot is 1 + number; 0 is a free one. Neither table grows. */
typedef struct {
    uint32_t *slots;
    size_t mask;
    size_t probes_left;
} table;

typedef struct {
    const uint8_t *start;
    uint32_t size_bytes;
    uint32_t map;
} table_key;

static bool start_table(table *t, size_t keys) {
    size_t slots = 16;
    while (slots < 2 * keys) {
        slots *= 2;
    }
    t->slots = calloc(slots, sizeof *t->slots);
    t->mask = slots - 1;
    t->probes_left = SPANS_PROBES_MAX * (keys + 64);
    return t->slots != NULL;
}

static uint32_t hash_of(const table_key *key) {
    uint64_t hash = (UINT64_C(0x9e3779b97f4a7c15) + key->map) * (key->size_bytes + 1);
    const uint8_t *next = key->start;
    size_t left = key->size_bytes;
    uint64_t word = 0;
    for (; left >= sizeof word; left -= sizeof word, next += sizeof word) {
        memcpy(&word, next, sizeof word);
        hash = (hash ^ word) * UINT64_C(0xd6e8feb86659fd93);
        hash ^= hash >> 32;
    }
    word = 0;
    memcpy(&word, next, left);
    hash = (hash ^ word) * UINT64_C(0xd6e8feb86659fd93);
    return (uint32_t)(hash >> 32) & SPANS_HASH_MASK;
}

typedef table_key (*key_lookup)(const void *keys, uint32_t number);

/* Find a key's slot, or the free one where it belongs; NULL when it takes too long. */
static uint32_t *find(table *t, const table_key *key, key_lookup lookup, const void *keys) {
    for (size_t at = hash_of(key) & t->mask;; at = (at + 1) & t->mask) {
        if (t->slots[at] == 0) {
            return &t->slots[at];
        }
        const table_key known = lookup(keys, t->slots[at] - 1);
        if (known.map == key->map && known.size_bytes == key->size_bytes &&
            memcmp(known.start, key->start, key->size_bytes) == 0) {
            return &t->slots[at];
        }
        if (t->probes_left-- == 0) {
            return NULL;
        }
    }
}

/* The old side's parts, and behind them the new side's. */
static table_key part_key(const void *keys, uint32_t number) {
    const reader *const sides = keys;
    const bool is_old = number < sides[0].count;
    const reader *const side = &sides[!is_old];
    const spans_part *const part = &side->parts[is_old ? number : number - sides[0].count];
    return (table_key){side->base + part->key, part->key_bytes, part->map};
}

static table_key id_key(const void *keys, uint32_t number) {
    const reader *const side = keys;
    return (table_key){side->base + side->ids[number].start, side->ids[number].size_bytes, 0};
}

static bool same_value(const reader *old_side, const reader *new_side, const spans_part *old_part,
                       const spans_part *new_part) {
    return old_part->value_bytes == new_part->value_bytes &&
           memcmp(old_side->base + old_part->value, new_side->base + new_part->value,
                  old_part->value_bytes) == 0;
}

/* Find each part on the other side, and say which are alike. */
static spans_status match_parts(reader sides[2]) {
    reader *const old_side = &sides[0];
    reader *const new_side = &sides[1];
    spans_status status = SPANS_UNUSUAL;
    table t;
    if (!start_table(&t, old_side->count + new_side->count)) {
        return SPANS_NO_MEMORY;
    }
    for (size_t i = 0; i < old_side->count; i++) {
        const table_key key = part_key(sides, (uint32_t)i);
        uint32_t *const slot = find(&t, &key, part_key, sides);
        if (slot == NULL || *slot != 0) {
            goto fail;
        }
        *slot = (uint32_t)i + 1;
    }
    for (size_t i = 0; i < new_side->count; i++) {
        spans_part *const part = &new_side->parts[i];
        if (part->match == 0) {
            const uint32_t number = (uint32_t)(old_side->count + i);
            const table_key key = part_key(sides, number);
            uint32_t *const slot = find(&t, &key, part_key, sides);
            if (slot == NULL || *slot > old_side->count) {
                goto fail;
            }
            if (*slot == 0) {
                *slot = number + 1;
                continue;
            }
            part->match = *slot;
            part->alike = same_value(old_side, new_side, &old_side->parts[*slot - 1], part);
        }
        spans_part *const other = &old_side->parts[part->match - 1];
        if (other->match != 0) {
            goto fail;
        }
        other->match = (uint32_t)i + 1;
        other->alike = part->alike;
    }
    status = SPANS_OK;

fail:
    free(t.slots);
    return status;
}

/* Check that ids are unique on the old side, and that none of the new side's other groups is in one
 * that is alike. */
static spans_status match_ids(const reader sides[2]) {
    const reader *const old_side = &sides[0];
    const reader *const new_side = &sides[1];
    spans_status status = SPANS_UNUSUAL;
    table t;
    if (!start_table(&t, old_side->id_count)) {
        return SPANS_NO_MEMORY;
    }
    t.probes_left += SPANS_PROBES_MAX * new_side->id_count;
    for (size_t i = 0; i < old_side->id_count; i++) {
        const table_key key = id_key(old_side, (uint32_t)i);
        uint32_t *const slot = find(&t, &key, id_key, old_side);
        if (slot == NULL || *slot != 0) {
            goto fail;
        }
        *slot = (uint32_t)i + 1;
    }
    for (size_t i = 0; i < new_side->id_count; i++) {
        if (new_side->parts[new_side->ids[i].part].alike) {
            continue;
        }
        const table_key key = id_key(new_side, (uint32_t)i);
        const uint32_t *const slot = find(&t, &key, id_key, old_side);
        if (slot == NULL || (*slot != 0 && old_side->parts[old_side->ids[*slot - 1].part].alike)) {
            goto fail;
        }
    }
    status = SPANS_OK;

fail:
    free(t.slots);
    return status;
}

/* Of sitelinks that differ somewhere none is alike. */
static void join_sitelinks(reader sides[2]) {
    bool all = true;
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < sides[side].count; i++) {
            const spans_part *const part = &sides[side].parts[i];
            all = all && (part->map != SPANS_SITELINKS || part->alike);
        }
    }
    for (int side = 0; side < 2 && !all; side++) {
        for (size_t i = 0; i < sides[side].count; i++) {
            spans_part *const part = &sides[side].parts[i];
            part->alike = part->alike && part->map != SPANS_SITELINKS;
        }
    }
}

/* Write bytes, or where there is no target count them. */
static void put(uint8_t **target, size_t *written_bytes, const void *bytes, size_t size_bytes) {
    if (*target != NULL) {
        memcpy(*target, bytes, size_bytes);
        *target += size_bytes;
    }
    *written_bytes += size_bytes;
}

static size_t write_side(const spans_part *parts, size_t count, const uint8_t *base,
                         uint8_t *target) {
    size_t written_bytes = 0;
    bool any = false;
    put(&target, &written_bytes, "{", 1);
    for (unsigned map = 0; map <= SPANS_TOP; map++) {
        bool open = map == SPANS_TOP;
        for (size_t i = 0; i < count; i++) {
            const spans_part *const part = &parts[i];
            if (part->map != map || (part->alike && map != SPANS_TOP)) {
                continue;
            }
            if (any) {
                put(&target, &written_bytes, ",", 1);
            }
            if (!open) {
                put(&target, &written_bytes, "\"", 1);
                put(&target, &written_bytes, MAP_NAMES[map], strlen(MAP_NAMES[map]));
                put(&target, &written_bytes, "\":{", 3);
                open = true;
            }
            any = true;
            put(&target, &written_bytes, base + part->key - 1, part->key_bytes + 2);
            put(&target, &written_bytes, ":", 1);
            put(&target, &written_bytes, base + part->value, part->value_bytes);
        }
        if (open && map != SPANS_TOP) {
            put(&target, &written_bytes, "}", 1);
        }
    }
    put(&target, &written_bytes, "}", 1);
    return written_bytes;
}

void spans_write(const spans_side *side, spans_text text, uint8_t *target) {
    write_side(side->parts, side->count, text.start, target);
}

static void count_alike(const spans_side *side, spans_result *result) {
    for (size_t i = 0; i < side->count; i++) {
        const spans_part *const part = &side->parts[i];
        if (!part->alike || part->map == SPANS_TOP) {
            continue;
        }
        if (part->map == SPANS_CLAIMS) {
            result->groups++;
            result->statements += part->statements;
        } else if (part->map == SPANS_SITELINKS) {
            result->sitelinks++;
        } else {
            result->terms++;
        }
    }
}

static reader reader_of(spans_text text) {
    return (reader){.base = text.start, .at = text.start, .end = text.start + text.size_bytes};
}

spans_status spans_compare(spans_text old_text, spans_text new_text, spans_result *result) {
    reader sides[2] = {reader_of(old_text), reader_of(new_text)};
    spans_status status = SPANS_UNUSUAL;
    *result = (spans_result){0};
    if (old_text.size_bytes > SPANS_TEXT_BYTES_MAX || new_text.size_bytes > SPANS_TEXT_BYTES_MAX ||
        !read_entity(&sides[0])) {
        goto fail;
    }
    sides[1].other_base = old_text.start;
    sides[1].others = sides[0].parts;
    sides[1].other_count = sides[0].count;
    if (!read_entity(&sides[1])) {
        goto fail;
    }
    status = match_parts(sides);
    if (status == SPANS_OK) {
        join_sitelinks(sides);
        status = match_ids(sides);
    }
    if (status == SPANS_OK) {
        result->old_side = (spans_side){sides[0].parts, sides[0].count, 0};
        result->new_side = (spans_side){sides[1].parts, sides[1].count, 0};
        sides[0].parts = sides[1].parts = NULL;
        result->old_side.written_bytes =
            write_side(result->old_side.parts, result->old_side.count, old_text.start, NULL);
        result->new_side.written_bytes =
            write_side(result->new_side.parts, result->new_side.count, new_text.start, NULL);
        count_alike(&result->old_side, result);
    }

fail:
    if (sides[0].no_memory || sides[1].no_memory) {
        status = SPANS_NO_MEMORY;
    }
    for (int side = 0; side < 2; side++) {
        free(sides[side].parts);
        free(sides[side].ids);
    }
    return status;
}

void spans_free(spans_result *result) {
    free(result->old_side.parts);
    free(result->new_side.parts);
    *result = (spans_result){0};
}
