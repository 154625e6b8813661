/* Parts of two snapshots that differ, found without parsing those that do not.
 *
 * A snapshot is an item or a property as JSON. Its parts are the members of labels, descriptions,
 * aliases and claims, and its other top-level members. A part that both snapshots have in the same
 * order and with the same bytes is unchanged, unless it is a top-level member other than sitelinks.
 *
 * On SPANS_OK both snapshots are JSON, and no key or statement node of an unchanged part comes
 * again in any part of either. So a diff of the changed parts is one of the snapshots, apart from
 * triples that changed parts share with unchanged ones. Whatever does not have this form is
 * SPANS_UNUSUAL, and the caller parses both snapshots:
 *
 *   1. One JSON object in UTF-8 as orjson writes it, without white space and the escapes \u and \/,
 *      so equal strings have equal bytes; numbers with at most two digits of exponent.
 *   2. A map is an object or []. The language of a term is its key. The key of a group of claims
 *      begins with P, and is the "property" of the main snak of each of its statements.
 *   3. The "id" of a statement is word characters with one $, and hyphens behind it only. The
 *      "hash" of a reference is its node's local name; without one its group is opaque. In other
 *      groups references and values can be searched for as bytes.
 *   4. No key that is named here comes twice in one object.
 *
 * Hashes stand for keys and nodes: a collision makes snapshots unusual, and never a result wrong.
 * Every byte of the old text is checked; of the new one all but those of unchanged parts, which
 * equal bytes that were checked. On any status but SPANS_OK the result is empty.
 */
#ifndef WBD_DIFF_SPANS_H
#define WBD_DIFF_SPANS_H

#include <stddef.h>
#include <stdint.h>

#define SPANS_TEXT_BYTES_MAX (UINT64_C(1) << 30) /* offsets have 32 bits */
#define SPANS_DEPTH_MAX 64         /* the data model nests 14 deep; each bracket is two calls */
#define SPANS_NUMBER_BYTES_MAX 200 /* 200 digits times 10 to the power of 99 is still a double */
#define SPANS_WINDOW 256    /* rows to compare a part with; a longer gap hides what follows */
#define SPANS_PROBES_MAX 64 /* half of all slots are free: a longer run was crafted */
#ifndef SPANS_HASH_MASK /* the bits that choose a slot; tests clear most, so that slots collide */
#define SPANS_HASH_MASK UINT64_MAX
#endif

typedef enum { SPANS_OK = 0, SPANS_NO_MEMORY, SPANS_UNUSUAL } spans_status;

/* Where a part is; SPANS_NODE is a statement of the group before it. */
enum { SPANS_OTHER, SPANS_LABELS, SPANS_DESCRIPTIONS, SPANS_ALIASES, SPANS_CLAIMS };
enum { SPANS_SITELINKS = SPANS_CLAIMS + 1, SPANS_NODE };

/* Borrowed bytes; start is not NULL. */
typedef struct {
    const uint8_t *start;
    size_t size_bytes;
} spans_text;

/* A part, "key":value. */
typedef struct {
    uint64_t hash;
    uint32_t start; /* offset of the key's opening quote */
    uint32_t size_bytes;
    uint32_t key_bytes; /* without the quotes */
    uint32_t statements;
    uint32_t identifiers; /* statements whose main snak's datatype is external-id */
    uint8_t map;
    uint8_t opaque; /* has a reference without a hash */
    uint16_t unchanged;
} spans_row;

typedef struct {
    spans_row *rows; /* unchanged groups, changed parts of the old text, those of the new one */
    size_t count, capacity;
    size_t ends[3]; /* of these three, in rows */
} spans_result;

/* Compare an old and a new text. The caller frees result->rows. */
spans_status spans_compare(const spans_text texts[2], spans_result *result);

#endif
