/*
 * worldsim: one time daemon, alone in a world whose time does not pass unless the daemon waits.
 *
 * The library is preloaded into the real program (ntpd, ntpsec's ntpd, chronyd). It answers the C library's
 * calls for time, waits, timers and UDP. A wait moves the world to the next event at once, so six hours take a
 * second. The clock is the lab's (tests/lab/clock/model.c: oscillator and Linux's discipline); its oscillator
 * wanders here. The servers are a model: they answer with the true time.
 *
 *   world.c   true time, the oscillator, the network, the servers; what is recorded
 *   calls.c   the C library's calls
 *
 * Where it is too optimistic: the program uses no time (reading the clock takes 100 ns), every timestamp of a
 * packet is exact, the servers are right, no packet is lost unless its server is dead.
 */
#ifndef WORLD_H
#define WORLD_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/timex.h>

#include "../../lab/clock/labclock.h"

#define NEVER INT64_MAX
#define PACKET_BYTES 48

/* A server's answer on its way to the socket that asked. */
struct packet {
    int64_t at_ns; /* when it arrives */
    int fd;
    struct sockaddr_in from;
    unsigned char data[PACKET_BYTES];
    struct packet *next;
};

extern struct labclock_state host; /* the clock of the daemon's host; mono_ns is the world's time */

void world_begin(void);
int64_t world_now(void);
void world_move(int64_t to_ns);
void world_set(int64_t virt_ns);
int world_discipline(const struct timex *ask, struct timex *answer);
int64_t world_monotonic_ns(void);
void world_ask(int fd, const struct sockaddr_in *to, const unsigned char *data, size_t length);
void world_forget(int fd);
int64_t world_next_packet(void);
struct packet *world_due(int fd);
struct packet *world_take(int fd);
void world_drop_due(void);

#endif
