/* The C library's calls, answered from the world. See world.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "world.h"

static void (*on_alarm)(int);
static int64_t alarm_at_ns = NEVER, alarm_every_ns;

/*
 * The thread that began the world: time passes while it waits. ntpd starts others, to look up names; they wait in the
 * machine's time.
 */
static void *first_thread;

static int fail(int error)
{
    errno = error;
    return -1;
}

static void begin(void)
{
    static int begun;

    if (!begun) {
        begun = 1;
        first_thread = __builtin_thread_pointer();
        world_begin();
    }
}

static __attribute__((constructor)) void loaded(void)
{
    begin();
}

static int is_first(void)
{
    return __builtin_thread_pointer() == first_thread;
}

/* ---- time ------------------------------------------------------------------------------------------- */

static int read_clock(clockid_t clock, struct timespec *ts)
{
    int64_t now;

    begin();
    now = is_first() ? world_now() : host.mono_ns;
    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
        *ts = labclock_timespec(host.virt_ns);
        return 0;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_BOOTTIME:
        *ts = labclock_timespec(world_monotonic_ns());
        return 0;
    case CLOCK_MONOTONIC_RAW:
        *ts = labclock_timespec(now);
        return 0;
    default:
        return (int)syscall(SYS_clock_gettime, clock, ts);
    }
}

EXPORT int clock_gettime(clockid_t clock, struct timespec *ts)
{
    return read_clock(clock, ts);
}

EXPORT int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    struct timespec ts;

    (void)zone;
    read_clock(CLOCK_REALTIME, &ts);
    tv->tv_sec = ts.tv_sec;
    tv->tv_usec = ts.tv_nsec / 1000;
    return 0;
}

EXPORT time_t time(time_t *result)
{
    struct timespec ts;

    read_clock(CLOCK_REALTIME, &ts);
    if (result)
        *result = ts.tv_sec;
    return ts.tv_sec;
}

EXPORT int clock_settime(clockid_t clock, const struct timespec *ts)
{
    if (clock != CLOCK_REALTIME)
        return fail(EINVAL);
    world_set(labclock_ns(ts->tv_sec, ts->tv_nsec));
    return 0;
}

EXPORT int settimeofday(const struct timeval *tv, const struct timezone *zone)
{
    (void)zone;
    if (tv)
        world_set(labclock_ns(tv->tv_sec, tv->tv_usec * 1000));
    return 0;
}

static int adjust(struct timex *tx)
{
    struct timex ask = *tx;
    int error;

    world_now();
    error = world_discipline(&ask, tx);
    if (error)
        return fail(error);
    return host.status & (STA_UNSYNC | STA_CLOCKERR) ? TIME_ERROR : TIME_OK;
}

EXPORT int adjtimex(struct timex *tx)
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
    tx.modes = delta ? ADJ_OFFSET_SINGLESHOT : ADJ_OFFSET_SS_READ;
    if (delta)
        tx.offset = delta->tv_sec * 1000000 + delta->tv_usec;
    if (adjust(&tx) < 0)
        return -1;
    if (before) {
        before->tv_sec = tx.offset / 1000000;
        before->tv_usec = tx.offset % 1000000;
    }
    return 0;
}

/* ---- waits and timers ------------------------------------------------------------------------------- */

static int64_t after(int64_t delay_ns)
{
    return host.mono_ns + delay_ns;
}

/* Let time pass until then, or until the alarm rings before. Returns whether it did. */
static int pass(int64_t until_ns)
{
    if (alarm_at_ns > until_ns) {
        world_move(until_ns);
        return 0;
    }
    world_move(alarm_at_ns);
    alarm_at_ns = alarm_every_ns ? alarm_at_ns + alarm_every_ns : NEVER;
    if (on_alarm)
        on_alarm(SIGALRM);
    return 1;
}

/* The same, but a packet ends the wait too. */
static int pass_or_packet(int64_t deadline_ns)
{
    int64_t packet_ns = world_next_packet();

    return pass(deadline_ns < packet_ns ? deadline_ns : packet_ns);
}

/* Wait; another thread does so in the machine's time, and can be cancelled meanwhile. Returns whether a signal came. */
static int wait_ns(int64_t delay_ns)
{
    struct timespec ts = labclock_timespec(delay_ns);

    return is_first() ? pass(after(delay_ns)) : clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL) != 0;
}

EXPORT int nanosleep(const struct timespec *request, struct timespec *left)
{
    if (left)
        memset(left, 0, sizeof *left);
    return wait_ns(labclock_ns(request->tv_sec, request->tv_nsec)) ? fail(EINTR) : 0;
}

