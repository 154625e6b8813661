/* Numbers as decimal text, two digits at a time. */
#ifndef WBD_IDS_DECIMAL_H
#define WBD_IDS_DECIMAL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Digits of UINT64_MAX. */
#define DECIMAL_MAX_DIGITS 20

/* Return the number of digits of *number*. */
static inline size_t decimal_digits(uint64_t number) {
    size_t digits = 1;
    for (; number >= 10000; number /= 10000) {
        digits += 4;
    }
    return digits + (number >= 10) + (number >= 100) + (number >= 1000);
}

/* Write *number* as exactly *digits* digits, which decimal_digits() has counted. */
static inline void decimal_write(char *to, size_t digits, uint64_t number) {
    static const char pairs[] =
        "00010203040506070809101112131415161718192021222324252627282930313233"
        "34353637383940414243444546474849505152535455565758596061626364656667"
        "6869707172737475767778798081828384858687888990919293949596979899";
    while (digits >= 2) {
        digits -= 2;
        memcpy(to + digits, pairs + 2 * (number % 100), 2);
        number /= 100;
    }
    if (digits) {
        *to = (char)('0' + number);
    }
}

#endif
