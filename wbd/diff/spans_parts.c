/* An entity to its parts: what each map has, which groups are opaque, and the ids of statements. */
#include <stdlib.h>
#include <string.h>

#include "spans_json.h"
#include "spans_reader.h"

const char *const spans_map_names[SPANS_MAPS] = {"labels", "descriptions", "aliases", "sitelinks",
                                                 "claims"};

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

bool spans_read(reader *r) {
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
        while (map < SPANS_MAPS && !is(&key, spans_map_names[map])) {
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