EXPORT unsigned sleep(unsigned seconds)
{
    wait_ns(seconds * NS_PER_SECOND);
    return 0;
}

EXPORT int usleep(useconds_t microseconds)
{
    return wait_ns(microseconds * 1000LL) ? fail(EINTR) : 0;
}

static void set_alarm(int64_t first_ns, int64_t every_ns)
{
    alarm_at_ns = first_ns ? after(first_ns) : NEVER;
    alarm_every_ns = every_ns;
}

EXPORT int setitimer(__itimer_which_t which, const struct itimerval *restrict new, struct itimerval *restrict old)
{
    (void)which;
    (void)old;
    set_alarm(labclock_ns(new->it_value.tv_sec, new->it_value.tv_usec * 1000),
              labclock_ns(new->it_interval.tv_sec, new->it_interval.tv_usec * 1000));
    return 0;
}

EXPORT int timer_create(clockid_t clock, struct sigevent *restrict event, timer_t *restrict timer)
{
    (void)clock;
    (void)event; /* both ntpds leave it out: SIGALRM */
    *timer = (timer_t)1;
    return 0;
}

EXPORT int timer_settime(timer_t timer, int flags, const struct itimerspec *restrict new,
                         struct itimerspec *restrict old)
{
    (void)timer;
    (void)flags;
    (void)old;
    set_alarm(labclock_ns(new->it_value.tv_sec, new->it_value.tv_nsec),
              labclock_ns(new->it_interval.tv_sec, new->it_interval.tv_nsec));
    return 0;
}

EXPORT int sigaction(int number, const struct sigaction *restrict new, struct sigaction *restrict old)
{
    if (number != SIGALRM) /* nobody sends this program another signal than those that end it */
        return 0;
    if (old) {
        memset(old, 0, sizeof *old);
        old->sa_handler = on_alarm;
    }
    if (new)
        on_alarm = new->sa_handler;
    return 0;
}

EXPORT int select(int count, fd_set *restrict reading, fd_set *restrict writing, fd_set *restrict failing,
                  struct timeval *restrict timeout)
{
    int64_t deadline_ns = timeout ? after(labclock_ns(timeout->tv_sec, timeout->tv_usec * 1000)) : NEVER;
    fd_set wanted;
    int ready = 0;

    FD_ZERO(&wanted);
    if (reading)
        wanted = *reading;
    for (;;) {
        if (reading)
            FD_ZERO(reading);
        if (writing)
            FD_ZERO(writing);
        if (failing)
            FD_ZERO(failing);
        for (int fd = 0; fd < count; fd++)
            if (reading && FD_ISSET(fd, &wanted) && world_due(fd)) {
                FD_SET(fd, reading);
                ready++;
            }
        if (ready || host.mono_ns >= deadline_ns)
            return ready;
        world_drop_due(); /* what has arrived where nobody listens must not hold the time */
        if (pass_or_packet(deadline_ns))
            return fail(EINTR);
    }
}

EXPORT int pselect(int count, fd_set *restrict reading, fd_set *restrict writing, fd_set *restrict failing,
                   const struct timespec *restrict timeout, const sigset_t *restrict mask)
{
    struct timeval tv;

    (void)mask;
    if (timeout) {
        tv.tv_sec = timeout->tv_sec;
        tv.tv_usec = (timeout->tv_nsec + 999) / 1000;
    }
    return select(count, reading, writing, failing, timeout ? &tv : NULL);
}

EXPORT int poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    int64_t deadline_ns = timeout_ms < 0 ? NEVER : after(timeout_ms * 1000000LL);
    int ready = 0;

    for (;;) {
        for (nfds_t i = 0; i < count; i++) {
            fds[i].revents = fds[i].fd >= 0 && (fds[i].events & POLLIN) && world_due(fds[i].fd) ? POLLIN : 0;
            ready += fds[i].revents != 0;
        }
        if (ready || host.mono_ns >= deadline_ns)
            return ready;
        world_drop_due();
        if (pass_or_packet(deadline_ns))
            return fail(EINTR);
    }
}

/* ---- UDP -------------------------------------------------------------------------------------------- */

/* The sockets are real ones, in a network of their own where nothing arrives: the kernel remembers their options and
 * peers, also of their duplicates. */
