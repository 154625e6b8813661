#include "turtle.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define LITERAL(text) ((turtle_text){(const uint8_t *)(text), sizeof(text) - 1})

/* Namespaces of this many bytes or more share one chain. */
enum { CHAINS = 128 };

typedef struct {
    const turtle_prefix *prefix;
    size_t next; /* 1 + place of the next one in its chain; 0 for none */
    bool used;
} entry;

typedef struct {
    entry *entries; /* in the order of the prefixes */
    size_t count;
    size_t chains[CHAINS]; /* by size of the namespace: 1 + place of its first entry; 0 for none */
    size_t head_bytes;     /* of all declarations and the empty line behind them */
    size_t growth_bytes;   /* by how much a shortened IRI can be longer */
} prefix_table;

typedef struct {
    turtle_text subject;
    turtle_text predicate;
    turtle_text object;
} triple;

static bool is_equal(turtle_text a, turtle_text b) {
    return a.size_bytes == b.size_bytes && memcmp(a.start, b.start, a.size_bytes) == 0;
}

static uint8_t *put(uint8_t *target, turtle_text text) {
    memcpy(target, text.start, text.size_bytes);
    return target + text.size_bytes;
}

static size_t *chain_of(prefix_table *table, size_t size_bytes) {
    return &table->chains[size_bytes < CHAINS ? size_bytes : CHAINS - 1];
}

static entry *find(prefix_table *table, turtle_text space) {
    for (size_t place = *chain_of(table, space.size_bytes); place != 0;) {
        entry *const found = &table->entries[place - 1];
        if (is_equal(found->prefix->space, space)) {
            return found;
        }
        place = found->next;
    }
    return NULL;
}

static bool fill_table(prefix_table *table, const turtle_prefix *prefixes, size_t count) {
    *table = (prefix_table){.head_bytes = 1};
    if (count == 0) {
        return true;
    }
    table->entries = calloc(count, sizeof *table->entries);
    if (table->entries == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const turtle_prefix *const prefix = &prefixes[i];
        if (find(table, prefix->space) != NULL) {
            continue;
        }
        const size_t shortened_bytes = prefix->name.size_bytes + 1;
        const size_t replaced_bytes = prefix->space.size_bytes + 2;
        if (shortened_bytes > replaced_bytes + table->growth_bytes) {
            table->growth_bytes = shortened_bytes - replaced_bytes;
        }
        table->head_bytes += prefix->name.size_bytes + prefix->space.size_bytes +
                             LITERAL("@prefix : <> .\n").size_bytes;
        size_t *const chain = chain_of(table, prefix->space.size_bytes);
        table->entries[table->count] = (entry){prefix, *chain, false};
        *chain = ++table->count;
    }
    return true;
}

/* May be in an IRI; may be in a local name too. */
enum { IN_IRI = 1, IN_LOCAL = 2, IN_BOTH = 3 };

static const uint8_t CLASSES[256] = {
    ['!'] = IN_IRI,          ['#' ... ','] = IN_IRI,  ['-'] = IN_BOTH, ['.' ... '/'] = IN_IRI,
    ['0' ... '9'] = IN_BOTH, [':' ... ';'] = IN_IRI,  ['='] = IN_IRI,  ['?' ... '@'] = IN_IRI,
    ['A' ... 'Z'] = IN_BOTH, ['['] = IN_IRI,          [']'] = IN_IRI,  ['_'] = IN_BOTH,
    ['a' ... 'z'] = IN_BOTH, ['~' ... 0xff] = IN_IRI,
};

/* Write an IRI, shortened if it can be. NULL if the term is none. */
static uint8_t *put_iri(uint8_t *target, turtle_text term, prefix_table *prefixes) {
    const uint8_t *const start = term.start + 1;
    if (term.size_bytes < 2 || term.start[0] != '<' || term.start[term.size_bytes - 1] != '>') {
        return NULL;
    }
    const size_t size_bytes = term.size_bytes - 2;
    size_t cut = 0;
    uint8_t in_all = IN_IRI;
    uint8_t in_local = IN_LOCAL;
    for (size_t i = 0; i < size_bytes; i++) {
        const uint8_t byte = start[i];
        in_all &= CLASSES[byte];
        in_local &= CLASSES[byte];
        if (byte == '/' || byte == '#') {
            cut = i + 1;
            in_local = IN_LOCAL;
        }
    }
    if (in_all == 0) {
        return NULL;
    }
    const turtle_text local = {start + cut, size_bytes - cut};
    entry *found = NULL;
    if (in_local != 0 && local.size_bytes > 0 && local.start[0] != '-' &&
        local.start[local.size_bytes - 1] != '-') {
        found = find(prefixes, (turtle_text){start, cut});
    }
    if (found == NULL) {
        return put(target, term);
    }
    found->used = true;
    target = put(target, found->prefix->name);
    *target++ = ':';
    return put(target, local);
}

static uint8_t *put_literal(uint8_t *target, turtle_text term, prefix_table *prefixes) {
    if (term.start[term.size_bytes - 1] != '>') {
        return put(target, term);
    }
    size_t behind = term.size_bytes;
    while (behind > 0 && term.start[behind - 1] != '^') {
        behind--;
    }
    if (behind < 2 || term.start[behind - 2] != '^') {
        return NULL;
    }
    target = put(target, (turtle_text){term.start, behind});
    return put_iri(target, (turtle_text){term.start + behind, term.size_bytes - behind}, prefixes);
}

static bool is_blank(turtle_text term) {
    return term.size_bytes > 2 && term.start[0] == '_' && term.start[1] == ':' &&
           memchr(term.start, ' ', term.size_bytes) == NULL;
}

