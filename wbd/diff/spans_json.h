/* JSON, read from front to back and checked in full; spans.h says what of it is taken.
 *
 * Inline, since a snapshot is thousands of short calls.
 */
#ifndef WBD_RDF_SPANS_JSON_H
#define WBD_RDF_SPANS_JSON_H

#include <string.h>

#include "spans_reader.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first byte of a word is its lowest");
_Static_assert(SPANS_DEPTH_MAX <= 64, "brackets are remembered in one word");

/* The bytes of a string between its quotes. */
typedef struct {
    const uint8_t *start;
    size_t size_bytes;
    bool escaped;
} string;

/* Whether a container has one more member or element. */
typedef enum { FAILED, ENDED, ONE_MORE } step;

static inline bool is(const string *found, const char *wanted) {
    const size_t size_bytes = strlen(wanted);
    return !found->escaped && found->size_bytes == size_bytes &&
           memcmp(found->start, wanted, size_bytes) == 0;
}

static inline int peek_behind_space(reader *r) {
    while (r->at < r->end) {
        const uint8_t byte = *r->at;
        if (byte != ' ' && byte != '\n' && byte != '\t' && byte != '\r') {
            return byte;
        }
        r->at++;
    }
    return -1;
}

/* Return the next byte that is no white space, or -1 at the end. */
static inline int peek(reader *r) {
    return r->at < r->end && *r->at > ' ' ? *r->at : peek_behind_space(r);
}

static inline bool is_digit(const reader *r) {
    return r->at < r->end && *r->at >= '0' && *r->at <= '9';
}

static inline bool between(uint8_t byte, uint8_t low, uint8_t high) {
    return byte >= low && byte <= high;
}

/* Skip one character of several bytes (Unicode 15, table 3-7). */
static inline bool skip_character(reader *r) {
    const uint8_t *const at = r->at;
    const ptrdiff_t left = r->end - at;
    const uint8_t first = at[0];
    if (between(first, 0xc2, 0xdf) && left >= 2 && between(at[1], 0x80, 0xbf)) {
        r->at += 2;
        return true;
    }
    if (between(first, 0xe0, 0xef) && left >= 3) {
        const uint8_t low = first == 0xe0 ? 0xa0 : 0x80;
        const uint8_t high = first == 0xed ? 0x9f : 0xbf;
        r->at += 3;
        return between(at[1], low, high) && between(at[2], 0x80, 0xbf);
    }
    if (between(first, 0xf0, 0xf4) && left >= 4) {
        const uint8_t low = first == 0xf0 ? 0x90 : 0x80;
        const uint8_t high = first == 0xf4 ? 0x8f : 0xbf;
        r->at += 4;
        return between(at[1], low, high) && between(at[2], 0x80, 0xbf) &&
               between(at[3], 0x80, 0xbf);
    }
    return false;
}

static inline int hex_digit(uint8_t byte) {
    if (between(byte, '0', '9')) {
        return byte - '0';
    }
    byte |= 0x20;
    return between(byte, 'a', 'f') ? byte - 'a' + 10 : -1;
}

/* Skip an escape; at is at its backslash. */
static inline bool skip_escape(reader *r) {
    if (r->end - r->at < 2) {
        return false;
    }
    const uint8_t kind = r->at[1];
    r->at += 2;
    switch (kind) {
    case '"':
    case '\\':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return true;
    case '/':
        r->opaque = true;
        return true;
    case 'u':
        break;
    default:
        return false;
    }
    r->opaque = true;
    if (r->end - r->at < 4) {
        return false;
    }
    int unit = 0;
    for (int i = 0; i < 4; i++) {
        const int digit = hex_digit(*r->at++);
        if (digit < 0) {
            return false;
        }
        unit = unit << 4 | digit;
    }
    return unit < 0xd800 || unit > 0xdfff;
}

/* Return a word whose lowest set bit is in the first byte that ends a run of plain characters:
 * quote, backslash, control or part of a longer character. */
static inline uint64_t special(uint64_t word) {
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t tops = ones << 7;
    const uint64_t quote = word ^ ones * '"';
    const uint64_t backslash = word ^ ones * '\\';
    return (((quote - ones) & ~quote) | ((backslash - ones) & ~backslash) |
            ((word - ones * ' ') & ~word) | word) &
           tops;
}

