/* The takers' half of the segment; see segment.h for the layout, who writes which field, and the
 * numbered invariants. */
#define _GNU_SOURCE
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "segment_word.h"

typedef struct {
    uint64_t first;
    uint64_t size;
} range;

/* Read the range of a sequence; false if no publisher would write such a range. */
static bool read_range(segment_lane *lane, uint32_t sequence, range *found) {
    segment_slot *slot = &lane->slots[sequence % SEGMENT_SLOTS];
    found->first = atomic_load(&slot->first);
    SEGMENT_PAUSE();
    found->size = atomic_load(&slot->size);
    return found->first >= 1 && found->first <= SEGMENT_MAX_ID && found->size >= 1 &&
           found->size <= SEGMENT_MAX_SIZE && found->size - 1 <= SEGMENT_MAX_ID - found->first;
}

/* Set the cursor to *next* if it is still *seen*; else read it into *seen*. */
static bool move(segment_lane *lane, uint64_t *seen, uint64_t next) {
#ifdef SEGMENT_FAULT_NO_GENERATION
    /* Planted for the tests that must catch it: the sequence is left out of the comparison. */
    uint64_t now = atomic_load(&lane->cursor);
    if (offset_of(now) != offset_of(*seen)) {
        *seen = now;
        return false;
    }
    next += now - *seen;
    *seen = now;
#endif
    return atomic_compare_exchange_strong(&lane->cursor, seen, next);
}

static void count_lost_races(segment_lane *lane, uint64_t lost) {
    if (lost) {
        /* Relaxed: a figure for operators, no partner. */
        atomic_fetch_add_explicit(&lane->contended, lost, memory_order_relaxed);
    }
}

void segment_wake(segment *shared) {
    atomic_fetch_add(&shared->wake, 1);
    syscall(SYS_futex, &shared->wake, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

uint32_t segment_wait(segment *shared, uint32_t seen, uint64_t timeout_ns) {
    if (atomic_load(&shared->wake) == seen) {
        struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / 1000000000),
                                   .tv_nsec = (long)(timeout_ns % 1000000000)};
        syscall(SYS_futex, &shared->wake, FUTEX_WAIT, seen, &timeout, NULL, 0);
    }
    return atomic_load(&shared->wake);
}

/* Called by a taker that has moved a cursor; also by one that finds the lane dry, because the taker
 * that emptied it may have died before the call. segment_publish() arms the mark and then reads the
 * cursor, in that order; so one of the two sees the other's write. */
void segment_tell_if_low(segment *shared, segment_lane *lane, uint64_t cursor) {
    uint64_t low = atomic_load(&lane->low_word);
    if (cursor >= low && atomic_compare_exchange_strong(&lane->low_word, &low, DISARMED)) {
        segment_wake(shared);
    }
}

/* Read the cursor again. Impossible values that a taker read are damage only if the cursor has not
 * moved since the taker began. */
static bool has_moved(segment_lane *lane, uint64_t *cursor) {
    uint64_t seen = *cursor;
    *cursor = atomic_load(&lane->cursor);
    return *cursor != seen;
}

/* Count the ranges between cursor and head. The head is read later, so it is never lower. More
 * ranges than slots mean that the cursor has moved on meanwhile; if it has not, takers and
 * publisher did not write these two values. Nor did they write a head below the cursor: sequences
 * do not wrap.
 */
static segment_status count_ranges(segment_lane *lane, uint64_t *cursor, uint32_t *ranges) {
    for (int tries = 0; tries < TRIES; tries++) {
        SEGMENT_PAUSE();
        uint32_t head = atomic_load(&lane->head);
        *ranges = head - sequence_of(*cursor);
        if (*ranges <= SEGMENT_SLOTS && *cursor <= word_of(head, 0)) {
            return SEGMENT_OK;
        }
        if (!has_moved(lane, cursor)) {
            return SEGMENT_CORRUPT;
        }
    }
    return SEGMENT_CONTENDED;
}

segment_status segment_take_one(segment *shared, unsigned lane_number, uint64_t *number) {
    segment_lane *lane = &shared->lanes[lane_number];
    uint64_t cursor = atomic_load(&lane->cursor);
    for (uint64_t lost = 0; lost < TRIES; lost++) {
        uint32_t ranges;
        range found;
        segment_status status = count_ranges(lane, &cursor, &ranges);
        if (status == SEGMENT_OK && ranges == 0) {
            segment_tell_if_low(shared, lane, cursor);
            status = SEGMENT_DRY;
        }
        if (status != SEGMENT_OK) {
            count_lost_races(lane, lost);
            return status;
        }
        uint32_t sequence = sequence_of(cursor);
        uint32_t offset = offset_of(cursor);
        bool sound = read_range(lane, sequence, &found) && offset < found.size;
        SEGMENT_PAUSE();
        if (!sound) {
            /* A slot may be rewritten once the cursor has moved on (3); that is no damage. */
            if (!has_moved(lane, &cursor)) {
                count_lost_races(lane, lost);
                return SEGMENT_CORRUPT;
            }
            continue;
        }
        uint64_t next = offset + 1 < found.size ? cursor + 1 : word_of(sequence + 1, 0);
        if (move(lane, &cursor, next)) {
            count_lost_races(lane, lost);
            segment_tell_if_low(shared, lane, next);
            *number = found.first + offset;
            return SEGMENT_OK;
        }
    }
    count_lost_races(lane, TRIES);
    return SEGMENT_CONTENDED;
}

/* A taker's plan: what it would take from *cursor* on, and where that would leave the cursor. */
typedef struct {
    uint64_t next;
    uint64_t skipped;
    uint64_t found;
    size_t piece_count;
} plan;

