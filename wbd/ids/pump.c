/* pump.h has the contract. */
#define _GNU_SOURCE
#include "pump.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "decimal.h"

_Static_assert(sizeof "$21\r\nQ" - 1 + DECIMAL_MAX_DIGITS + sizeof "\r\n" - 1 ==
                   PUMP_REPLY_MAX_BYTES,
               "the longest reply");

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Where there is one processor, a client cannot run while the pump waits for it. */
static int64_t linger_ns(void) {
    cpu_set_t usable;
    bool one = sched_getaffinity(0, sizeof usable, &usable) == 0 && CPU_COUNT(&usable) == 1;
    return one ? 0 : PUMP_LINGER_NS;
}

int pump_open(pump *self, segment *ids) {
    *self = (pump){.ids = ids, .epoll_fd = epoll_create1(EPOLL_CLOEXEC), .linger_ns = linger_ns()};
    if (self->epoll_fd < 0) {
        return errno;
    }
    self->round = calloc(PUMP_ROUND_SOCKETS, sizeof *self->round);
    if (self->round == NULL) {
        close(self->epoll_fd);
        return ENOMEM;
    }
    return 0;
}

void pump_close(pump *self) {
    close(self->epoll_fd);
    free(self->heard_ns);
    free(self->round);
}

bool pump_teach(pump *self, const char *bytes, size_t size, unsigned lane, char letter) {
    if (self->command_count == PUMP_COMMANDS || size < PUMP_COMMAND_MIN_BYTES ||
        size > PUMP_COMMAND_MAX_BYTES || lane >= SEGMENT_LANES) {
        return false;
    }
    pump_command *new = &self->commands[self->command_count++];
    *new = (pump_command){.size = size, .lane = lane, .letter = letter};
    memcpy(new->bytes, bytes, size);
    return true;
}

/* Make room for what is remembered about *fd*: 0 or an errno. */
static int make_room(pump *self, size_t fd) {
    if (fd >= PUMP_FD_LIMIT) {
        return EMFILE;
    }
    size_t size = self->heard_size ? self->heard_size : 64;
    while (size <= fd) {
        size *= 2;
    }
    if (size > self->heard_size) {
        int64_t *larger = realloc(self->heard_ns, size * sizeof *larger);
        if (larger == NULL) {
            return ENOMEM;
        }
        memset(larger + self->heard_size, 0, (size - self->heard_size) * sizeof *larger);
        self->heard_ns = larger;
        self->heard_size = size;
    }
    return 0;
}

int pump_add(pump *self, int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (fd < 0) {
        return EBADF;
    }
    int problem = make_room(self, (size_t)fd);
    if (problem == 0 && epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
        problem = errno;
    }
    if (problem == 0) {
        self->heard_ns[fd] = now_ns();
    }
    return problem;
}

void pump_remove(pump *self, int fd) {
    if (pump_heard_ns(self, fd)) {
        self->heard_ns[fd] = 0;
        epoll_ctl(self->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    }
}

int64_t pump_heard_ns(const pump *self, int fd) {
    return fd >= 0 && (size_t)fd < self->heard_size ? self->heard_ns[fd] : 0;
}

/* The command that the bytes begin with, or NULL. No command is the beginning of another, since its
 * header says how long it is. */
static const pump_command *match(pump *self, const char *bytes, size_t size) {
    size_t at = self->likely;
    for (size_t tried = 0; tried < self->command_count; tried++) {
        const pump_command *command = &self->commands[at];
        if (command->size <= size && memcmp(command->bytes, bytes, command->size) == 0) {
            self->likely = at;
            return command;
        }
        at = at + 1 < self->command_count ? at + 1 : 0;
    }
    return NULL;
}

/* Write the reply that says *number*; return its end. */
static char *reply(char *to, char letter, uint64_t number) {
    size_t digits = decimal_digits(number);
    if (letter) {
        size_t length = digits + 1;
        *to++ = '$';
        decimal_write(to, decimal_digits(length), length);
        to += decimal_digits(length);
        *to++ = '\r';
        *to++ = '\n';
        *to++ = letter;
    } else {
        *to++ = ':';
    }
    decimal_write(to, digits, number);
    to += digits;
    *to++ = '\r';
    *to++ = '\n';
    return to;
}

/* Run the commands of a chunk until one is unknown or finds no id; return how many were run. */
static size_t run_chunk(pump *self, pump_socket *at) {
    size_t answered = 0;
    char *to = at->out;
    while (at->run < at->read) {
        const pump_command *command = match(self, at->in + at->run, at->read - at->run);
        uint64_t number;
        if (command == NULL || segment_take_one(self->ids, command->lane, &number) != SEGMENT_OK) {
            break;
        }
        to = reply(to, command->letter, number);
        at->run += command->size;
        answered++;
    }
    at->made = (size_t)(to - at->out);
    return answered;
}

/* Read and run one chunk of a socket; return how many commands were run. */
static size_t take_in(pump *self, pump_socket *at, const struct epoll_event *event, int64_t now) {
    at->fd = event->data.fd;
    at->run = at->read = at->sent = at->made = 0;
    ssize_t got = recv(at->fd, at->in, sizeof at->in, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR) &&
        !(event->events & (EPOLLERR | EPOLLHUP))) {
        at->fd = -1;
        return 0;
    }
    at->read = got > 0 ? (size_t)got : 0;
    self->heard_ns[at->fd] = now;
    return run_chunk(self, at);
}

/* Answer what was taken in; what cannot be finished goes back. */
static void put_out(pump *self, pump_socket *at) {
    if (at->fd < 0) {
        return;
    }
    if (at->made) {
        ssize_t sent = send(at->fd, at->out, at->made, MSG_DONTWAIT | MSG_NOSIGNAL);
        at->sent = sent > 0 ? (size_t)sent : 0;
    }
    if (at->read == 0 || at->run < at->read || at->sent < at->made) {
        pump_remove(self, at->fd);
        self->returned[self->returned_count++] = at;
    }
}

size_t pump_run(pump *self) {
    struct epoll_event events[PUMP_ROUND_SOCKETS];
    int64_t now = now_ns();
    int64_t turn_end = now + PUMP_LINGER_TURN_NS;
    int64_t patience_end = now;
    size_t answered = 0;
    size_t chunks = 0;
    while (self->returned_count == 0 && answered < PUMP_TURN_COMMANDS &&
           chunks < PUMP_TURN_CHUNKS) {
        int ready = epoll_wait(self->epoll_fd, events, PUMP_ROUND_SOCKETS, 0);
        now = now_ns();
        if (ready > 0) {
            for (int i = 0; i < ready; i++) {
                answered += take_in(self, &self->round[i], &events[i], now);
            }
            for (int i = 0; i < ready; i++) {
                put_out(self, &self->round[i]);
            }
            chunks += (size_t)ready;
            patience_end = now + self->linger_ns;
        } else if (now >= patience_end || now >= turn_end) {
            break;
        }
    }
    return answered;
}
