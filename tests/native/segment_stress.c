/* Threads on one segment: a publisher that keeps it full, lets it run dry, takes back, and dies and
 * comes again; takers of every kind, which fall asleep between reading and taking. Every id is
 * written down. Then:
 *
 *   - no id was taken twice, and every one had been published;
 *   - taken + skipped + returned + left == published;
 *   - ids left in order: each larger than all that had been taken before its call began.
 *
 * segment_stress SEED ROUNDS; ends earlier when time is up. Exit code 3 says that an id came twice,
 * 1 that another promise was broken.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

static void on_pause(void);
#define SEGMENT_PAUSE() on_pause()
#include "segment.c"
#include "segment_publisher.c"

enum {
    TAKERS = 3,
    LANE = 2,
    RANGE_MAX = 7,
    TAKE_MAX = 20,
    IDS_MAX = 1 << 22,
    DUPLICATE = 3,
    SECONDS = 4,
};

static const segment_identity IDENTITY = {.origin = "boot"};
static segment *shared;
static atomic_bool stop;
/* The highest id of all calls that are over. */
static _Atomic uint64_t given;
static atomic_uint broken;
/* By id: whether it was published, and how often it was taken. */
static unsigned char published[IDS_MAX], taken_times[IDS_MAX];

#define EXPECT(promise)                                                                            \
    do {                                                                                           \
        if (!(promise) && atomic_fetch_add(&broken, 1) < 20) {                                     \
            fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #promise);                  \
        }                                                                                          \
    } while (0)

static _Thread_local uint64_t random_state;

static uint64_t random_below(uint64_t end) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % end;
}

/* Most pauses are none, some let others in front, and a few last until the ring has gone round. */
static void on_pause(void) {
    uint64_t kind = random_below(1000);
    if (kind < 5) {
        nanosleep(&(struct timespec){.tv_nsec = (long)(1 + random_below(2000)) * 1000}, NULL);
    } else if (kind < 50) {
        sched_yield();
    }
}

typedef struct {
    uint64_t seed;
    uint32_t *ids;
    size_t count;
    uint64_t last;
} taker;

/* Write ids down. They come in order, and after all that were given before the call. */
static void note(taker *self, const segment_piece *pieces, size_t piece_count, uint64_t before) {
    for (size_t i = 0; i < piece_count; i++) {
        EXPECT(pieces[i].first > before && pieces[i].first > self->last);
        for (uint64_t j = 0; j < pieces[i].count && self->count < IDS_MAX; j++) {
            self->ids[self->count++] = (uint32_t)(pieces[i].first + j);
        }
        self->last = pieces[i].first + pieces[i].count - 1;
    }
    uint64_t high = atomic_load(&given);
    while (high < self->last && !atomic_compare_exchange_weak(&given, &high, self->last)) {
    }
}

static void *take(void *argument) {
    taker *self = argument;
    segment_piece pieces[SEGMENT_SLOTS];
    segment_state state;
    random_state = self->seed;
    while (!atomic_load(&stop)) {
        uint64_t count = 1 + random_below(TAKE_MAX);
        uint64_t dropped;
        size_t piece_count = 0;
        uint64_t before = atomic_load(&given);
        segment_status status;
        switch (random_below(10)) {
        case 0:
        case 1:
            status = segment_take(shared, LANE, count, SEGMENT_ALL, pieces, &piece_count);
            EXPECT(status != SEGMENT_OK || piece_count <= count);
            break;
        case 2:
            status = segment_take(shared, LANE, count, SEGMENT_UP_TO, pieces, &piece_count);
            EXPECT(status != SEGMENT_OK || piece_count > 0);
            break;
        case 3:
            count = 1 + count / 3;
            status = segment_take(shared, LANE, count, SEGMENT_BLOCK, pieces, &piece_count);
            EXPECT(status != SEGMENT_OK || (piece_count == 1 && pieces[0].count == count));
            break;
        case 4:
            status = segment_look(shared, LANE, &state);
            for (size_t i = 1; status == SEGMENT_OK && i < state.piece_count; i++) {
                EXPECT(state.pieces[i - 1].first + state.pieces[i - 1].count <
                       state.pieces[i].first);
            }
            if (status == SEGMENT_OK && state.piece_count > 0 && random_below(20) == 0) {
                status = segment_skip_to(shared, LANE, state.pieces[0].first + 3, &dropped);
            }
            break;
        default:
            status = segment_take_one(shared, LANE, &pieces[0].first);
            pieces[0].count = 1;
            piece_count = status == SEGMENT_OK;
        }
        EXPECT(status == SEGMENT_OK || status == SEGMENT_DRY);
        if (status == SEGMENT_CORRUPT) {
            atomic_store(&stop, true);
        }
        note(self, pieces, piece_count, before);
        if (status == SEGMENT_DRY) {
            sched_yield();
        }
    }
    return NULL;
}

