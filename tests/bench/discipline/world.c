/* True time, the oscillator, the network and the servers. See world.h. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "world.h"

#define BEGIN_S 1750000000LL    /* when the world begins: the middle of 2025, in seconds since 1970 */
#define SECONDS_1900 2208988800U /* RFC 5905: NTP counts from 1900 */
#define LOOK_NS 100             /* what a look at the clock costs: programs measure their precision by it */
#define SAMPLE_S 10             /* the clock's error is recorded so often */
#define SERVICE_NS 20000        /* how long a server takes to answer */

struct labclock_state host;

/* WORLD: numbers in this order. */
static struct {
    double seed, end_s, offset_s, ppm, wander_ppb, delay_us, jitter_us, spike_share, spike_us, dead_s;
} given;

static int64_t stepped_ns; /* how far the clock was set: CLOCK_MONOTONIC takes no part in it */
static uint64_t random_state;
static struct packet *flying;
static FILE *record;

/* xorshift64*, as the programs' own random numbers must not change the world's. */
static double uniform(void)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return ((double)((random_state * 0x2545F4914F6CDD1DULL) >> 11) + 0.5) / 9007199254740992.0;
}

static double exponential(double mean)
{
    return -mean * log(uniform());
}

static double normal(void)
{
    return sqrt(-2.0 * log(uniform())) * cos(2.0 * M_PI * uniform());
}

static int64_t true_ns(void)
{
    return BEGIN_S * NS_PER_SECOND + host.mono_ns;
}

void world_begin(void)
{
    const char *text = getenv("WORLD"), *path = getenv("WORLD_RECORD");

    if (!text || !path ||
        sscanf(text, "%lf %lf %lf %lf %lf %lf %lf %lf %lf %lf", &given.seed, &given.end_s, &given.offset_s, &given.ppm,
               &given.wander_ppb, &given.delay_us, &given.jitter_us, &given.spike_share, &given.spike_us,
               &given.dead_s) != 10 ||
        !(record = fopen(path, "we"))) {
        fprintf(stderr, "worldsim: WORLD must have ten numbers, and WORLD_RECORD be a path\n");
        _exit(111);
    }
    random_state = 0x9E3779B97F4A7C15ULL * (uint64_t)(given.seed + 1);
    labclock_reset(&host);
    host.hw_ppm = given.ppm;
    host.can_set = 1;
    host.mono_ns = 1;
    host.virt_ns = true_ns() + labclock_round(given.offset_s * 1e9);
}

/* Let the world's time pass; its end ends the program. */
void world_move(int64_t to_ns)
{
    while (host.mono_ns < to_ns) {
        int64_t second = (host.mono_ns / NS_PER_SECOND + 1) * NS_PER_SECOND;

        if (second > to_ns) {
            labclock_advance(&host, to_ns);
            return;
        }
        labclock_advance(&host, second);
        host.hw_ppm += given.wander_ppb * 1e-3 * normal(); /* a random walk, in ppb for the root of a second */
        if (second / NS_PER_SECOND % SAMPLE_S == 0)
            fprintf(record, "clock %lld %.9f %.4f\n", (long long)(second / NS_PER_SECOND),
                    (double)(host.virt_ns - true_ns()) / 1e9, host.hw_ppm + host.freq_ppm);
        if ((double)second >= given.end_s * 1e9) {
            fprintf(record, "end\n");
            fclose(record);
            _exit(0);
        }
    }
}

int64_t world_now(void)
{
    world_move(host.mono_ns + LOOK_NS);
    return host.mono_ns;
}

/* The clock has been stepped by so much. */
static void note_step(int64_t by_ns)
{
    if (!by_ns)
        return;
    stepped_ns += by_ns;
    fprintf(record, "step %.3f %.9f\n", (double)host.mono_ns / 1e9, (double)by_ns / 1e9);
}

void world_set(int64_t virt_ns)
{
    note_step(virt_ns - host.virt_ns);
    labclock_step(&host, virt_ns);
}

/* adjtimex(2), which also steps the clock (ADJ_SETOFFSET): chronyd does so. */
int world_discipline(const struct timex *ask, struct timex *answer)
{
    int64_t before_ns = host.virt_ns;
    int error = labclock_discipline(&host, ask, answer);

    note_step(host.virt_ns - before_ns);
    return error;
}

