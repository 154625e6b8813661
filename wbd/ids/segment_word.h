/* What the files of the segment share and nobody else needs: the cursor's word and the low mark. */
#ifndef WBD_IDS_SEGMENT_WORD_H
#define WBD_IDS_SEGMENT_WORD_H

#include "segment.h"

/* A lost race means that somebody else got an id, so only a corrupt cursor could make a taker lose
 * this many in a row. */
#define TRIES (1 << 20)
/* A low mark that has been reached, so that only the first taker wakes the publisher. */
#define DISARMED UINT64_MAX

/* A test program defines this to stop a taker between two of its reads or before it takes, and a
 * publisher before it arms the low mark. */
#ifndef SEGMENT_PAUSE
#define SEGMENT_PAUSE() ((void)0)
#endif

static inline uint32_t sequence_of(uint64_t word) { return (uint32_t)(word >> 32); }

static inline uint32_t offset_of(uint64_t word) { return (uint32_t)word; }

static inline uint64_t word_of(uint32_t sequence, uint32_t offset) {
    return (uint64_t)sequence << 32 | offset;
}

/* Wake the publisher if *cursor* has reached the low mark, and nobody has said so yet. */
void segment_tell_if_low(segment *shared, segment_lane *lane, uint64_t cursor);

#endif