/* What is under way in the lane; nothing when the ring cannot be read, which ends the run. */
static segment_state look(void) {
    segment_state state;
    segment_status status = segment_look(shared, LANE, &state);
    EXPECT(status == SEGMENT_OK);
    if (status != SEGMENT_OK) {
        state = (segment_state){0};
        atomic_store(&stop, true);
    }
    return state;
}

/* Publish one range, of which the id before may be left out; false when the ring is full. */
static bool publish(segment_publisher *publisher, uint64_t *first) {
    uint64_t at = *first + random_below(2);
    uint64_t size = 1 + random_below(RANGE_MAX);
    if (at + size >= IDS_MAX) {
        atomic_store(&stop, true);
        return false;
    }
    for (uint64_t i = 0; i < size; i++) {
        published[at + i] = 1;
    }
    segment_status status = segment_publish(publisher, LANE, at, size, 1 + random_below(TAKE_MAX));
    EXPECT(status == SEGMENT_OK || status == SEGMENT_FULL);
    if (status == SEGMENT_OK) {
        *first = at + size;
    } else {
        for (uint64_t i = 0; i < size; i++) {
            published[at + i] = 0;
        }
    }
    return status == SEGMENT_OK;
}

static void publish_rounds(unsigned long rounds) {
    segment_publisher publisher;
    segment_piece pieces[SEGMENT_SLOTS];
    size_t piece_count;
    uint64_t first = 1;
    time_t end = time(NULL) + SECONDS;
    segment_adopt(&publisher, shared);
    for (unsigned long round = 0; round < rounds && time(NULL) < end; round++) {
        while (!atomic_load(&stop) && publish(&publisher, &first)) {
        }
        for (uint64_t more = random_below(500); more > 0 && !atomic_load(&stop); more--) {
            if (!publish(&publisher, &first)) {
                sched_yield();
            }
        }
        EXPECT(segment_check(&publisher, LANE) == SEGMENT_OK);
        switch (random_below(3)) {
        case 0:
            /* A successor takes over, while takers go on. */
            EXPECT(segment_problem(shared, SEGMENT_BYTES, IDENTITY) == NULL);
            segment_adopt(&publisher, shared);
            break;
        case 1:
            /* What is taken back is published again. */
            EXPECT(segment_drain(&publisher, LANE, pieces, &piece_count) == SEGMENT_OK);
            for (size_t i = 0; i < piece_count; i++) {
                for (uint64_t j = 0; j < pieces[i].count; j++) {
                    published[pieces[i].first + j] = 0;
                }
            }
            first = look().high + 1;
            break;
        default:
            while (!atomic_load(&stop) && look().left > 0) {
                sched_yield();
            }
        }
        if (atomic_load(&stop)) {
            return;
        }
    }
}

static uint64_t count_duplicates(const taker *takers) {
    uint64_t duplicates = 0;
    for (size_t i = 0; i < TAKERS; i++) {
        for (size_t j = 0; j < takers[i].count; j++) {
            uint32_t id = takers[i].ids[j];
            EXPECT(id < IDS_MAX && published[id]);
            if (id < IDS_MAX && taken_times[id]++ > 0 && duplicates++ < 5) {
                fprintf(stderr, "duplicate: id %" PRIu32 "\n", id);
            }
        }
    }
    return duplicates;
}

int main(int argc, char **argv) {
    pthread_t threads[TAKERS];
    taker takers[TAKERS] = {0};
    uint64_t taken = 0;
    if (argc != 3) {
        return 2;
    }
    random_state = strtoull(argv[1], NULL, 10) * 2 + 1;
    shared = calloc(1, SEGMENT_BYTES);
    if (shared == NULL) {
        return 2;
    }
    segment_format(shared, IDENTITY);
    for (size_t i = 0; i < TAKERS; i++) {
        takers[i].seed = random_state * (i + 2) | 1;
        takers[i].ids = calloc(IDS_MAX, sizeof *takers[i].ids);
        if (takers[i].ids == NULL || pthread_create(&threads[i], NULL, take, &takers[i]) != 0) {
            return 2;
        }
    }
    publish_rounds(strtoul(argv[2], NULL, 10));
    atomic_store(&stop, true);
    for (size_t i = 0; i < TAKERS; i++) {
        pthread_join(threads[i], NULL);
        taken += takers[i].count;
    }
    segment_state end = look();
    EXPECT(taken + end.skipped + end.returned + end.left == end.added);
    uint64_t duplicates = count_duplicates(takers);
    printf("%" PRIu64 " ids taken, %" PRIu64 " skipped, %" PRIu64 " returned, %" PRIu64
           " races lost, %" PRIu32 " ranges, %" PRIu64 " duplicates\n",
           taken, end.skipped, end.returned, end.contended, atomic_load(&shared->lanes[LANE].head),
           duplicates);
    for (size_t i = 0; i < TAKERS; i++) {
        free(takers[i].ids);
    }
    free(shared);
    return duplicates ? DUPLICATE : atomic_load(&broken) ? 1 : 0;
}
