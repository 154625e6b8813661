/* Answers the commands that nearly every client sends, without a word of Python: one system call to
 * read a client's bytes, one to write the replies. It works in rounds: it reads from every socket
 * that is ready, then answers them all, so that whoever waits for many replies is woken for many.
 *
 * A pump watches sockets by an epoll set of its own. A socket is in it only while its owner has
 * nothing to do for it: nothing read and not run, nothing written and not sent. The owner watches
 * the set's file descriptor and calls pump_run() when it is readable. Whatever the pump cannot
 * finish goes back to the owner, who is then alone with the socket again:
 *
 *   bytes that are none of the commands, or the first part of one
 *   a command whose lane is dry or damaged, and everything behind it; nothing was taken for it
 *   replies that the socket did not take; their ids are taken
 *   the end of the stream, or an error, which the owner finds again by reading
 *
 * Invariants.
 *  1. The bytes of a socket are run in their order, and its replies written in that order: a chunk
 *     is answered whole, or the socket goes back with what is left of both.
 *  2. A reply for every id taken is in the socket or in what goes back.
 *  3. A call ends with the round that reaches PUMP_TURN_COMMANDS commands or PUMP_TURN_CHUNKS
 *     chunks, whoever sends how much, and no socket has a second chunk read before the others that
 *     were ready had a first. A round is one chunk of each of PUMP_ROUND_SOCKETS sockets at most.
 *  4. Nothing is allocated while it runs.
 *
 * One thread at a time; never sleeps.
 */
#ifndef WBD_IDS_PUMP_H
#define WBD_IDS_PUMP_H

#include "segment.h"

/* Read at once from one socket. */
#define PUMP_CHUNK_BYTES 16384
/* Of a command: "*2\r\n$4\r\nINCR\r\n$4\r\nitem\r\n" is the shortest. */
#define PUMP_COMMAND_MIN_BYTES 24
#define PUMP_COMMAND_MAX_BYTES 64
#define PUMP_COMMANDS 64
/* "$21\r\nQ", 20 digits, "\r\n". */
#define PUMP_REPLY_MAX_BYTES 28
#define PUMP_REPLIES_BYTES (PUMP_CHUNK_BYTES / PUMP_COMMAND_MIN_BYTES * PUMP_REPLY_MAX_BYTES)
/* Sockets read before they are answered; the kernel goes round when more are ready. */
#define PUMP_ROUND_SOCKETS 32
/* About 0.5 ms of work. */
#define PUMP_TURN_COMMANDS 8192
#define PUMP_TURN_CHUNKS 512
/* How long a call waits for more before it ends: as long as the owner takes to call again, so that
 * waiting in vain at most doubles the cost, and clients in a hurry are spared waking the owner. */
#define PUMP_LINGER_NS 10000
/* A call that is so old does not wait any more. */
#define PUMP_LINGER_TURN_NS 1000000
/* Files that the kernel lets a process have by default (fs.nr_open). */
#define PUMP_FD_LIMIT (1 << 20)

typedef struct {
    char bytes[PUMP_COMMAND_MAX_BYTES]; /* as clients send it */
    size_t size;
    unsigned lane;
    char letter; /* before the number in a bulk string; 0 for a plain number */
} pump_command;

/* One chunk of a socket. When it goes back, in[run, read) is still to run, out[sent, made) to send.
 */
typedef struct {
    int fd;
    size_t run;
    size_t read;
    size_t sent;
    size_t made;
    char in[PUMP_CHUNK_BYTES];
    char out[PUMP_REPLIES_BYTES];
} pump_socket;

typedef struct {
    segment *ids;
    int epoll_fd;
    int64_t linger_ns; /* 0 or PUMP_LINGER_NS */
    pump_command commands[PUMP_COMMANDS];
    size_t command_count;
    size_t likely; /* index of the command seen last */
    /* By file descriptor: when bytes last came, of CLOCK_MONOTONIC; 0 if it is not watched. */
    int64_t *heard_ns;
    size_t heard_size;
    pump_socket *round; /* PUMP_ROUND_SOCKETS of them */
    /* Those of the round that pump_run() gives back, until the owner sets the count to 0. */
    pump_socket *returned[PUMP_ROUND_SOCKETS];
    size_t returned_count;
} pump;

/* Make a pump that takes from *ids*, which must outlive it: 0 or an errno. */
int pump_open(pump *self, segment *ids);

void pump_close(pump *self);

/* Teach it a command; false if there are too many, or it is too short, too long, or of no lane. */
bool pump_teach(pump *self, const char *bytes, size_t size, unsigned lane, char letter);

/* Watch a socket that is not watched: 0 or an errno. */
int pump_add(pump *self, int fd);

/* Stop watching; a socket that is not watched is left alone. */
void pump_remove(pump *self, int fd);

/* When bytes last came from a socket, or it was added; 0 if it is not watched. */
int64_t pump_heard_ns(const pump *self, int fd);

/* Answer what has come in, until nothing is left, a socket goes back or the turn is over. Returns
 * the number of commands that were run. */
size_t pump_run(pump *self);

#endif