/* As in Linux, CLOCK_MONOTONIC is slewed with the clock and not set with it. */
int64_t world_monotonic_ns(void)
{
    return host.virt_ns - stepped_ns - BEGIN_S * NS_PER_SECOND + 1000 * NS_PER_SECOND;
}

/* ---- the network and the servers -------------------------------------------------------------------- */

static int64_t way_ns(void)
{
    double us = given.delay_us + exponential(given.jitter_us);

    if (uniform() < given.spike_share)
        us += exponential(given.spike_us);
    return labclock_round(us * 1e3);
}

static void stamp(unsigned char *to, int64_t ns)
{
    uint32_t seconds = htonl((uint32_t)(ns / NS_PER_SECOND + SECONDS_1900));
    uint32_t fraction = htonl((uint32_t)(((ns % NS_PER_SECOND) << 32) / NS_PER_SECOND));

    memcpy(to, &seconds, 4);
    memcpy(to + 4, &fraction, 4);
}

/* A request leaves the host. The server of stratum 2 answers by the true time, unless it is the first one (its
 * address ends in 1) and dead. */
void world_ask(int fd, const struct sockaddr_in *to, const unsigned char *data, size_t length)
{
    int64_t there_ns = host.mono_ns + way_ns(), epoch_ns = BEGIN_S * NS_PER_SECOND;
    int number = (int)(ntohl(to->sin_addr.s_addr) & 0xff);
    const uint32_t root_delay = htonl(66), root_dispersion = htonl(131); /* 1 and 2 ms, in 2^-16 s */
    struct packet *packet, **at;

    if (length < PACKET_BYTES || (data[0] & 7) != 3)
        return;
    fprintf(record, "ask %.3f %d\n", (double)host.mono_ns / 1e9, number);
    if (number == 1 && given.dead_s > 0 && (double)there_ns >= given.dead_s * 1e9)
        return;
    packet = calloc(1, sizeof *packet);
    packet->fd = fd;
    packet->from = *to;
    packet->at_ns = there_ns + SERVICE_NS + way_ns();
    packet->data[0] = (unsigned char)((data[0] & 0x38) | 4);
    packet->data[1] = 2;
    packet->data[2] = data[2];
    packet->data[3] = (unsigned char)-23;
    memcpy(packet->data + 4, &root_delay, 4);
    memcpy(packet->data + 8, &root_dispersion, 4);
    memcpy(packet->data + 12, "\x0a\x63\x01\x01", 4);
    stamp(packet->data + 16, epoch_ns + there_ns - 16 * NS_PER_SECOND);
    memcpy(packet->data + 24, data + 40, 8);
    stamp(packet->data + 32, epoch_ns + there_ns);
    stamp(packet->data + 40, epoch_ns + there_ns + SERVICE_NS);
    for (at = &flying; *at && (*at)->at_ns <= packet->at_ns; at = &(*at)->next)
        ;
    packet->next = *at;
    *at = packet;
}

int64_t world_next_packet(void)
{
    return flying ? flying->at_ns : NEVER;
}

/* The first packet that has arrived at this socket, or null. */
struct packet *world_due(int fd)
{
    for (struct packet *one = flying; one && one->at_ns <= host.mono_ns; one = one->next)
        if (one->fd == fd)
            return one;
    return NULL;
}

/* The same, out of the queue; the caller frees it. */
struct packet *world_take(int fd)
{
    struct packet *due = world_due(fd), **at = &flying;

    if (!due)
        return NULL;
    while (*at != due)
        at = &(*at)->next;
    *at = due->next;
    return due;
}

/* A socket is closed: what is on its way to it is lost. */
void world_forget(int fd)
{
    for (struct packet **at = &flying; *at;) {
        struct packet *one = *at;

        if (one->fd == fd) {
            *at = one->next;
            free(one);
        } else {
            at = &one->next;
        }
    }
}

/* Packets that have arrived and were not asked for: their sockets are not waited for. */
void world_drop_due(void)
{
    while (flying && flying->at_ns <= host.mono_ns) {
        struct packet *one = flying;

        flying = one->next;
        free(one);
    }
}
