/* Checks of turtle.c without Python, to be built under sanitizers; the first argument says which.
 *
 *   mutations N   N changes of some lines and prefixes: no byte outside is read or written
 *   allocations   every allocation of a call fails once
 */
#include "turtle.h"

#include "driver.h"

static const char *const LINES[] = {
    "<http://a.test/s> <http://a.test/p> \"x\" .",
    "<http://a.test/s> <http://a.test/p> \"x\"^^<http://b.test#d> .",
    "<http://a.test/s> <http://a.test/q> <u:> .",
    "<http://a.test/s> <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> _:b .",
    "<u:> <u:> <u:> .",
    "_:a <http://b.test#e> \"> ^^\" .",
};
/* The last two are longer than what they stand for, and known twice. */
static const char *const PREFIXES[][2] = {
    {"a", "http://a.test/"},
    {"very-long-name", "u:"},
    {"very-long-name-too", ""},
    {"a2", "http://a.test/"},
};

enum { LINE_COUNT = 6, PREFIX_COUNT = 4 };

static const char WHOLE[] = "@prefix a: <http://a.test/> .\n"
                            "\n"
                            "a:s a:p \"x\", \"x\"^^<http://b.test#d> ;\n"
                            "\ta:q <u:> ;\n"
                            "\ta _:b .\n"
                            "\n"
                            "<u:> <u:> <u:> .\n"
                            "\n"
                            "_:a <http://b.test#e> \"> ^^\" .\n";

static turtle_text copied(const char *bytes, size_t size_bytes) {
    return (turtle_text){copy_of(bytes, size_bytes), size_bytes};
}

/* Return a text with some bytes changed, and maybe cut. */
static turtle_text changed(const char *text) {
    static const char pieces[] = "<>\"^ .:_/#-a\xc3";
    char copy[128];
    size_t size_bytes = strlen(text);
    memcpy(copy, text, size_bytes);
    if (size_bytes > 0 && random_below(4) == 0) {
        copy[random_below(size_bytes)] = pieces[random_below(sizeof pieces - 1)];
    }
    if (random_below(64) == 0) {
        size_bytes = random_below(size_bytes + 1);
    }
    return copied(copy, size_bytes);
}

static void check_mutations(long count) {
    long usual = 0;
    for (long i = 0; i < count; i++) {
        turtle_text lines[LINE_COUNT];
        turtle_prefix prefixes[PREFIX_COUNT];
        size_t line_count = 0;
        for (size_t j = 0; j < LINE_COUNT; j++) {
            if (random_below(2) == 0) {
                lines[line_count++] = changed(LINES[j]);
            }
        }
        for (size_t j = 0; j < PREFIX_COUNT; j++) {
            prefixes[j].name = changed(PREFIXES[j][0]);
            prefixes[j].space = changed(PREFIXES[j][1]);
        }
        const size_t prefix_count = random_below(PREFIX_COUNT + 1);
        turtle_result result;
        const turtle_status status =
            turtle_write(lines, line_count, prefixes, prefix_count, &result);
        CHECK(status == TURTLE_OK || status == TURTLE_UNUSUAL);
        if (status == TURTLE_OK) {
            usual++;
            CHECK(line_count == 0 ? result.size_bytes == 0
                                  : result.text[result.size_bytes - 1] == '\n');
        } else {
            CHECK(result.memory == NULL);
        }
        turtle_free(&result);
        turtle_free(&result);
        for (size_t j = 0; j < line_count; j++) {
            free((void *)(uintptr_t)lines[j].start);
        }
        for (size_t j = 0; j < PREFIX_COUNT; j++) {
            free((void *)(uintptr_t)prefixes[j].name.start);
            free((void *)(uintptr_t)prefixes[j].space.start);
        }
    }
    CHECK(usual > count / 20 && usual < count);
}

static void check_allocations(void) {
    turtle_text lines[LINE_COUNT];
    turtle_prefix prefixes[PREFIX_COUNT];
    for (size_t i = 0; i < LINE_COUNT; i++) {
        lines[i] = (turtle_text){(const uint8_t *)LINES[i], strlen(LINES[i])};
    }
    for (size_t i = 0; i < PREFIX_COUNT; i++) {
        const char *const *const prefix = PREFIXES[i];
        prefixes[i].name = (turtle_text){(const uint8_t *)prefix[0], strlen(prefix[0])};
        prefixes[i].space = (turtle_text){(const uint8_t *)prefix[1], strlen(prefix[1])};
    }
    for (long failed = 0;; failed++) {
        turtle_result result;
        allocations_left = failed;
        const turtle_status status =
            turtle_write(lines, LINE_COUNT, prefixes, PREFIX_COUNT, &result);
        allocations_left = -1;
        if (status == TURTLE_OK) {
            CHECK(failed == 2 && result.size_bytes == sizeof WHOLE - 1);
            CHECK(memcmp(result.text, WHOLE, result.size_bytes) == 0);
            turtle_free(&result);
            break;
        }
        CHECK(status == TURTLE_NO_MEMORY && result.memory == NULL);
    }
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
