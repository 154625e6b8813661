/* What reads one text for spans.c, and how far it has come. */
#ifndef WBD_RDF_SPANS_READER_H
#define WBD_RDF_SPANS_READER_H

#include <stdbool.h>

#include "spans.h"

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

/* The members of an entity that are maps. */
extern const char *const spans_map_names[SPANS_MAPS];

/* Read the parts of an entity, and the ids of its statements. */
bool spans_read(reader *r);

#endif
