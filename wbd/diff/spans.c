/* Parts of two snapshots that are not alike; spans.h has the contract. */
#include "spans.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "spans_reader.h"

_Static_assert(sizeof(size_t) == 8, "sizes are computed without looking for overflow");

/* Keys of one kind -> their numbers. A slot is 1 + number; 0 is a free one. Neither table grows. */
typedef struct {
    uint32_t *slots;
    size_t mask;
    size_t probes_left;
} table;

typedef struct {
    const uint8_t *start;
    uint32_t size_bytes;
    uint32_t map;
} table_key;

static bool start_table(table *t, size_t keys) {
    size_t slots = 16;
    while (slots < 2 * keys) {
        slots *= 2;
    }
    t->slots = calloc(slots, sizeof *t->slots);
    t->mask = slots - 1;
    t->probes_left = SPANS_PROBES_MAX * (keys + 64);
    return t->slots != NULL;
}

static uint32_t hash_of(const table_key *key) {
    uint64_t hash = (UINT64_C(0x9e3779b97f4a7c15) + key->map) * (key->size_bytes + 1);
    const uint8_t *next = key->start;
    size_t left = key->size_bytes;
    uint64_t word = 0;
    for (; left >= sizeof word; left -= sizeof word, next += sizeof word) {
        memcpy(&word, next, sizeof word);
        hash = (hash ^ word) * UINT64_C(0xd6e8feb86659fd93);
        hash ^= hash >> 32;
    }
    word = 0;
    memcpy(&word, next, left);
    hash = (hash ^ word) * UINT64_C(0xd6e8feb86659fd93);
    return (uint32_t)(hash >> 32) & SPANS_HASH_MASK;
}

typedef table_key (*key_lookup)(const void *keys, uint32_t number);

/* Find a key's slot, or the free one where it belongs; NULL when it takes too long. */
static uint32_t *find(table *t, const table_key *key, key_lookup lookup, const void *keys) {
    for (size_t at = hash_of(key) & t->mask;; at = (at + 1) & t->mask) {
        if (t->slots[at] == 0) {
            return &t->slots[at];
        }
        const table_key known = lookup(keys, t->slots[at] - 1);
        if (known.map == key->map && known.size_bytes == key->size_bytes &&
            memcmp(known.start, key->start, key->size_bytes) == 0) {
            return &t->slots[at];
        }
        if (t->probes_left-- == 0) {
            return NULL;
        }
    }
}

/* The old side's parts, and behind them the new side's. */
static table_key part_key(const void *keys, uint32_t number) {
    const reader *const sides = keys;
    const bool is_old = number < sides[0].count;
    const reader *const side = &sides[!is_old];
    const spans_part *const part = &side->parts[is_old ? number : number - sides[0].count];
    return (table_key){side->base + part->key, part->key_bytes, part->map};
}

static table_key id_key(const void *keys, uint32_t number) {
    const reader *const side = keys;
    return (table_key){side->base + side->ids[number].start, side->ids[number].size_bytes, 0};
}

static bool same_value(const reader *old_side, const reader *new_side, const spans_part *old_part,
                       const spans_part *new_part) {
    return old_part->value_bytes == new_part->value_bytes &&
           memcmp(old_side->base + old_part->value, new_side->base + new_part->value,
                  old_part->value_bytes) == 0;
}

/* Find each part on the other side, and say which are alike. */
static spans_status match_parts(reader sides[2]) {
    reader *const old_side = &sides[0];
    reader *const new_side = &sides[1];
    spans_status status = SPANS_UNUSUAL;
    table t;
    if (!start_table(&t, old_side->count + new_side->count)) {
        return SPANS_NO_MEMORY;
    }
    for (size_t i = 0; i < old_side->count; i++) {
        const table_key key = part_key(sides, (uint32_t)i);
        uint32_t *const slot = find(&t, &key, part_key, sides);
        if (slot == NULL || *slot != 0) {
            goto fail;
        }
        *slot = (uint32_t)i + 1;
    }
    for (size_t i = 0; i < new_side->count; i++) {
        spans_part *const part = &new_side->parts[i];
        if (part->match == 0) {
            const uint32_t number = (uint32_t)(old_side->count + i);
            const table_key key = part_key(sides, number);
            uint32_t *const slot = find(&t, &key, part_key, sides);
            if (slot == NULL || *slot > old_side->count) {
                goto fail;
            }
            if (*slot == 0) {
                *slot = number + 1;
                continue;
            }
            part->match = *slot;
            part->alike = same_value(old_side, new_side, &old_side->parts[*slot - 1], part);
        }
        spans_part *const other = &old_side->parts[part->match - 1];
        if (other->match != 0) {
            goto fail;
        }
        other->match = (uint32_t)i + 1;
        other->alike = part->alike;
    }
    status = SPANS_OK;

fail:
    free(t.slots);
    return status;
}

/* Check that ids are unique on the old side, and that none of the new side's other groups is in one
 * that is alike. */
