/* Checks of the segment without Python and without chance in their order, to be built under
 * sanitizers; the first argument says which.
 *
 *   sleepers       every kind of taker is stopped at every place, while another thread takes, and
 *                  slots are filled anew: all 64 up to an equal cursor, all with less, or one
 *   marks          takers reach the low mark before the publisher has armed it
 *   exhausted      a lane that has had its last sequence
 *   corrupt N      N segments with random damage; every function is called on each
 *
 * A segment lies on the heap in its exact size, so that an access outside it is seen. A broken
 * promise ends the program with its line number; an id that came twice, with exit code 3.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void on_pause(void);
#define SEGMENT_PAUSE() on_pause()
#include "segment.c"
#include "segment_publisher.c"

#define PROMISE(promise)                                                                           \
    do {                                                                                           \
        if (!(promise)) {                                                                          \
            fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #promise);                  \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

enum { SIZE = 5, DUPLICATE = 3, CALL_MAX = 40 };

static segment *shared;
static segment_publisher publisher;
static const segment_identity IDENTITY = {.origin = "boot", .device = 7, .inode = 8};

/* What another thread does in the pause that comes after so many others, once. */
static void *(*during_pause)(void *);
static unsigned pauses_before;
static bool slept;

static void on_pause(void) {
    void *(*run)(void *) = during_pause;
    pthread_t other;
    if (run == NULL) {
        return;
    }
    if (pauses_before > 0) {
        pauses_before--;
        return;
    }
    during_pause = NULL;
    slept = true;
    PROMISE(pthread_create(&other, NULL, run, NULL) == 0);
    PROMISE(pthread_join(other, NULL) == 0);
}

static void start(void) {
    free(shared);
    shared = calloc(1, SEGMENT_BYTES);
    PROMISE(shared != NULL);
    segment_format(shared, IDENTITY);
    PROMISE(segment_problem(shared, SEGMENT_BYTES, IDENTITY) == NULL);
    segment_adopt(&publisher, shared);
}

static uint64_t next_first;

static void fill(uint64_t size) {
    while (segment_publish(&publisher, 0, next_first, size, 0) == SEGMENT_OK) {
        /* A gap, so that no piece spans two ranges. */
        next_first += size + 1;
    }
}

static uint64_t take_one(void) {
    uint64_t number = 0;
    PROMISE(segment_take_one(shared, 0, &number) == SEGMENT_OK);
    return number;
}

/* The highest id that anybody but the sleeper has been given. */
static uint64_t given;

/* Take until every slot has been filled anew and the cursor has the offset that it had. */
static void *go_round(void *nothing) {
    uint64_t before = atomic_load(&shared->lanes[0].cursor);
    uint64_t after = word_of(sequence_of(before) + SEGMENT_SLOTS, offset_of(before));
    while (atomic_load(&shared->lanes[0].cursor) < after) {
        given = take_one();
        fill(SIZE);
    }
    PROMISE(atomic_load(&shared->lanes[0].cursor) == after);
    return nothing;
}

/* Take all, and fill every slot with a range that is shorter than the sleeper has seen. */
static void *shorten(void *nothing) {
    uint64_t number;
    while (segment_take_one(shared, 0, &number) == SEGMENT_OK) {
        given = number;
    }
    fill(1);
    return nothing;
}

/* Take one range, and put another into its slot. */
static void *replace(void *nothing) {
    uint64_t before = atomic_load(&shared->lanes[0].cursor);
    while (sequence_of(atomic_load(&shared->lanes[0].cursor)) == sequence_of(before)) {
        given = take_one();
    }
    fill(2);
    return nothing;
}

static void expect_next(uint64_t first) {
    if (first <= given) {
        fprintf(stderr, "duplicate: id %llu, after %llu\n", (unsigned long long)first,
                (unsigned long long)given);
        exit(DUPLICATE);
    }
    PROMISE(first <= given + 2);
}