static uint8_t *put_subject(uint8_t *target, turtle_text term, prefix_table *prefixes) {
    return is_blank(term) ? put(target, term) : put_iri(target, term, prefixes);
}

static uint8_t *put_object(uint8_t *target, turtle_text term, prefix_table *prefixes) {
    return term.start[0] == '"' ? put_literal(target, term, prefixes)
                                : put_subject(target, term, prefixes);
}

static uint8_t *put_predicate(uint8_t *target, turtle_text term, prefix_table *prefixes) {
    if (is_equal(term, LITERAL("<http://www.w3.org/1999/02/22-rdf-syntax-ns#type>"))) {
        return put(target, LITERAL("a"));
    }
    return put_iri(target, term, prefixes);
}

/* Cut a term off the front of a text; false if no space follows it. */
static bool cut_term(turtle_text *text, turtle_text *term) {
    const uint8_t *const space =
        text->size_bytes == 0 ? NULL : memchr(text->start, ' ', text->size_bytes);
    if (space == NULL) {
        return false;
    }
    *term = (turtle_text){text->start, (size_t)(space - text->start)};
    *text = (turtle_text){space + 1, text->size_bytes - term->size_bytes - 1};
    return true;
}

static bool split(turtle_text line, triple *found) {
    if (line.size_bytes < 2 || line.start[line.size_bytes - 2] != ' ' ||
        line.start[line.size_bytes - 1] != '.') {
        return false;
    }
    turtle_text rest = {line.start, line.size_bytes - 2};
    if (!cut_term(&rest, &found->subject) || !cut_term(&rest, &found->predicate)) {
        return false;
    }
    found->object = rest;
    return rest.size_bytes > 0;
}

static bool ascend(turtle_text first, turtle_text second) {
    const bool shorter = first.size_bytes <= second.size_bytes;
    const int order =
        memcmp(first.start, second.start, shorter ? first.size_bytes : second.size_bytes);
    return order < 0 || (order == 0 && shorter);
}

/* Most bytes of the whole text. Of a line, " ." goes; at most the end of a block and of the one
 * before it come; three IRIs may grow. */
static size_t room_bytes(const turtle_text *lines, size_t count, const prefix_table *table) {
    const size_t ends = LITERAL(" .\n\n").size_bytes;
    size_t sum = table->head_bytes + ends;
    for (size_t i = 0; i < count; i++) {
        sum += lines[i].size_bytes + ends + 3 * table->growth_bytes;
    }
    return sum;
}

static uint8_t *put_blocks(uint8_t *target, const turtle_text *lines, size_t count,
                           prefix_table *prefixes) {
    triple before = {0};
    for (size_t i = 0; i < count; i++) {
        triple now;
        if (!split(lines[i], &now) || (i > 0 && !ascend(lines[i - 1], lines[i]))) {
            return NULL;
        }
        const bool same_subject = i > 0 && is_equal(now.subject, before.subject);
        if (same_subject && is_equal(now.predicate, before.predicate)) {
            target = put(target, LITERAL(", "));
        } else {
            if (same_subject) {
                target = put(target, LITERAL(" ;\n\t"));
            } else {
                target = put_subject(i > 0 ? put(target, LITERAL(" .\n\n")) : target, now.subject,
                                     prefixes);
                if (target == NULL) {
                    return NULL;
                }
                *target++ = ' ';
            }
            target = put_predicate(target, now.predicate, prefixes);
            if (target == NULL) {
                return NULL;
            }
            *target++ = ' ';
        }
        target = put_object(target, now.object, prefixes);
        if (target == NULL) {
            return NULL;
        }
        before = now;
    }
    return count > 0 ? put(target, LITERAL(" .\n")) : target;
}

/* Write the declarations of what is used so that they end before body; return where they start. */
static uint8_t *put_head(uint8_t *body, const prefix_table *table) {
    size_t size_bytes = 0;
    for (size_t i = 0; i < table->count; i++) {
        if (table->entries[i].used) {
            const turtle_prefix *const prefix = table->entries[i].prefix;
            size_bytes += prefix->name.size_bytes + prefix->space.size_bytes +
                          LITERAL("@prefix : <> .\n").size_bytes;
        }
    }
    if (size_bytes == 0) {
        return body;
    }
    uint8_t *const start = body - size_bytes - 1;
    uint8_t *target = start;
    for (size_t i = 0; i < table->count; i++) {
        if (table->entries[i].used) {
            const turtle_prefix *const prefix = table->entries[i].prefix;
            target = put(target, LITERAL("@prefix "));
            target = put(target, prefix->name);
            target = put(target, LITERAL(": <"));
            target = put(target, prefix->space);
            target = put(target, LITERAL("> .\n"));
        }
    }
    *target = '\n';
    return start;
}

turtle_status turtle_write(const turtle_text *lines, size_t count, const turtle_prefix *prefixes,
                           size_t prefix_count, turtle_result *result) {
    turtle_status status = TURTLE_NO_MEMORY;
    prefix_table table;

    *result = (turtle_result){0};
    if (!fill_table(&table, prefixes, prefix_count)) {
        return status;
    }
    uint8_t *const memory = malloc(room_bytes(lines, count, &table));
    if (memory != NULL) {
        uint8_t *const body = memory + table.head_bytes;
        const uint8_t *const end = put_blocks(body, lines, count, &table);
        if (end == NULL) {
            status = TURTLE_UNUSUAL;
            free(memory);
        } else {
            const uint8_t *const start = put_head(body, &table);
            *result = (turtle_result){start, (size_t)(end - start), memory};
            status = TURTLE_OK;
        }
    }
    free(table.entries);
    return status;
}

void turtle_free(turtle_result *result) {
    free(result->memory);
    *result = (turtle_result){0};
}
