/* The difference between two sets of lines, such as two graphs in canonical N-Triples.
 *
 * A text is any bytes. Its lines end at '\n'; the last one need not be terminated. Empty lines are
 * no lines, a line that comes again counts once, and every byte but '\n' (NUL, '\r', broken UTF-8)
 * is content. The result holds the lines that only one of two texts has, each once, in ascending
 * order of their unsigned bytes without the '\n'; a line that is the beginning of another one comes
 * first.
 *
 * Nothing is copied: the table below and the result point into the texts.
 *
 *     slots, 8 bytes each: a power of two of them, at most half in use, probed in sequence
 *       0..3   the upper half of the line's hash
 *       4..7   1 + place of the line's entry; 0 is a free slot
 *
 *     entries, 24 bytes each: a distinct line of either text, in order of first appearance
 *       0..7   start of the line, in a text
 *       8..15  its size without the '\n'
 *       16..19 the lower half of its hash; the slot is searched from here on
 *       20..23 which texts have the line: 1 the old one, 2 the new one, 3 both
 *
 * Invariants
 *   1. Every entry has exactly one slot, and no two entries have the same bytes.
 *   2. There are at least twice as many slots as entries, so a search meets a free slot.
 *   3. Two lines are taken for one only after all of their bytes were compared: a weak hash
 *      costs time, never a line.
 *   4. On any status but SETDIFF_OK the result is empty and nothing is left allocated.
 *   5. No access outside the texts and the table, even if somebody changes the texts meanwhile;
 *      the result is then that of no particular text.
 *
 * Cost: every line is read once to find its end, and once more to hash it or, where it follows the
 * same line as in the other text, to compare it. O(n) expected for any texts that were written
 * without knowledge of the seed, plus O(d log d) comparisons to order the d different lines.
 * Memory: 40 to 80 bytes a distinct line of either text, 96 while the table doubles; not less than
 * a third to two thirds of the old text's size; and 32 bytes a different line.
 */
#ifndef WBD_RDF_SETDIFF_H
#define WBD_RDF_SETDIFF_H

#include <stddef.h>
#include <stdint.h>

/* Distinct lines of both texts together; place + 1 has to fit 32 bits, and twice as many slots too.
 * Tests lower it. */
#ifndef SETDIFF_MAX_LINES
#define SETDIFF_MAX_LINES (UINT64_C(1) << 31)
#endif

/* Bits of the hash that are used. Tests clear most, so that every line collides. */
#ifndef SETDIFF_HASH_MASK
#define SETDIFF_HASH_MASK UINT64_MAX
#endif

typedef enum {
    SETDIFF_OK = 0,
    SETDIFF_NO_MEMORY,
    SETDIFF_TOO_MANY_LINES, /* more than SETDIFF_MAX_LINES */
} setdiff_status;

/* Bytes that belong to somebody else; start may be NULL when there are none. */
typedef struct {
    const uint8_t *start;
    size_t size_bytes;
} setdiff_span;

/* The key of the hash: 128 bits that whoever writes the texts cannot know. */
typedef struct {
    uint64_t low;
    uint64_t high;
} setdiff_seed;

typedef struct {
    setdiff_span *spans; /* owned; what they point to belongs to a text */
    size_t count;
    size_t text_bytes; /* what setdiff_write() writes */
} setdiff_lines;

typedef struct {
    setdiff_lines added;   /* in the new text alone */
    setdiff_lines removed; /* in the old text alone */
} setdiff_result;

/* Compare two texts. The texts have to outlive the result, which setdiff_free() ends. Any number of
 * threads may call this at the same time, for the same texts too. */
setdiff_status setdiff_compute(setdiff_span old_text, setdiff_span new_text, setdiff_seed seed,
                               setdiff_result *result);

/* Write the lines, each with a '\n', to lines->text_bytes bytes at target. */
void setdiff_write(const setdiff_lines *lines, uint8_t *target);

/* Free what a result owns and make it empty; harmless on an empty one. */
void setdiff_free(setdiff_result *result);

/* The hash of a line, which is not empty; here for tests of it. */
uint64_t setdiff_hash(setdiff_seed seed, setdiff_span line);

#endif