/* Call one function, and let it sleep after some pauses; false when it has fewer. */
static bool check_sleeper(unsigned kind, uint64_t offset, void *(*meanwhile)(void *),
                          unsigned pauses) {
    static const segment_mode modes[] = {SEGMENT_ALL, SEGMENT_UP_TO, SEGMENT_BLOCK};
    segment_piece pieces[SEGMENT_SLOTS];
    segment_state state;
    size_t piece_count;
    uint64_t number;
    start();
    slept = false;
    next_first = 1;
    fill(SIZE);
    for (given = 0; given < offset; given++) {
        PROMISE(take_one() == given + 1);
    }
    during_pause = meanwhile;
    pauses_before = pauses;
    if (kind == 0) {
        PROMISE(segment_take_one(shared, 0, &number) == SEGMENT_OK);
        expect_next(number);
    } else if (kind <= 3 * SIZE) {
        segment_mode mode = modes[(kind - 1) / SIZE];
        uint64_t count = (kind - 1) % SIZE + 1;
        segment_status status = segment_take(shared, 0, count, mode, pieces, &piece_count);
        PROMISE(status == SEGMENT_OK || (status == SEGMENT_DRY && mode == SEGMENT_BLOCK &&
                                         meanwhile == shorten && count > 1));
        if (status == SEGMENT_OK && mode != SEGMENT_BLOCK) {
            expect_next(pieces[0].first);
        } else if (status == SEGMENT_OK) {
            PROMISE(pieces[0].first > given && pieces[0].count == count);
        }
    } else if (kind == 3 * SIZE + 1) {
        uint64_t up_to = given + 2;
        PROMISE(segment_skip_to(shared, 0, up_to, &number) == SEGMENT_OK);
        PROMISE(number <= 2);
        during_pause = NULL;
        number = take_one();
        PROMISE(number > given && number > up_to);
    } else if (kind == 3 * SIZE + 2) {
        PROMISE(segment_look(shared, 0, &state) == SEGMENT_OK);
        during_pause = NULL;
        for (size_t i = 1; i < state.piece_count; i++) {
            PROMISE(state.pieces[i - 1].first + state.pieces[i - 1].count < state.pieces[i].first);
        }
        PROMISE(state.pieces[0].first > given);
        PROMISE(state.pieces[state.piece_count - 1].first <= state.high);
        PROMISE(segment_problem(shared, SEGMENT_BYTES, IDENTITY) == NULL);
    } else {
        PROMISE(segment_drain(&publisher, 0, pieces, &piece_count) == SEGMENT_OK);
        during_pause = NULL;
        expect_next(pieces[0].first);
        PROMISE(segment_look(shared, 0, &state) == SEGMENT_OK && state.left == 0);
        PROMISE(state.high == pieces[0].first - 1);
    }
    during_pause = NULL;
    return slept;
}

static void check_sleepers(void) {
    static void *(*const meanwhile[])(void *) = {go_round, shorten, replace};
    for (unsigned kind = 0; kind <= 3 * SIZE + 3; kind++) {
        for (unsigned what = 0; what < sizeof meanwhile / sizeof *meanwhile; what++) {
            for (uint64_t offset = 0; offset < SIZE; offset++) {
                unsigned pauses = 0;
                while (check_sleeper(kind, offset, meanwhile[what], pauses)) {
                    pauses++;
                }
                PROMISE(pauses >= 3);
            }
        }
    }
}

static unsigned takes_in_pause;

static void *take_some(void *nothing) {
    for (unsigned i = 0; i < takes_in_pause; i++) {
        take_one();
    }
    return nothing;
}

