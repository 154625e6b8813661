/* What two snapshots of an entity do not share, found without parsing what they do.
 *
 * A snapshot is an item or a property as JSON. Its parts are the members of its maps (labels,
 * descriptions, aliases, sitelinks, claims) and its other top-level members. A part that both
 * snapshots have with the same bytes is alike. The result holds
 *
 *   - for each side the spans of the parts that are not alike, and of all top-level members that
 *     are no maps. Of sitelinks it holds all or none: one that differs brings the others along;
 *   - how many terms, sitelinks and statements the other parts have;
 *   - a row for each property group that both have alike.
 *
 * spans_write() puts the first into a JSON text, an entity that lacks what is alike.
 *
 * Every text is checked in full, so what is not parsed afterwards is JSON too. SPANS_UNUSUAL is the
 * answer to everything that is not taken for granted; the caller then parses both texts and finds
 * out. A text is usual if
 *
 *   1. it is one JSON object in UTF-8 without surrogates, not even in pairs as escapes; it nests no
 *      deeper than SPANS_DEPTH_MAX; numbers have at most SPANS_NUMBER_BYTES_MAX bytes and two
 *      digits of exponent, so that a parser takes them;
 *   2. "type" is "item" or "property", if it is there; there is no "redirect" and no "statements";
 *   3. a map is an object, or an empty array;
 *   4. the members of labels and descriptions are terms, those of aliases arrays of terms; a term
 *      is an object whose "language" is its key;
 *   5. a member of claims has a key of P and a number, and is an array of statements: objects with
 *      an "id", word characters with one $ among them and hyphens only behind it, so that no two
 *      make one node, and a "mainsnak", an object whose "property" is the key of the group;
 *   6. no id of a statement of the old side comes twice there, and none of a group that is not
 *      alike on the new side is in one that is;
 *   7. no key of the entity or of a map comes twice; in other objects that are looked into (all
 *      named here, and snaks, data values and times, references) no key that is looked for comes
 *      twice;
 *   8. no key of these has an escape, nor an id, property, language or datatype of a main snak.
 *
 * A group is opaque if its bytes do not show which references and values it has: an escape \u or
 * \/, a reference without a hash, an escape in one, or anything that would make the mapping of such
 * parts fail (spans_parts.c, read_snak). In all other groups a reference's hash, the text of a
 * time and the name of a type of values can be searched for as bytes.
 *
 * Invariants
 *   1. No access outside the texts, which are not written to.
 *   2. A part of the new text is skipped instead of read only if its bytes, key included, are those
 *      of a part of the same map of the old text, and its end shows in the bytes.
 *   3. On any status but SPANS_OK nothing is left allocated, and the result is empty.
 *   4. Weak hashes cost no more than SPANS_PROBES_MAX steps a key; then the texts are unusual.
 *
 * Cost: each byte of the old text is read once; of the new one those that follow the old one's
 * order are compared, others read. Nothing is allocated for a token: 40 bytes a part, 12 a
 * statement, and the tables over both.
 */
#ifndef WBD_RDF_SPANS_H
#define WBD_RDF_SPANS_H

#include <stddef.h>
#include <stdint.h>

/* Offsets have 32 bits. */
#define SPANS_TEXT_BYTES_MAX (UINT64_C(1) << 30)

/* The data model nests 14 deep; brackets are remembered in one word. */
#define SPANS_DEPTH_MAX 64

/* 200 digits times 10 to the power of 99 is a double still. */
#define SPANS_NUMBER_BYTES_MAX 200

/* On average, over all keys; there are at least twice as many slots as keys. */
#define SPANS_PROBES_MAX 16

/* Bits of the hash that are used. Tests clear most, so that keys collide. */
#ifndef SPANS_HASH_MASK
#define SPANS_HASH_MASK UINT32_MAX
#endif

typedef enum {
    SPANS_OK = 0,
    SPANS_NO_MEMORY,
    SPANS_UNUSUAL,
} spans_status;

/* Bytes that belong to somebody else; not NULL. */
typedef struct {
    const uint8_t *start;
    size_t size_bytes;
} spans_text;

typedef enum {
    SPANS_LABELS,
    SPANS_DESCRIPTIONS,
    SPANS_ALIASES,
    SPANS_SITELINKS,
    SPANS_CLAIMS,
    SPANS_MAPS, /* how many */
    SPANS_TOP = SPANS_MAPS,
} spans_map;

/* One part; offsets into its text. Keys are without their quotes. */
typedef struct {
    uint32_t key;
    uint32_t key_bytes;
    uint32_t value;
    uint32_t value_bytes;
    uint32_t statements;
    uint32_t identifiers; /* statements whose main snak's datatype is external-id */
    uint32_t match;       /* 1 + place of the part with this key on the other side; 0 for none */
    uint8_t map;
    uint8_t opaque;
    uint8_t alike;
} spans_part;

typedef struct {
    spans_part *parts; /* in the order of the text */
    size_t count;
    size_t written_bytes; /* what spans_write() writes */
} spans_side;

typedef struct {
    spans_side old_side;
    spans_side new_side;
    size_t terms;      /* members of labels, descriptions and aliases that are alike */
    size_t sitelinks;  /* that are alike, because all are */
    size_t statements; /* of groups that are alike */
    size_t groups;     /* that are alike */
} spans_result;

/* Compare two texts; they have to outlive the result, which spans_free() ends. */
spans_status spans_compare(spans_text old_text, spans_text new_text, spans_result *result);

/* Write a side's JSON, side->written_bytes bytes, to target. */
void spans_write(const spans_side *side, spans_text text, uint8_t *target);

/* Free what a result owns and make it empty; harmless on an empty one. */
void spans_free(spans_result *result);

#endif
