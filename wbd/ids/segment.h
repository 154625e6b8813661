/* The ring of reserved ids in shared memory: one publisher puts ranges in, any number of takers
 * take ids out.
 *
 * The memory is a file that every process of a host maps, so everything in it is outside data:
 * segment_problem() looks at it before anybody uses it, and no value read from it later can make a
 * function touch memory outside it or loop without end. That keeps processes alive. It cannot keep
 * ids unique against a program that writes into the file, so whoever may write to it is trusted. A
 * file that is truncated while processes map it kills them by SIGBUS.
 *
 *   offset  bytes  field       written by
 *        0      8  magic       segment_format(), last; "WBDIDSEG"
 *        8      4  version     segment_format()
 *       12      4  lane_count  segment_format(); SEGMENT_LANES
 *       16      8  layout      segment_format(); checksum of every offset and size of this file
 *       24      8  bytes       segment_format(); SEGMENT_BYTES
 *       32     40  origin      segment_format(); text that tells boot and database, zero-filled
 *       72      8  device      segment_format(); st_dev of the file, 0 for memory without a file
 *       80      8  inode       segment_format(); st_ino of the file, 0 for memory without a file
 *       88      4  closed      publisher; 1 when no more ranges will be published, and takers
 *                              should look for a new file
 *      128      4  wake        anybody, counts up; a futex on which the publisher waits
 *      256  4x1280 lanes       items, properties, lexemes, entity schemas
 *     5376   2816              zeros up to SEGMENT_BYTES
 *
 *   within a lane
 *        0      8  cursor      takers and segment_close(), by compare-and-set:
 *                              sequence << 32 | offset of the next id
 *        8      8  contended   takers; compare-and-sets that somebody else won
 *       16      8  skipped     takers; ids dropped for a block that did not fit in front, or known
 *                              to be in use
 *      128      4  head        publisher; sequence of the first range that is not published
 *      136      8  low_word    publisher arms it, the taker that reaches it disarms it: the first
 *                              cursor at which the lane is low
 *      144      8  low_left    publisher; the lane is low when fewer ids are left
 *      152      8  high        publisher; no id up to this one may be published
 *      160      8  added       publisher; ids published
 *      168      8  returned    publisher; ids drained
 *      256  64x16  slots       publisher; {first, size} of the range whose sequence % 64 this is
 *
 * No process but its maker knows of a file before segment_format() has returned. The fields up to
 * inode are constant from then on, so they need no memory order.
 *
 * Invariants. 1 to 5 are why no id is given out twice, whoever stops at whatever instruction.
 *  1. A cursor only grows, by compare-and-set from the word that the taker based its numbers on. A
 *     sequence is never used again (after 2^32 - 1 ranges nothing is published), so a word never
 *     comes back: a taker that slept through a refill loses.
 *  2. cursor <= (head, 0), and head <= cursor's sequence + 64.
 *  3. The slot of a sequence is written only while that sequence equals head, and the sequence that
 *     had the slot before lies below the cursor. Whoever reads meanwhile, for that former sequence,
 *     may see one range, the other, or a mixture, and loses its compare-and-set by 1.
 *  4. A range is published only above `high`, so later sequences have larger numbers. Only a drain
 *     lowers `high`: to the last id below those that it took back, which nobody else has.
 *  5. A range becomes visible by one store to head, after its slot and `high`; a publisher that
 *     dies before that has published nothing, and leaves a gap.
 *  6. The offset lies below the size of its range; a range that is used up leaves (sequence + 1,
 *     0).
 *  7. A taker never waits for anybody: it tries again only because another got ids. A taker that
 *     dies loses the ids of the call it died in; its share of `skipped` and `contended`; and the
 *     wake that it owed the publisher, which the next taker sends, whether it gets ids or not.
 *
 * Every access is sequentially consistent except to the counters `contended` and `skipped`, on
 * which none of 1 to 7 depends.
 */
#ifndef WBD_IDS_SEGMENT_H
#define WBD_IDS_SEGMENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEGMENT_VERSION 1
#define SEGMENT_LANES 4
#define SEGMENT_SLOTS 64
#define SEGMENT_BYTES 8192
/* Ids are signed 64-bit numbers in Java and PHP. */
#define SEGMENT_MAX_ID INT64_MAX
/* An offset has 32 bits. */
#define SEGMENT_MAX_SIZE UINT32_MAX
#define SEGMENT_ORIGIN_BYTES 40

typedef struct {
    _Atomic uint64_t first;
    _Atomic uint64_t size;
} segment_slot;

typedef struct {
    _Atomic uint64_t cursor;
    _Atomic uint64_t contended;
    _Atomic uint64_t skipped;
    uint8_t pad_takers[104];
    _Atomic uint32_t head;
    uint32_t pad_head;
    _Atomic uint64_t low_word;
    _Atomic uint64_t low_left;
    _Atomic uint64_t high;
    _Atomic uint64_t added;
    _Atomic uint64_t returned;
    uint8_t pad_publisher[80];
    segment_slot slots[SEGMENT_SLOTS];
} segment_lane;