static void check_marks(void) {
    enum { PUBLISHED = 10, LOW = 4 };
    for (takes_in_pause = 0; takes_in_pause <= PUBLISHED; takes_in_pause++) {
        for (unsigned used = 0; used <= SEGMENT_SLOTS; used++) {
            start();
            uint64_t first = 1;
            for (; first <= used; first++) {
                PROMISE(segment_publish(&publisher, 0, first, 1, 0) == SEGMENT_OK);
                take_one();
            }
            PROMISE(atomic_load(&shared->wake) == 0);
            during_pause = take_some;
            PROMISE(segment_publish(&publisher, 0, first, PUBLISHED, LOW) == SEGMENT_OK);
            for (unsigned left = PUBLISHED - takes_in_pause; left > 0; left--) {
                PROMISE(atomic_load(&shared->wake) == (left < LOW));
                take_one();
            }
            PROMISE(atomic_load(&shared->wake) == 1);
        }
    }
    /* A taker that died before it could tell: the next one tells, though there is nothing for it.
     */
    for (unsigned kind = 0; kind < 2; kind++) {
        uint64_t number;
        segment_piece pieces[SEGMENT_SLOTS];
        size_t piece_count;
        start();
        PROMISE(segment_publish(&publisher, 0, 1, PUBLISHED, LOW) == SEGMENT_OK);
        atomic_store(&shared->lanes[0].cursor, word_of(1, 0));
        PROMISE((kind ? segment_take_one(shared, 0, &number)
                      : segment_take(shared, 0, 1, SEGMENT_ALL, pieces, &piece_count)) ==
                SEGMENT_DRY);
        PROMISE(atomic_load(&shared->wake) == 1);
    }
}

static void check_exhausted(void) {
    start();
    atomic_store(&shared->lanes[0].cursor, word_of(UINT32_MAX - 2, 0));
    atomic_store(&shared->lanes[0].head, UINT32_MAX - 2);
    segment_adopt(&publisher, shared);
    PROMISE(segment_problem(shared, SEGMENT_BYTES, IDENTITY) == NULL);
    PROMISE(segment_publish(&publisher, 0, 1, 2, 1) == SEGMENT_OK);
    PROMISE(segment_publish(&publisher, 0, 3, SEGMENT_MAX_SIZE, 1) == SEGMENT_OK);
    PROMISE(segment_publish(&publisher, 0, INT64_MAX, 1, 1) == SEGMENT_EXHAUSTED);
    PROMISE(segment_problem(shared, SEGMENT_BYTES, IDENTITY) == NULL);
    PROMISE(take_one() == 1 && take_one() == 2 && take_one() == 3);
    uint64_t number, dropped;
    PROMISE(segment_skip_to(shared, 0, SEGMENT_MAX_SIZE + UINT64_C(1), &dropped) == SEGMENT_OK);
    PROMISE(dropped == SEGMENT_MAX_SIZE - UINT64_C(2));
    PROMISE(take_one() == SEGMENT_MAX_SIZE + UINT64_C(2));
    PROMISE(segment_take_one(shared, 0, &number) == SEGMENT_DRY);
    PROMISE(atomic_load(&shared->lanes[0].cursor) == word_of(UINT32_MAX, 0));
    PROMISE(segment_publish(&publisher, 0, INT64_MAX, 1, 1) == SEGMENT_EXHAUSTED);
    PROMISE(segment_check(&publisher, 0) == SEGMENT_OK);
    /* A cursor beyond its head would make sequences wrap, over slots that look sound. */
    start();
    next_first = 1;
    fill(SIZE);
    atomic_store(&shared->lanes[0].cursor, word_of(UINT32_MAX, 0));
    atomic_store(&shared->lanes[0].head, 5);
    PROMISE(segment_take_one(shared, 0, &number) == SEGMENT_CORRUPT);
    PROMISE(segment_problem(shared, SEGMENT_BYTES, IDENTITY) != NULL);
}

static uint64_t random_state = UINT64_C(0x2545f4914f6cdd1d);

static uint64_t random_below(uint64_t end) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % end;
}

static void damage(void) {
    unsigned char *bytes = (unsigned char *)shared;
    for (uint64_t times = 1 + random_below(4); times > 0; times--) {
        segment_lane *lane = &shared->lanes[random_below(SEGMENT_LANES)];
        const uint64_t values[] = {0,
                                   1,
                                   UINT32_MAX,
                                   UINT64_C(1) << 32,
                                   UINT64_MAX,
                                   INT64_MAX,
                                   random_state,
                                   random_below(1000),
                                   DISARMED,
                                   word_of(64, 0),
                                   word_of(5, 9)};
        uint64_t value = values[random_below(sizeof values / sizeof *values)];
        segment_slot *slot = &lane->slots[random_below(SEGMENT_SLOTS)];
        switch (random_below(8)) {
        case 0:
            bytes[random_below(SEGMENT_BYTES)] ^= (unsigned char)(1u << random_below(8));
            break;
        case 1:
            memcpy(bytes + 8 * random_below(SEGMENT_BYTES / 8), &value, sizeof value);
            break;
        case 2:
            atomic_store(&lane->cursor, atomic_load(&lane->cursor) ^ value);
            break;
        case 3:
            atomic_fetch_add(&lane->head, (uint32_t)random_below(200) - 100);
            break;
        case 4:
            atomic_store(&slot->first, value);
            break;
        case 5:
            atomic_store(&slot->size, value);
            break;
        case 6:
            atomic_store(&lane->high, value);
            break;
        default:
            atomic_store(&lane->low_word, value);
        }
    }
}