/* Add a piece, or extend the last one if the new one follows it directly. */
static void add_piece(plan *made, segment_piece *pieces, uint64_t first, uint64_t count) {
    segment_piece *last = made->piece_count ? &pieces[made->piece_count - 1] : NULL;
    if (last && last->first + last->count == first) {
        last->count += count;
    } else {
        pieces[made->piece_count++] = (segment_piece){first, count};
    }
    made->found += count;
}

/* Plan a take; false if a range is not sound. made->found is less than wanted when the lane has too
 * few ids. With SEGMENT_NOT_ABOVE *wanted* is the last number to take. */
static bool make_plan(segment_lane *lane, uint64_t cursor, uint32_t ranges, uint64_t wanted,
                      segment_mode mode, plan *made, segment_piece *pieces) {
    uint32_t sequence = sequence_of(cursor);
    uint32_t offset = offset_of(cursor);
    *made = (plan){.next = cursor};
    for (uint32_t i = 0; i < ranges; i++, sequence++, offset = 0) {
        range at;
        if (!read_range(lane, sequence, &at) || offset >= at.size) {
            return false;
        }
        uint64_t first = at.first + offset;
        uint64_t rest = at.size - offset;
        if (mode == SEGMENT_BLOCK && made->piece_count &&
            pieces[0].first + pieces[0].count != first) {
            /* The ids in front are too few and are skipped: ids leave in increasing order. */
            made->skipped += made->found;
            made->found = 0;
            made->piece_count = 0;
        }
        uint64_t more = wanted - made->found;
        if (mode == SEGMENT_NOT_ABOVE) {
            more = first <= wanted ? wanted - first + 1 : 0;
        }
        if (more == 0) {
            break;
        }
        uint64_t count = rest < more ? rest : more;
        add_piece(made, pieces, first, count);
        made->next =
            count < rest ? word_of(sequence, offset + (uint32_t)count) : word_of(sequence + 1, 0);
        if (count == more) {
            break;
        }
    }
    return true;
}

segment_status segment_take(segment *shared, unsigned lane_number, uint64_t count,
                            segment_mode mode, segment_piece pieces[static SEGMENT_SLOTS],
                            size_t *piece_count) {
    segment_lane *lane = &shared->lanes[lane_number];
    uint64_t cursor = atomic_load(&lane->cursor);
    *piece_count = 0;
    for (uint64_t lost = 0; lost < TRIES; lost++) {
        uint32_t ranges;
        plan made;
        segment_status status = count_ranges(lane, &cursor, &ranges);
        if (status != SEGMENT_OK) {
            count_lost_races(lane, lost);
            return status;
        }
        bool sound = make_plan(lane, cursor, ranges, count, mode, &made, pieces);
        SEGMENT_PAUSE();
        bool enough =
            mode == SEGMENT_ALL || mode == SEGMENT_BLOCK ? made.found == count : made.found > 0;
        if (!sound || !enough) {
            if (!has_moved(lane, &cursor)) {
                count_lost_races(lane, lost);
                segment_tell_if_low(shared, lane, cursor);
                return sound ? SEGMENT_DRY : SEGMENT_CORRUPT;
            }
            continue;
        }
        if (move(lane, &cursor, made.next)) {
            count_lost_races(lane, lost);
            if (made.skipped) {
                atomic_fetch_add_explicit(&lane->skipped, made.skipped, memory_order_relaxed);
            }
            segment_tell_if_low(shared, lane, made.next);
            *piece_count = made.piece_count;
            return SEGMENT_OK;
        }
    }
    count_lost_races(lane, TRIES);
    return SEGMENT_CONTENDED;
}

segment_status segment_skip_to(segment *shared, unsigned lane_number, uint64_t number,
                               uint64_t *dropped) {
    segment_piece pieces[SEGMENT_SLOTS];
    size_t piece_count;
    segment_status status =
        segment_take(shared, lane_number, number, SEGMENT_NOT_ABOVE, pieces, &piece_count);
    *dropped = 0;
    for (size_t i = 0; i < piece_count; i++) {
        *dropped += pieces[i].count;
    }
    /* Relaxed: a figure for operators, no partner. */
    atomic_fetch_add_explicit(&shared->lanes[lane_number].skipped, *dropped, memory_order_relaxed);
    return status == SEGMENT_DRY ? SEGMENT_OK : status;
}

segment_status segment_look(segment *shared, unsigned lane_number, segment_state *state) {
    segment_lane *lane = &shared->lanes[lane_number];
    uint64_t cursor = atomic_load(&lane->cursor);
    for (int tries = 0; tries < TRIES; tries++) {
        uint32_t ranges;
        plan made;
        *state = (segment_state){0};
        segment_status status = count_ranges(lane, &cursor, &ranges);
        if (status != SEGMENT_OK) {
            return status;
        }
        bool sound =
            make_plan(lane, cursor, ranges, UINT64_MAX, SEGMENT_UP_TO, &made, state->pieces);
        SEGMENT_PAUSE();
        state->left = made.found;
        state->piece_count = made.piece_count;
        state->added = atomic_load(&lane->added);
        state->skipped = atomic_load(&lane->skipped);
        state->returned = atomic_load(&lane->returned);
        state->contended = atomic_load(&lane->contended);
        state->high = atomic_load(&lane->high);
        state->low_left = atomic_load(&lane->low_left);
        /* While the cursor stays in its range, no slot is rewritten (3) and nothing is drained, so
         * all that was read belongs together. */
        uint32_t sequence = sequence_of(cursor);
        cursor = atomic_load(&lane->cursor);
        if (sequence_of(cursor) == sequence) {
            return sound ? SEGMENT_OK : SEGMENT_CORRUPT;
        }
    }
    *state = (segment_state){0};
    return SEGMENT_CONTENDED;
}
