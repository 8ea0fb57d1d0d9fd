/*
 * The clock calls of the C library, answered from the host's state.
 *
 * These functions never call one another by their public names: in a program that only loads this library, like the
 * driver, those names refer to libc's functions.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/capability.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "labclock.h"

static int fail(int error)
{
    errno = error;
    return -1;
}

/* ---- who may set the clock -------------------------------------------------------------------------- */

/* Set when this process kept CAP_SYS_TIME beyond root; children inherit it, a new program does not. */
static int kept_capability;

int labclock_may_set(const struct labclock_state *state)
{
    return state->can_set && (kept_capability || syscall(SYS_geteuid) == 0);
}

/* Whether a process that is no longer root has kept any capability at all. A process that never was root has
 * none, and the kernel would not let it keep any. */
static int keeps_capabilities(void)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];

    return syscall(SYS_capget, &header, data) == 0 && (data[0].permitted || data[1].permitted);
}

/*
 * ntpd -u keeps CAP_SYS_TIME when it drops root, and exits if that is refused. Nothing in the lab has that
 * capability, so it is removed from the request and recorded here: for this library it counts as granted.
 */
EXPORT int capset(cap_user_header_t header, const cap_user_data_t data)
{
    struct __user_cap_data_struct reduced[2];
    unsigned words = header->version == _LINUX_CAPABILITY_VERSION_1 ? 1 : 2;
    unsigned mask = 1u << CAP_SYS_TIME;
    int entitled, result;

    if (!data || !labclock_attached())
        return (int)syscall(SYS_capset, header, data);

    entitled = keeps_capabilities();
    memcpy(reduced, data, words * sizeof reduced[0]);
    if (entitled) {
        reduced[0].effective &= ~mask;
        reduced[0].permitted &= ~mask;
        reduced[0].inheritable &= ~mask;
    }
    result = (int)syscall(SYS_capset, header, reduced);
    if (result == 0)
        kept_capability = entitled && (data[0].effective & mask);
    return result;
}

/* ---- reading ---------------------------------------------------------------------------------------- */

static int read_clock(clockid_t clock, struct timespec *ts)
{
    struct labclock_state state;
    int of_day = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI;

    if (!of_day || !labclock_attached())
        return (int)syscall(SYS_clock_gettime, clock, ts);
    labclock_look(&state);
    *ts = labclock_timespec(state.virt_ns);
    if (clock == CLOCK_TAI)
        ts->tv_sec += state.tai_s;
    return 0;
}

static int read_timeval(struct timeval *tv, void *zone)
{
    struct timespec ts;

    if (zone)
        memset(zone, 0, sizeof(struct timezone));
    if (tv) {
        read_clock(CLOCK_REALTIME, &ts);
        tv->tv_sec = ts.tv_sec;
        tv->tv_usec = ts.tv_nsec / 1000;
    }
    return 0;
}

EXPORT int clock_gettime(clockid_t clock, struct timespec *ts)
{
    return read_clock(clock, ts);
}

EXPORT int __clock_gettime(clockid_t clock, struct timespec *ts)
{
    return read_clock(clock, ts);
}

EXPORT int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    return read_timeval(tv, zone);
}

EXPORT int __gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    return read_timeval(tv, zone);
}

EXPORT time_t time(time_t *result)
{
    struct timespec ts;

    read_clock(CLOCK_REALTIME, &ts);
    if (result)
        *result = ts.tv_sec;
    return ts.tv_sec;
}

EXPORT int timespec_get(struct timespec *ts, int base)
{
    return base == TIME_UTC && read_clock(CLOCK_REALTIME, ts) == 0 ? base : 0;
}

/* ---- setting ---------------------------------------------------------------------------------------- */

static int edit_step(struct labclock_state *state, void *target_ns)
{
    if (!labclock_may_set(state))
        return EPERM;
    labclock_step(state, *(int64_t *)target_ns);
    return 0;
}

static int set_clock(int64_t seconds, int64_t nanoseconds)
{
    int64_t target_ns = labclock_ns(seconds, nanoseconds);
    int error;

    if (!labclock_attached())
        return fail(EPERM);
    if (seconds < 0 || seconds > LABCLOCK_LAST_S || nanoseconds < 0 || nanoseconds >= NS_PER_SECOND)
        return fail(EINVAL);
    error = labclock_change(edit_step, &target_ns);
    return error ? fail(error) : 0;
}

EXPORT int clock_settime(clockid_t clock, const struct timespec *ts)
{
    if (clock != CLOCK_REALTIME)
        return fail(EINVAL);
    return set_clock(ts->tv_sec, ts->tv_nsec);
}

/* A time zone alone changes nothing: hwclock sets the kernel's zone, and nothing here reads it. */
EXPORT int settimeofday(const struct timeval *tv, const struct timezone *zone)
{
    struct labclock_state state;

    if (tv)
        return zone ? fail(EINVAL) : set_clock(tv->tv_sec, tv->tv_usec * 1000);
    if (!labclock_attached())
        return fail(EPERM);
    labclock_look(&state);
    return labclock_may_set(&state) ? 0 : fail(EPERM);
}

/* No longer in the headers, but still in libc for old programs. */
EXPORT int stime(const time_t *seconds)
{
    return set_clock(*seconds, 0);
}

/* ---- slewing and discipline ------------------------------------------------------------------------- */

struct adjustment {
    const struct timex *ask;
    struct timex answer;
    int status;
};