static void expect_sound(const segment_piece *pieces, size_t piece_count, uint64_t count) {
    PROMISE(piece_count <= SEGMENT_SLOTS);
    for (size_t i = 0; i < piece_count; i++) {
        PROMISE(pieces[i].first >= 1 && pieces[i].first <= SEGMENT_MAX_ID && pieces[i].count >= 1);
        PROMISE(pieces[i].count - 1 <= SEGMENT_MAX_ID - pieces[i].first);
        PROMISE(pieces[i].count <= count);
        count -= pieces[i].count;
    }
}

static void call(unsigned lane) {
    segment_piece pieces[SEGMENT_SLOTS];
    segment_state state;
    size_t piece_count = 0;
    uint64_t number = 1;
    uint64_t count = 1 + random_below(CALL_MAX);
    if (segment_take_one(shared, lane, &number) == SEGMENT_OK) {
        PROMISE(number >= 1 && number <= SEGMENT_MAX_ID);
    }
    for (segment_mode mode = SEGMENT_ALL; mode <= SEGMENT_BLOCK; mode++) {
        if (segment_take(shared, lane, count, mode, pieces, &piece_count) == SEGMENT_OK) {
            expect_sound(pieces, piece_count, count);
        }
    }
    if (segment_look(shared, lane, &state) == SEGMENT_OK) {
        expect_sound(state.pieces, state.piece_count, UINT64_MAX);
    }
    segment_skip_to(shared, lane, number + count, &count);
    segment_publish(&publisher, lane, random_state >> random_below(64), count, random_state);
    if (segment_drain(&publisher, lane, pieces, &piece_count) == SEGMENT_OK) {
        expect_sound(pieces, piece_count, UINT64_MAX);
    }
    segment_publish(&publisher, lane, number + 1, 1, 1);
}

static void check_corrupt(unsigned long cases) {
    unsigned long told = 0;
    for (unsigned long i = 0; i < cases; i++) {
        start();
        for (unsigned lane = 0; lane < SEGMENT_LANES; lane++) {
            uint64_t first = 1, number;
            for (uint64_t ranges = random_below(70); ranges > 0; ranges--) {
                uint64_t size = 1 + random_below(9);
                first += random_below(2);
                if (segment_publish(&publisher, lane, first, size, size) == SEGMENT_OK) {
                    first += size;
                }
                for (uint64_t takes = random_below(9); takes > 0; takes--) {
                    segment_take_one(shared, lane, &number);
                }
            }
        }
        PROMISE(segment_problem(shared, SEGMENT_BYTES, IDENTITY) == NULL);
        damage();
        told += segment_problem(shared, SEGMENT_BYTES, IDENTITY) != NULL;
        /* Also by one who had it open before, and by the next publisher if it came that far. */
        if (random_below(2)) {
            segment_adopt(&publisher, shared);
        }
        for (unsigned lane = 0; lane < SEGMENT_LANES; lane++) {
            call(lane);
        }
        segment_close(&publisher);
    }
    PROMISE(told > cases / 10);
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "sleepers") == 0) {
        check_sleepers();
    } else if (strcmp(what, "marks") == 0) {
        check_marks();
    } else if (strcmp(what, "exhausted") == 0) {
        check_exhausted();
    } else if (strcmp(what, "corrupt") == 0 && argc == 3) {
        check_corrupt(strtoul(argv[2], NULL, 10));
    } else {
        return 2;
    }
    free(shared);
    return 0;
}
