/* Sorted N-Triples lines as Turtle, for turtle.py.
 *
 * A line is "subject predicate object ." in canonical form: one space behind each of the first two
 * terms and before the full stop. Sorted lines have those of one subject side by side, and among
 * them those of one predicate, so one pass writes the groups and no table of them is needed.
 *
 * The result has the declarations of the prefixes that are used, in the order in which they are
 * given, and then a block for each subject:
 *
 *     @prefix wd: <http://www.wikidata.org/entity/> .
 *
 *     wd:Q1 a wikibase:Item ;
 *     <tab>rdfs:label "x"@en, "y"@de .
 *
 * An IRI is shortened if the part up to its last / or # is a namespace, and the rest a local name
 * that needs no escape: letters, digits, _ and, inside, -. Of prefixes with the same namespace the
 * first one counts.
 *
 * TURTLE_UNUSUAL is the answer to lines that do not ascend by their bytes, to what is no triple,
 * and to an IRI with a character that none may hold. A literal's text is taken as it is.
 *
 * Invariants
 *   1. No access outside the texts, which are not written to.
 *   2. The result fits into what is allocated before the first byte is written: see room_bytes().
 *   3. On any status but TURTLE_OK nothing is left allocated, and the result is empty.
 *
 * Cost: each byte is read twice and copied once; one allocation, two with prefixes.
 */
#ifndef WBD_RDF_TURTLE_H
#define WBD_RDF_TURTLE_H

#include <stddef.h>
#include <stdint.h>

typedef enum {
    TURTLE_OK = 0,
    TURTLE_NO_MEMORY,
    TURTLE_UNUSUAL,
} turtle_status;

/* UTF-8 that belongs to somebody else; not NULL. */
typedef struct {
    const uint8_t *start;
    size_t size_bytes;
} turtle_text;

typedef struct {
    turtle_text name;
    turtle_text space; /* the IRI that it stands for */
} turtle_prefix;

typedef struct {
    const uint8_t *text; /* inside memory */
    size_t size_bytes;
    uint8_t *memory;
} turtle_result;

/* Write lines as Turtle; turtle_free() ends the result. */
turtle_status turtle_write(const turtle_text *lines, size_t count, const turtle_prefix *prefixes,
                           size_t prefix_count, turtle_result *result);

/* Free what a result owns and make it empty; harmless on an empty one. */
void turtle_free(turtle_result *result);

#endif