/* Read a string; at is at its opening quote, and behind the closing one afterwards. */
static inline bool read_string(reader *r, string *found) {
    const uint8_t *const start = ++r->at;
    found->escaped = false;
    for (;;) {
        while (r->end - r->at >= 8) {
            uint64_t word;
            memcpy(&word, r->at, sizeof word);
            const uint64_t stop = special(word);
            if (stop != 0) {
                r->at += __builtin_ctzll(stop) / 8;
                break;
            }
            r->at += 8;
        }
        if (r->at == r->end) {
            return false;
        }
        const uint8_t byte = *r->at;
        if (byte == '"') {
            found->start = start;
            found->size_bytes = (size_t)(r->at - start);
            r->at++;
            return true;
        }
        if (byte == '\\') {
            found->escaped = true;
            if (!skip_escape(r)) {
                return false;
            }
        } else if (byte >= 0x80) {
            /* Letters of most scripts follow each other. */
            do {
                if (!skip_character(r)) {
                    return false;
                }
            } while (r->at < r->end && *r->at >= 0x80);
        } else if (byte < ' ') {
            return false;
        } else {
            r->at++;
        }
    }
}

static inline bool skip_digits(reader *r, int most) {
    if (!is_digit(r)) {
        return false;
    }
    for (int i = 0; i < most && is_digit(r); i++) {
        r->at++;
    }
    return true;
}

static inline bool skip_number(reader *r) {
    const uint8_t *const start = r->at;
    if (*r->at == '-') {
        r->at++;
    }
    if (r->at < r->end && *r->at == '0') {
        r->at++;
    } else if (!skip_digits(r, SPANS_NUMBER_BYTES_MAX)) {
        return false;
    }
    if (r->at < r->end && *r->at == '.') {
        r->at++;
        if (!skip_digits(r, SPANS_NUMBER_BYTES_MAX)) {
            return false;
        }
    }
    if (r->at < r->end && (*r->at | 0x20) == 'e') {
        r->at++;
        if (r->at < r->end && (*r->at == '+' || *r->at == '-')) {
            r->at++;
        }
        if (!skip_digits(r, 2)) {
            return false;
        }
    }
    return r->at - start <= SPANS_NUMBER_BYTES_MAX;
}

static inline bool skip_word(reader *r, const char *word) {
    const size_t size_bytes = strlen(word);
    if ((size_t)(r->end - r->at) < size_bytes || memcmp(r->at, word, size_bytes) != 0) {
        return false;
    }
    r->at += size_bytes;
    return true;
}

/* Skip a value that is neither object nor array. */
static inline bool skip_scalar(reader *r) {
    string ignored;
    switch (peek(r)) {
    case '"':
        return read_string(r, &ignored);
    case 't':
        return skip_word(r, "true");
    case 'f':
        return skip_word(r, "false");
    case 'n':
        return skip_word(r, "null");
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
        return skip_number(r);
    default:
        return false;
    }
}

/* Enter a container at whose bracket the reader is. */
static inline bool enter(reader *r) {
    r->at++;
    return ++r->depth <= SPANS_DEPTH_MAX;
}

static inline bool read_key(reader *r, string *key) {
    if (peek(r) != '"' || !read_string(r, key) || peek(r) != ':') {
        return false;
    }
    r->at++;
    return true;
}

/* Go to the next member of an object that was entered, behind its colon; at the end leave it. */
static inline step next_member(reader *r, bool *first, string *key) {
    const int byte = peek(r);
    if (byte == '}') {
        r->at++;
        r->depth--;
        return ENDED;
    }
    if (!*first) {
        if (byte != ',') {
            return FAILED;
        }
        r->at++;
    }
    *first = false;
    return read_key(r, key) ? ONE_MORE : FAILED;
}

/* Go to the next element of an array that was entered; at the end leave it. */
static inline step next_element(reader *r, bool *first) {
    const int byte = peek(r);
    if (byte == ']') {
        r->at++;
        r->depth--;
        return ENDED;
    }
    if (!*first) {
        if (byte != ',') {
            return FAILED;
        }
        r->at++;
        if (peek(r) == ']') {
            return FAILED;
        }
    }
    *first = false;
    return ONE_MORE;
}

/* Skip any value. */
static inline bool skip_value(reader *r) {
    const unsigned outer_depth = r->depth;
    uint64_t objects = 0; /* a bit for each open bracket, the innermost lowest */
    string key;
    for (;;) {
        const int byte = peek(r);
        if (byte == '{' || byte == '[') {
            if (!enter(r)) {
                return false;
            }
            objects = objects << 1 | (byte == '{');
            if (peek(r) != byte + 2) {
                if (byte == '{' && !read_key(r, &key)) {
                    return false;
                }
                continue;
            }
        } else if (!skip_scalar(r)) {
            return false;
        }
        /* A value is complete, or an empty container is still to be left. */
        for (;;) {
            if (r->depth == outer_depth) {
                return true;
            }
            const bool in_object = (objects & 1) != 0;
            const int next = peek(r);
            if (next == ',') {
                r->at++;
                if (in_object && !read_key(r, &key)) {
                    return false;
                }
                break;
            }
            if (next != (in_object ? '}' : ']')) {
                return false;
            }
            r->at++;
            r->depth--;
            objects >>= 1;
        }
    }
}

#endif
