/* Checks of spans.c without Python, to be built under sanitizers; the first argument says which.
 *
 *   mutations N   N changes of two snapshots: no byte outside is read, whatever comes of it, and
 *                 rows lie in their texts
 *   allocations   every allocation of a call fails once
 */
#include "spans.h"

#include "driver.h"

static const char SAMPLE[] =
    "{\"type\":\"item\",\"id\":\"Q1\",\"labels\":{\"en\":{\"language\":\"en\",\"value\":"
    "\"caf\xc3\xa9 \\\"x\"},\"de\":{\"value\":\"b\",\"language\":\"de\"}},"
    "\"descriptions\":[],\"aliases\":{\"en\":[{\"language\":\"en\",\"value\":\"\xf0\x9f\x98\x80\"}]"
    "},"
    "\"claims\":{\"P1\":[{\"id\":\"Q1$a\",\"rank\":\"normal\",\"mainsnak\":{\"snaktype\":\"value\","
    "\"property\":\"P1\",\"datatype\":\"external-id\",\"datavalue\":{\"value\":{\"time\":\"+1\"},"
    "\"type\":\"time\"}},\"qualifiers\":{\"P2\":[{\"snaktype\":\"novalue\"}]},\"references\":[{"
    "\"hash\":\"ab0\",\"snaks\":{\"P3\":[{\"snaktype\":\"value\",\"datavalue\":{\"type\":"
    "\"globecoordinate\",\"value\":{\"latitude\":-1.5e-3,\"longitude\":0}}}]}}]}],\"P4\":[]},"
    "\"sitelinks\":{\"enwiki\":{\"site\":\"enwiki\",\"title\":\"A\",\"badges\":[]}},"
    "\"lastrevid\":17,\"x\":[true,false,null,[],{}]}";

static spans_text copied(const char *bytes, size_t size_bytes) {
    return (spans_text){copy_of(bytes, size_bytes), size_bytes};
}

static void drop(spans_text text) { free((void *)(uintptr_t)text.start); }

/* Return the sample with some bytes changed, and maybe cut. */
static spans_text changed(void) {
    static const char pieces[] = "{}[],:\"\\0 \xff\xc3tPue-";
    char text[sizeof SAMPLE];
    memcpy(text, SAMPLE, sizeof SAMPLE);
    size_t size_bytes = sizeof SAMPLE - 1;
    for (uint64_t i = random_below(4); i > 0; i--) {
        const size_t at = random_below(size_bytes);
        switch (random_below(4)) {
        case 0:
            memmove(text + at, text + at + 1, size_bytes - at - 1);
            size_bytes--;
            break;
        case 1:
            text[at] = SAMPLE[random_below(sizeof SAMPLE - 1)];
            break;
        default:
            text[at] = pieces[random_below(sizeof pieces - 1)];
        }
    }
    if (random_below(8) == 0) {
        size_bytes = random_below(size_bytes + 1);
    }
    return copied(text, size_bytes);
}

/* Check that rows name members of their text and are in order. */
static void check_rows(const spans_result *result, const spans_text texts[2]) {
    CHECK(result->ends[0] <= result->ends[1] && result->ends[1] <= result->ends[2]);
    CHECK(result->ends[2] == result->count);
    for (size_t i = 0; i < result->count; i++) {
        const spans_row *const row = &result->rows[i];
        const spans_text text = texts[i >= result->ends[1]];
        const bool first = i == 0 || i == result->ends[0] || i == result->ends[1];
        CHECK(row->map < SPANS_NODE && row->unchanged == (i < result->ends[0]));
        CHECK((size_t)row->start + row->size_bytes < text.size_bytes);
        CHECK(row->key_bytes + 3 < row->size_bytes && text.start[row->start] == '"');
        CHECK(text.start[row->start + row->key_bytes + 2] == ':');
        CHECK(first || row[-1].start + row[-1].size_bytes < row->start);
    }
}

static void check_mutations(long count) {
    long usual = 0;
    for (long i = 0; i < count; i++) {
        const spans_text texts[2] = {changed(), changed()};
        spans_result result;
        const spans_status status = spans_compare(texts, &result);
        CHECK(status == SPANS_OK || status == SPANS_UNUSUAL);
        if (status == SPANS_OK) {
            usual++;
            check_rows(&result, texts);
        } else {
            CHECK(result.rows == NULL && result.count == 0);
        }
        free(result.rows);
        drop(texts[0]);
        drop(texts[1]);
    }
    CHECK(usual > count / 20 && usual < count);
}

static void check_allocations(void) {
    const spans_text text = copied(SAMPLE, sizeof SAMPLE - 1);
    const spans_text texts[2] = {text, text};
    long failed = 0;
    for (;; failed++) {
        spans_result result;
        allocations_left = failed;
        const spans_status status = spans_compare(texts, &result);
        const bool all = allocations_left >= 0;
        allocations_left = -1;
        if (status == SPANS_OK) {
            CHECK(all);
            CHECK(result.ends[0] == 2 && result.rows[0].statements == 1);
            free(result.rows);
            break;
        }
        CHECK(status == SPANS_NO_MEMORY);
        CHECK(result.rows == NULL && result.count == 0);
    }
    CHECK(failed >= 4);
    drop(text);
}

int main(int count, char **arguments) {
    if (count == 3 && strcmp(arguments[1], "mutations") == 0) {
        check_mutations(strtol(arguments[2], NULL, 10));
    } else if (count == 2 && strcmp(arguments[1], "allocations") == 0) {
        check_allocations();
    } else {
        return 2;
    }
    return 0;
}
