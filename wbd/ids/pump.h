/* Answers the most frequent commands without running Python: one system call reads a client's
 * bytes, one writes the replies. It works in rounds: it reads from every socket that is ready, then
 * answers them all, so that a program with many connections wakes up once for many replies.
 *
 * A pump watches sockets with an epoll set of its own. A socket is in the set only while its owner
 * has nothing to do for it: all bytes read have been run, and all replies have been sent. The owner
 * watches the set's file descriptor and calls pump_run() when it is readable. Whatever the pump
 * cannot finish goes back to the owner, together with the socket:
 *
 *   bytes that are none of the commands, or the first part of one
 *   a command whose lane is dry or damaged, and everything behind it; nothing was taken for it
 *   replies that the socket did not take; their ids are taken
 *   the end of the stream, or an error, which the owner sees when it reads
 *
 * Invariants.
 *  1. The bytes of a socket are run in their order, and its replies written in that order: a chunk
 *     is answered whole, or the socket goes back with what is left of both.
 *  2. A reply for every id taken is in the socket or in what goes back.
 *  3. A call ends with the round that reaches PUMP_TURN_COMMANDS commands or PUMP_TURN_CHUNKS
 *     chunks, however much clients send. A round reads one chunk from each of at most
 *     PUMP_ROUND_SOCKETS sockets; no socket's second chunk is read before the first chunks of the
 *     others that were ready.
 *  4. Nothing is allocated while it runs.
 *
 * One thread at a time; never sleeps.
 */
#ifndef WBD_IDS_PUMP_H
#define WBD_IDS_PUMP_H

#include "segment.h"

/* Bytes read at once from one socket. */
#define PUMP_CHUNK_BYTES 16384
/* The shortest command is "*2\r\n$4\r\nINCR\r\n$4\r\nitem\r\n". */
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
/* How long a call waits for more bytes before it ends: as long as the owner takes to call again. A
 * wait in vain at most doubles the cost, and a client that asks again at once need not wake the
 * owner. */
#define PUMP_LINGER_NS 10000
/* A call that has run this long does not wait any more. */
#define PUMP_LINGER_TURN_NS 1000000
/* The kernel's default limit of a process's file descriptors (fs.nr_open). */
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

/* Teach it a command; false if it knows PUMP_COMMANDS already, or size or lane is out of range. */
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
