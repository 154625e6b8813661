/* The publisher's half of the segment; see segment.h for the invariants that it keeps. */
#include "segment_word.h"

void segment_adopt(segment_publisher *publisher, segment *shared) {
    publisher->shared = shared;
    for (unsigned lane = 0; lane < SEGMENT_LANES; lane++) {
        publisher->heads[lane] = atomic_load(&shared->lanes[lane].head);
        publisher->cursors[lane] = atomic_load(&shared->lanes[lane].cursor);
    }
}

segment_status segment_check(segment_publisher *publisher, unsigned number) {
    segment_lane *lane = &publisher->shared->lanes[number];
    uint64_t cursor = atomic_load(&lane->cursor);
    uint32_t head = publisher->heads[number];
    /* The cursor is compared with the head of our own memory: takers never pass it. */
    if (cursor < publisher->cursors[number] || cursor > word_of(head, 0) ||
        head - sequence_of(cursor) > SEGMENT_SLOTS || atomic_load(&lane->head) != head) {
        return SEGMENT_CORRUPT;
    }
    publisher->cursors[number] = cursor;
    return SEGMENT_OK;
}

/* The first cursor word that leaves fewer than *low_left* ids. */
static uint64_t low_mark(segment_lane *lane, uint64_t cursor, uint32_t head, uint64_t low_left) {
    uint64_t behind = 0;
    if (low_left == 0) {
        return DISARMED;
    }
    for (uint32_t sequence = head; sequence != sequence_of(cursor);) {
        behind += atomic_load(&lane->slots[--sequence % SEGMENT_SLOTS].size);
        if (behind >= low_left) {
            return word_of(sequence, (uint32_t)(behind - low_left)) + 1;
        }
    }
    return 0;
}

segment_status segment_publish(segment_publisher *publisher, unsigned number, uint64_t first,
                               uint64_t size, uint64_t low_left) {
    segment_lane *lane = &publisher->shared->lanes[number];
    uint32_t head = publisher->heads[number];
    if (segment_check(publisher, number) != SEGMENT_OK) {
        return SEGMENT_CORRUPT;
    }
    uint64_t cursor = publisher->cursors[number];
    if (first < 1 || first <= atomic_load(&lane->high) || first > SEGMENT_MAX_ID || size < 1 ||
        size > SEGMENT_MAX_SIZE || size - 1 > SEGMENT_MAX_ID - first ||
        atomic_load(&publisher->shared->closed)) {
        return SEGMENT_REFUSED;
    }
    if (head == UINT32_MAX) {
        return SEGMENT_EXHAUSTED;
    }
    if (head - sequence_of(cursor) >= SEGMENT_SLOTS) {
        return SEGMENT_FULL;
    }
    segment_slot *slot = &lane->slots[head % SEGMENT_SLOTS];
    /* High first: a publisher that dies here leaves a gap, not a range that could be published
     * again. */
    atomic_store(&lane->high, first + size - 1);
    atomic_store(&slot->first, first);
    atomic_store(&slot->size, size);
    atomic_fetch_add(&lane->added, size);
    publisher->heads[number] = head + 1;
    atomic_store(&lane->head, head + 1);
    SEGMENT_PAUSE();
    atomic_store(&lane->low_left, low_left);
    atomic_store(&lane->low_word, low_mark(lane, cursor, head + 1, low_left));
    /* A taker that reached the mark before it was armed has woken nobody. */
    uint64_t now = atomic_load(&lane->cursor);
    if (now != cursor) {
        segment_tell_if_low(publisher->shared, lane, now);
    }
    return SEGMENT_OK;
}

segment_status segment_drain(segment_publisher *publisher, unsigned number,
                             segment_piece pieces[static SEGMENT_SLOTS], size_t *piece_count) {
    segment_lane *lane = &publisher->shared->lanes[number];
    *piece_count = 0;
    if (segment_check(publisher, number) != SEGMENT_OK) {
        return SEGMENT_CORRUPT;
    }
    segment_status status =
        segment_take(publisher->shared, number, UINT64_MAX, SEGMENT_UP_TO, pieces, piece_count);
    if (status == SEGMENT_OK) {
        uint64_t returned = 0;
        for (size_t i = 0; i < *piece_count; i++) {
            returned += pieces[i].count;
        }
        atomic_fetch_add(&lane->returned, returned);
        atomic_store(&lane->high, pieces[0].first - 1);
    }
    return status == SEGMENT_DRY ? SEGMENT_OK : status;
}

void segment_close(segment_publisher *publisher) {
    atomic_store(&publisher->shared->closed, 1);
    for (unsigned number = 0; number < SEGMENT_LANES; number++) {
        segment_lane *lane = &publisher->shared->lanes[number];
        uint32_t head = atomic_load(&lane->head);
        uint64_t seen = atomic_load(&lane->cursor);
        for (int tries = 0; tries < TRIES; tries++) {
            /* Not a plain store, which could move the cursor backwards and repeat ids. */
            if (seen >= word_of(head, 0) ||
                atomic_compare_exchange_strong(&lane->cursor, &seen, word_of(head, 0))) {
                break;
            }
        }
    }
}
