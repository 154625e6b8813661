/* The format of a segment: where its fields lie, and what must be true of a file that another
 * process made earlier. See segment.h. */
#include <limits.h>
#include <string.h>

#include "segment_word.h"

static const char MAGIC[8] = {'W', 'B', 'D', 'I', 'D', 'S', 'E', 'G'};

/* Where every field lies; checked below, and part of the checksum. */
#define FIELDS(AT)                                                                                 \
    AT(segment, magic, 0)                                                                          \
    AT(segment, version, 8)                                                                        \
    AT(segment, lane_count, 12)                                                                    \
    AT(segment, layout, 16)                                                                        \
    AT(segment, bytes, 24)                                                                         \
    AT(segment, origin, 32)                                                                        \
    AT(segment, device, 72)                                                                        \
    AT(segment, inode, 80)                                                                         \
    AT(segment, closed, 88)                                                                        \
    AT(segment, wake, 128)                                                                         \
    AT(segment, lanes, 256)                                                                        \
    AT(segment_lane, cursor, 0)                                                                    \
    AT(segment_lane, contended, 8)                                                                 \
    AT(segment_lane, skipped, 16)                                                                  \
    AT(segment_lane, head, 128)                                                                    \
    AT(segment_lane, low_word, 136)                                                                \
    AT(segment_lane, low_left, 144)                                                                \
    AT(segment_lane, high, 152)                                                                    \
    AT(segment_lane, added, 160)                                                                   \
    AT(segment_lane, returned, 168)                                                                \
    AT(segment_lane, slots, 256)                                                                   \
    AT(segment_slot, first, 0)                                                                     \
    AT(segment_slot, size, 8)

#define CHECK(type, field, offset)                                                                 \
    _Static_assert(offsetof(type, field) == (offset), #field " has moved");
FIELDS(CHECK)
_Static_assert(sizeof(segment_slot) == 16, "a slot has 16 bytes");
_Static_assert(sizeof(segment_lane) == 1280, "a lane has 1280 bytes");
_Static_assert(sizeof(segment) == SEGMENT_BYTES, "a segment has SEGMENT_BYTES");
_Static_assert((SEGMENT_SLOTS & (SEGMENT_SLOTS - 1)) == 0, "the slot of a sequence is a mask away");
/* A process must never hold a lock that lives in another one's address space. */
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2,
               "atomics across processes");

/* FNV-1a over every offset and size: two builds that disagree about one of them disagree about the
 * sum. */
static uint64_t layout_checksum(void) {
#define FACT(type, field, offset) offsetof(type, field),
    const uint64_t facts[] = {SEGMENT_VERSION, SEGMENT_LANES,        SEGMENT_SLOTS,
                              SEGMENT_BYTES,   sizeof(segment_lane), sizeof(segment_slot),
                              FIELDS(FACT)};
    uint64_t sum = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        for (unsigned shift = 0; shift < 64; shift += 8) {
            sum = (sum ^ (facts[i] >> shift & 0xff)) * UINT64_C(1099511628211);
        }
    }
    return sum;
}

void segment_format(segment *shared, segment_identity identity) {
    shared->version = SEGMENT_VERSION;
    shared->lane_count = SEGMENT_LANES;
    shared->layout = layout_checksum();
    shared->bytes = SEGMENT_BYTES;
    strncpy(shared->origin, identity.origin, SEGMENT_ORIGIN_BYTES - 1);
    shared->device = identity.device;
    shared->inode = identity.inode;
    for (unsigned lane = 0; lane < SEGMENT_LANES; lane++) {
        atomic_store(&shared->lanes[lane].low_word, DISARMED);
        /* A new lane is low: it has no ids. */
        atomic_store(&shared->lanes[lane].low_left, 1);
    }
    memcpy(shared->magic, MAGIC, sizeof MAGIC);
}

static const char *lane_problem(const segment *shared, unsigned number) {
    segment_state state;
    /* segment_look() only reads. */
    if (segment_look((segment *)(uintptr_t)shared, number, &state) != SEGMENT_OK) {
        return "cursor, head or ranges of a lane do not fit together";
    }
    uint64_t last = 0;
    for (size_t i = 0; i < state.piece_count; i++) {
        if (state.pieces[i].first <= last) {
            return "ranges of a lane are not in increasing order";
        }
        last = state.pieces[i].first + state.pieces[i].count - 1;
    }
    return last > state.high || state.high > SEGMENT_MAX_ID
               ? "a lane holds ids above its highest one"
               : NULL;
}

const char *segment_problem(const segment *shared, size_t bytes, segment_identity identity) {
    if (bytes != SEGMENT_BYTES) {
        return "not of the size of a segment";
    }
    if (memcmp(shared->magic, MAGIC, sizeof MAGIC) != 0) {
        return "not a segment";
    }
    if (shared->version != SEGMENT_VERSION) {
        return "a segment of another version";
    }
    if (shared->lane_count != SEGMENT_LANES || shared->layout != layout_checksum() ||
        shared->bytes != bytes) {
        return "a segment of another layout";
    }
    if (identity.origin) {
        if (strncmp(shared->origin, identity.origin, SEGMENT_ORIGIN_BYTES) != 0) {
            return "a segment of another boot or database";
        }
        if (shared->device != identity.device || shared->inode != identity.inode) {
            return "a copy of a segment";
        }
    }
    for (unsigned lane = 0; lane < SEGMENT_LANES; lane++) {
        const char *problem = lane_problem(shared, lane);
        if (problem) {
            return problem;
        }
    }
    return NULL;
}