typedef struct {
    char magic[8];
    uint32_t version;
    uint32_t lane_count;
    uint64_t layout;
    uint64_t bytes;
    char origin[SEGMENT_ORIGIN_BYTES];
    uint64_t device;
    uint64_t inode;
    _Atomic uint32_t closed;
    uint8_t pad_header[36];
    _Atomic uint32_t wake;
    uint8_t pad_wake[124];
    segment_lane lanes[SEGMENT_LANES];
    uint8_t pad_end[2816];
} segment;

typedef struct {
    const char *origin; /* text that tells the boot and the database of the ids; of at most
                           SEGMENT_ORIGIN_BYTES - 1 bytes */
    uint64_t device;
    uint64_t inode;
} segment_identity;

typedef struct {
    uint64_t first;
    uint64_t count;
} segment_piece;

typedef enum {
    SEGMENT_OK,
    SEGMENT_DRY,       /* too few ids; nothing was taken */
    SEGMENT_CONTENDED, /* lost a million races in a row; nothing was taken */
    SEGMENT_CORRUPT,   /* the memory holds what no publisher writes; nothing was taken */
    SEGMENT_FULL,      /* 64 ranges are waiting; nothing was published */
    SEGMENT_EXHAUSTED, /* 2^32 - 1 ranges have been published; a new segment is needed */
    SEGMENT_REFUSED,   /* the range is not above `high`, or too large, or the segment is closed */
} segment_status;

typedef enum {
    SEGMENT_ALL,       /* count ids, in one piece or several, or none */
    SEGMENT_UP_TO,     /* count ids, or as many as are left */
    SEGMENT_BLOCK,     /* count consecutive ids or none; shorter pieces in front are skipped */
    SEGMENT_NOT_ABOVE, /* every id that is not above *count* */
} segment_mode;

typedef struct {
    uint64_t left;
    uint64_t added;
    uint64_t skipped;
    uint64_t returned;
    uint64_t contended;
    uint64_t high;
    uint64_t low_left;
    size_t piece_count;
    segment_piece pieces[SEGMENT_SLOTS]; /* what is left, in order */
} segment_state;

/* What a publisher remembers outside the memory that it shares, to notice that somebody wrote into
 * its fields. */
typedef struct {
    segment *shared;
    uint32_t heads[SEGMENT_LANES];
    uint64_t cursors[SEGMENT_LANES];
} segment_publisher;

/* Make an empty segment of SEGMENT_BYTES zeroed bytes that nobody else uses. */
void segment_format(segment *shared, segment_identity identity);

/* Why these *bytes* bytes are not a segment of this version, boot and file; NULL if they are. A
 * NULL origin in *identity* leaves boot and file unchecked. */
const char *segment_problem(const segment *shared, size_t bytes, segment_identity identity);

/* Takers; lane < SEGMENT_LANES. */

/* Take the next id: SEGMENT_OK, _DRY, _CONTENDED or _CORRUPT. */
segment_status segment_take_one(segment *shared, unsigned lane, uint64_t *number);

/* Take *count* >= 1 ids as *mode* says, into *pieces* in increasing order: SEGMENT_OK, _DRY,
 * _CONTENDED or _CORRUPT. */
segment_status segment_take(segment *shared, unsigned lane, uint64_t count, segment_mode mode,
                            segment_piece pieces[static SEGMENT_SLOTS], size_t *piece_count);

/* Drop the ids up to *number* from the front, and say how many they were: SEGMENT_OK, _CONTENDED or
 * _CORRUPT. */
segment_status segment_skip_to(segment *shared, unsigned lane, uint64_t number, uint64_t *dropped);

/* Read a lane: what was left at one moment of the call, and counts that may include takes after
 * that moment: SEGMENT_OK, _CONTENDED or _CORRUPT. */
segment_status segment_look(segment *shared, unsigned lane, segment_state *state);

/* Wake the publisher. */
void segment_wake(segment *shared);

/* The publisher; one at a time, ensured by a lock on the file. */

/* Take a segment over, fresh or left by a publisher that died. */
void segment_adopt(segment_publisher *publisher, segment *shared);

/* Put a range behind the others; low_left becomes the lane's, 0 to be never low. The first take
 * after this that leaves the lane low, or finds it so, wakes the publisher: SEGMENT_OK, _FULL,
 * _EXHAUSTED, _REFUSED or _CORRUPT. */
segment_status segment_publish(segment_publisher *publisher, unsigned lane, uint64_t first,
                               uint64_t size, uint64_t low_left);

/* Check that cursor and head moved as takers and this publisher move them: SEGMENT_OK or _CORRUPT.
 */
segment_status segment_check(segment_publisher *publisher, unsigned lane);

/* Take everything that is left; its ids may be published again: SEGMENT_OK (piece_count may be 0),
 * _CONTENDED or _CORRUPT. */
segment_status segment_drain(segment_publisher *publisher, unsigned lane,
                             segment_piece pieces[static SEGMENT_SLOTS], size_t *piece_count);

/* Tell takers to look for another segment, and leave nothing to take in this one; what was not
 * drained is a gap. Works on corrupt lanes, too. */
void segment_close(segment_publisher *publisher);

/* Wait until somebody reaches a low mark or calls segment_wake() after `wake` was *seen*, a signal
 * comes, or *timeout_ns* have passed; return `wake` as it is then. */
uint32_t segment_wait(segment *shared, uint32_t seen, uint64_t timeout_ns);

#endif