static spans_status match_ids(const reader sides[2]) {
    const reader *const old_side = &sides[0];
    const reader *const new_side = &sides[1];
    spans_status status = SPANS_UNUSUAL;
    table t;
    if (!start_table(&t, old_side->id_count)) {
        return SPANS_NO_MEMORY;
    }
    t.probes_left += SPANS_PROBES_MAX * new_side->id_count;
    for (size_t i = 0; i < old_side->id_count; i++) {
        const table_key key = id_key(old_side, (uint32_t)i);
        uint32_t *const slot = find(&t, &key, id_key, old_side);
        if (slot == NULL || *slot != 0) {
            goto fail;
        }
        *slot = (uint32_t)i + 1;
    }
    for (size_t i = 0; i < new_side->id_count; i++) {
        if (new_side->parts[new_side->ids[i].part].alike) {
            continue;
        }
        const table_key key = id_key(new_side, (uint32_t)i);
        const uint32_t *const slot = find(&t, &key, id_key, old_side);
        if (slot == NULL || (*slot != 0 && old_side->parts[old_side->ids[*slot - 1].part].alike)) {
            goto fail;
        }
    }
    status = SPANS_OK;

fail:
    free(t.slots);
    return status;
}

/* Of sitelinks that differ somewhere none is alike. */
static void join_sitelinks(reader sides[2]) {
    bool all = true;
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < sides[side].count; i++) {
            const spans_part *const part = &sides[side].parts[i];
            all = all && (part->map != SPANS_SITELINKS || part->alike);
        }
    }
    for (int side = 0; side < 2 && !all; side++) {
        for (size_t i = 0; i < sides[side].count; i++) {
            spans_part *const part = &sides[side].parts[i];
            part->alike = part->alike && part->map != SPANS_SITELINKS;
        }
    }
}

/* Write bytes, or where there is no target count them. */
static void put(uint8_t **target, size_t *written_bytes, const void *bytes, size_t size_bytes) {
    if (*target != NULL) {
        memcpy(*target, bytes, size_bytes);
        *target += size_bytes;
    }
    *written_bytes += size_bytes;
}

static size_t write_side(const spans_part *parts, size_t count, const uint8_t *base,
                         uint8_t *target) {
    size_t written_bytes = 0;
    bool any = false;
    put(&target, &written_bytes, "{", 1);
    for (unsigned map = 0; map <= SPANS_TOP; map++) {
        bool open = map == SPANS_TOP;
        for (size_t i = 0; i < count; i++) {
            const spans_part *const part = &parts[i];
            if (part->map != map || (part->alike && map != SPANS_TOP)) {
                continue;
            }
            if (any) {
                put(&target, &written_bytes, ",", 1);
            }
            if (!open) {
                put(&target, &written_bytes, "\"", 1);
                put(&target, &written_bytes, spans_map_names[map], strlen(spans_map_names[map]));
                put(&target, &written_bytes, "\":{", 3);
                open = true;
            }
            any = true;
            put(&target, &written_bytes, base + part->key - 1, part->key_bytes + 2);
            put(&target, &written_bytes, ":", 1);
            put(&target, &written_bytes, base + part->value, part->value_bytes);
        }
        if (open && map != SPANS_TOP) {
            put(&target, &written_bytes, "}", 1);
        }
    }
    put(&target, &written_bytes, "}", 1);
    return written_bytes;
}

void spans_write(const spans_side *side, spans_text text, uint8_t *target) {
    write_side(side->parts, side->count, text.start, target);
}

static void count_alike(const spans_side *side, spans_result *result) {
    for (size_t i = 0; i < side->count; i++) {
        const spans_part *const part = &side->parts[i];
        if (!part->alike || part->map == SPANS_TOP) {
            continue;
        }
        if (part->map == SPANS_CLAIMS) {
            result->groups++;
            result->statements += part->statements;
        } else if (part->map == SPANS_SITELINKS) {
            result->sitelinks++;
        } else {
            result->terms++;
        }
    }
}

static reader reader_of(spans_text text) {
    return (reader){.base = text.start, .at = text.start, .end = text.start + text.size_bytes};
}

spans_status spans_compare(spans_text old_text, spans_text new_text, spans_result *result) {
    reader sides[2] = {reader_of(old_text), reader_of(new_text)};
    spans_status status = SPANS_UNUSUAL;
    *result = (spans_result){0};
    if (old_text.size_bytes > SPANS_TEXT_BYTES_MAX || new_text.size_bytes > SPANS_TEXT_BYTES_MAX ||
        !spans_read(&sides[0])) {
        goto fail;
    }
    sides[1].other_base = old_text.start;
    sides[1].others = sides[0].parts;
    sides[1].other_count = sides[0].count;
    if (!spans_read(&sides[1])) {
        goto fail;
    }
    status = match_parts(sides);
    if (status == SPANS_OK) {
        join_sitelinks(sides);
        status = match_ids(sides);
    }
    if (status == SPANS_OK) {
        result->old_side = (spans_side){sides[0].parts, sides[0].count, 0};
        result->new_side = (spans_side){sides[1].parts, sides[1].count, 0};
        sides[0].parts = sides[1].parts = NULL;
        result->old_side.written_bytes =
            write_side(result->old_side.parts, result->old_side.count, old_text.start, NULL);
        result->new_side.written_bytes =
            write_side(result->new_side.parts, result->new_side.count, new_text.start, NULL);
        count_alike(&result->old_side, result);
    }

fail:
    if (sides[0].no_memory || sides[1].no_memory) {
        status = SPANS_NO_MEMORY;
    }
    for (int side = 0; side < 2; side++) {
        free(sides[side].parts);
        free(sides[side].ids);
    }
    return status;
}

void spans_free(spans_result *result) {
    free(result->old_side.parts);
    free(result->new_side.parts);
    *result = (spans_result){0};
}