static int edit_discipline(struct labclock_state *state, void *argument)
{
    struct adjustment *adjustment = argument;
    int error;

    if (!labclock_may_set(state))
        return EPERM;
    error = labclock_discipline(state, adjustment->ask, &adjustment->answer);
    adjustment->status = (int)state->status;
    return error;
}

/* adjtimex(2), which all other calls of this kind use. */
static int adjust(struct timex *tx)
{
    struct timex ask = *tx;
    struct adjustment adjustment = {&ask, ask, 0};
    struct labclock_state state;
    int reads = ask.modes == 0 || ask.modes == ADJ_OFFSET_SS_READ;
    int error;

    if (!labclock_attached())
        return reads ? (int)syscall(SYS_adjtimex, tx) : fail(EPERM);
    if (reads) {
        labclock_look(&state);
        error = labclock_discipline(&state, &ask, &adjustment.answer);
        adjustment.status = (int)state.status;
    } else {
        error = labclock_change(edit_discipline, &adjustment);
    }
    if (error)
        return fail(error);
    *tx = adjustment.answer;
    return adjustment.status & (STA_UNSYNC | STA_CLOCKERR) ? TIME_ERROR : TIME_OK;
}

EXPORT int adjtimex(struct timex *tx)
{
    return adjust(tx);
}

EXPORT int __adjtimex(struct timex *tx)
{
    return adjust(tx);
}

EXPORT int ntp_adjtime(struct timex *tx)
{
    return adjust(tx);
}

EXPORT int clock_adjtime(clockid_t clock, struct timex *tx)
{
    return clock == CLOCK_REALTIME ? adjust(tx) : fail(EINVAL);
}

EXPORT int adjtime(const struct timeval *delta, struct timeval *before)
{
    struct timex tx;

    memset(&tx, 0, sizeof tx);
    tx.modes = ADJ_OFFSET_SS_READ;
    if (delta) {
        if (delta->tv_sec > INT32_MAX / 1000000 - 2 || delta->tv_sec < INT32_MIN / 1000000 + 2)
            return fail(EINVAL); /* libc's own limit, 35 minutes */
        tx.modes = ADJ_OFFSET_SINGLESHOT;
        tx.offset = delta->tv_sec * 1000000 + delta->tv_usec;
    }
    if (adjust(&tx) < 0)
        return -1;
    if (before) {
        before->tv_sec = tx.offset / 1000000;
        before->tv_usec = tx.offset % 1000000;
    }
    return 0;
}

EXPORT int ntp_gettimex(struct ntptimeval *answer)
{
    struct timex tx;
    int result;

    memset(&tx, 0, sizeof tx);
    result = adjust(&tx);
    answer->time = tx.time;
    answer->maxerror = tx.maxerror;
    answer->esterror = tx.esterror;
    answer->tai = tx.tai;
    return result;
}

/* The older form, whose structure ends before tai. The headers turn the name into ntp_gettimex. */
EXPORT int old_ntp_gettime(struct ntptimeval *answer) __asm__("ntp_gettime");
EXPORT int old_ntp_gettime(struct ntptimeval *answer)
{
    struct timex tx;
    int result;

    memset(&tx, 0, sizeof tx);
    result = adjust(&tx);
    answer->time = tx.time;
    answer->maxerror = tx.maxerror;
    answer->esterror = tx.esterror;
    return result;
}

/* ---- when a packet came ----------------------------------------------------------------------------- */

/* The kernel stamped it by the machine's clock. How long ago that was holds for the host's clock too. */
static void restamp(int64_t *seconds, int64_t *fraction, int64_t unit_ns, int64_t machine_now,
                    int64_t host_now)
{
    int64_t age_ns = machine_now - labclock_ns(*seconds, *fraction * unit_ns);
    struct timespec ts = labclock_timespec(host_now - age_ns);

    *seconds = ts.tv_sec;
    *fraction = ts.tv_nsec / unit_ns;
}

static void restamp_message(struct msghdr *message)
{
    struct labclock_state state;
    struct cmsghdr *c;
    int64_t machine_now, stamp[2]; /* struct timeval and struct timespec alike */

    if (!message->msg_control || message->msg_controllen < sizeof *c || !labclock_attached())
        return;
    machine_now = labclock_machine_ns(CLOCK_REALTIME);
    labclock_look(&state);
    for (c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_len < CMSG_LEN(sizeof stamp))
            continue;
        /* SCM_TIMESTAMPING begins with the software stamp; a zero means that there is none. */
        if (c->cmsg_type != SO_TIMESTAMP && c->cmsg_type != SO_TIMESTAMPNS &&
            c->cmsg_type != SO_TIMESTAMPING)
            continue;
        memcpy(stamp, CMSG_DATA(c), sizeof stamp);
        if (stamp[0] != 0)
            restamp(&stamp[0], &stamp[1], c->cmsg_type == SO_TIMESTAMP ? 1000 : 1, machine_now, state.virt_ns);
        memcpy(CMSG_DATA(c), stamp, sizeof stamp);
    }
}

EXPORT ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    ssize_t length = syscall(SYS_recvmsg, fd, message, flags);

    if (length >= 0)
        restamp_message(message);
    return length;
}

EXPORT int recvmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags, struct timespec *timeout)
{
    int received = (int)syscall(SYS_recvmmsg, fd, messages, count, flags, timeout);

    for (int i = 0; i < received; i++)
        restamp_message(&messages[i].msg_hdr);
    return received;
}