static int option_of(int fd, int option)
{
    int value = 0;
    socklen_t size = sizeof value;

    return syscall(SYS_getsockopt, fd, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}

static int is_ours(int fd)
{
    return option_of(fd, SO_DOMAIN) == AF_INET && option_of(fd, SO_TYPE) == SOCK_DGRAM;
}

EXPORT int close(int fd)
{
    world_forget(fd);
    return (int)syscall(SYS_close, fd);
}

EXPORT int setsockopt(int fd, int level, int option, const void *value, socklen_t length)
{
    if (level == SOL_SOCKET && option == SO_TIMESTAMPING) /* stamps of hardware and of sending: there are none */
        return fail(ENOPROTOOPT);
    return (int)syscall(SYS_setsockopt, fd, level, option, value, length);
}

static ssize_t send_to(int fd, const void *data, size_t length, const struct sockaddr *to)
{
    struct sockaddr_in peer;
    socklen_t size = sizeof peer;

    if (to)
        memcpy(&peer, to, sizeof peer);
    else if (syscall(SYS_getpeername, fd, &peer, &size) != 0)
        return -1;
    world_ask(fd, &peer, data, length);
    return (ssize_t)length;
}

EXPORT ssize_t sendto(int fd, const void *data, size_t length, int flags, const struct sockaddr *to, socklen_t size)
{
    if (!is_ours(fd))
        return syscall(SYS_sendto, fd, data, length, flags, to, size);
    return send_to(fd, data, length, to);
}

EXPORT ssize_t send(int fd, const void *data, size_t length, int flags)
{
    if (!is_ours(fd))
        return syscall(SYS_sendto, fd, data, length, flags, NULL, 0);
    return send_to(fd, data, length, NULL);
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    if (!is_ours(fd))
        return syscall(SYS_sendmsg, fd, message, flags);
    return send_to(fd, message->msg_iov[0].iov_base, message->msg_iov[0].iov_len, message->msg_name);
}

/* When the packet came, by the host's clock, in the form that the program asked for. */
static void add_stamp(struct msghdr *message, int fd, const struct packet *packet)
{
    struct cmsghdr *c = message->msg_control;
    struct timespec ts = labclock_timespec(host.virt_ns - (host.mono_ns - packet->at_ns));
    int stamp = option_of(fd, SO_TIMESTAMPNS) > 0 ? SO_TIMESTAMPNS : option_of(fd, SO_TIMESTAMP) > 0 ? SO_TIMESTAMP : 0;

    if (!c || !stamp || message->msg_controllen < CMSG_SPACE(sizeof ts)) {
        message->msg_controllen = 0;
        return;
    }
    if (stamp == SO_TIMESTAMP)
        ts.tv_nsec /= 1000;
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = stamp; /* SCM_TIMESTAMP and SCM_TIMESTAMPNS have their options' numbers */
    c->cmsg_len = CMSG_LEN(sizeof ts);
    memcpy(CMSG_DATA(c), &ts, sizeof ts);
    message->msg_controllen = CMSG_SPACE(sizeof ts);
}

static ssize_t receive(int fd, struct msghdr *message)
{
    struct packet *packet = world_take(fd);
    size_t room;

    if (!packet)
        return fail(EAGAIN);
    room = message->msg_iov[0].iov_len;
    memcpy(message->msg_iov[0].iov_base, packet->data, room < PACKET_BYTES ? room : PACKET_BYTES);
    if (message->msg_name && message->msg_namelen >= sizeof packet->from) {
        memcpy(message->msg_name, &packet->from, sizeof packet->from);
        message->msg_namelen = sizeof packet->from;
    }
    message->msg_flags = 0;
    add_stamp(message, fd, packet);
    free(packet);
    return PACKET_BYTES;
}

EXPORT ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    return is_ours(fd) ? receive(fd, message) : syscall(SYS_recvmsg, fd, message, flags);
}

EXPORT int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout)
{
    unsigned received = 0;
    ssize_t length;

    if (!is_ours(fd))
        return (int)syscall(SYS_recvmmsg, fd, messages, count, flags, timeout);
    while (received < count && (length = receive(fd, &messages[received].msg_hdr)) >= 0)
        messages[received++].msg_len = (unsigned)length;
    return received ? (int)received : -1;
}

EXPORT ssize_t recvfrom(int fd, void *restrict data, size_t length, int flags, struct sockaddr *restrict from,
                        socklen_t *restrict size)
{
    struct iovec part = {data, length};
    struct msghdr message = {.msg_name = from, .msg_namelen = size ? *size : 0, .msg_iov = &part, .msg_iovlen = 1};
    ssize_t received;

    if (!is_ours(fd))
        return syscall(SYS_recvfrom, fd, data, length, flags, from, size);
    received = receive(fd, &message);
    if (size && received >= 0)
        *size = message.msg_namelen;
    return received;
}
