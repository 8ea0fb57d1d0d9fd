/*
 * The hardware clock: /dev/rtc, /dev/rtc0 and /dev/misc/rtc, as far as hwclock uses them, and what sysfs shows
 * of it in /sys/class/rtc/rtc0/since_epoch.
 *
 * Opening a device gives a read-only descriptor of the state file. So the kernel keeps track of it through dup,
 * fork, exec and close, and an ioctl recognises it by its inode.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/rtc.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "labclock.h"

#define SECONDS_A_DAY 86400

static int fail(int error)
{
    errno = error;
    return -1;
}

/* ---- dates ------------------------------------------------------------------------------------------ */

static int is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int days_in_month(int64_t year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return month == 1 && is_leap(year) ? 29 : days[month];
}

/* From 1970-01-01 to the first of January of a year not before it. 64 bits: 2038 is a year like others. */
static int64_t days_until_year(int64_t year)
{
    int64_t y = year - 1;

    return (year - 1970) * 365 + (y / 4 - 1969 / 4) - (y / 100 - 1969 / 100) + (y / 400 - 1969 / 400);
}

/* rtc_valid_tm() of the kernel. */
static int is_valid(const struct rtc_time *tm)
{
    return tm->tm_year >= 70 && tm->tm_year <= 330 && tm->tm_mon >= 0 && tm->tm_mon < 12 &&
           tm->tm_mday >= 1 && tm->tm_mday <= days_in_month(tm->tm_year + 1900, tm->tm_mon) && tm->tm_hour >= 0 &&
           tm->tm_hour < 24 && tm->tm_min >= 0 && tm->tm_min < 60 && tm->tm_sec >= 0 && tm->tm_sec < 60;
}

static int64_t to_seconds(const struct rtc_time *tm)
{
    int64_t days = days_until_year(tm->tm_year + 1900);

    for (int month = 0; month < tm->tm_mon; month++)
        days += days_in_month(tm->tm_year + 1900, month);
    days += tm->tm_mday - 1;
    return days * SECONDS_A_DAY + tm->tm_hour * 3600 + tm->tm_min * 60 + tm->tm_sec;
}

static void from_seconds(int64_t seconds, struct rtc_time *tm)
{
    int64_t days = seconds / SECONDS_A_DAY, rest = seconds % SECONDS_A_DAY;
    int64_t year = 1970 + days / 366; /* never too late, at most a few years early */
    int month = 0;

    while (days >= days_until_year(year + 1))
        year++;
    memset(tm, 0, sizeof *tm);
    tm->tm_year = (int)(year - 1900);
    tm->tm_wday = (int)((days + 4) % 7); /* 1970-01-01 was a Thursday */
    days -= days_until_year(year);
    tm->tm_yday = (int)days;
    while (days >= days_in_month(year, month))
        days -= days_in_month(year, month++);
    tm->tm_mon = month;
    tm->tm_mday = (int)days + 1;
    tm->tm_hour = (int)(rest / 3600);
    tm->tm_min = (int)(rest % 3600 / 60);
    tm->tm_sec = (int)(rest % 60);
}

/* ---- reading and setting ---------------------------------------------------------------------------- */

/* Seconds since 1970, or -1: an RTC that holds no valid time, as after its battery died, or that is broken. */
static int64_t shown_seconds(const struct labclock_state *state)
{
    int64_t ns = labclock_rtc_ns(state, state->mono_ns);

    return state->rtc_fault == RTC_READ_FAILS || ns < 0 ? -1 : ns / NS_PER_SECOND;
}

static int read_rtc(const struct labclock_state *state, struct rtc_time *tm)
{
    int64_t seconds = shown_seconds(state);

    if (seconds < 0)
        return fail(EINVAL); /* what the kernel says then */
    from_seconds(seconds, tm);
    return 0;
}

static int edit_rtc(struct labclock_state *state, void *tm)
{
    if (!labclock_may_set(state))
        return EACCES;
    if (state->rtc_fault == RTC_WRITE_FAILS)
        return EPERM;
    /* The PC's chip starts its next second half a second after it is set, and hwclock aims at that. */
    state->rtc_ns = to_seconds(tm) * NS_PER_SECOND + NS_PER_SECOND / 2;
    state->rtc_mono_ns = state->mono_ns;
    state->rtc_sets++;
    return 0;
}

/* Until the driver repairs the chip, or a signal ends the wait. */
static int hang(struct labclock_state *state)
{
    const struct timespec nap = {0, 50000000};

    while (state->rtc_fault == RTC_HANGS) {
        if (syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &nap, NULL) != 0)
            return -1;
        labclock_look(state);
    }
    return 0;
}

static int rtc_ioctl(unsigned long request, void *argument)
{
    struct labclock_state state;
    int error;

    labclock_look(&state);
    if (request == RTC_SET_TIME) {
        if (!is_valid(argument))
            return fail(EINVAL);
        error = labclock_change(edit_rtc, argument);
        return error ? fail(error) : 0;
    }
    /* This fault stands for an hwclock that waits for the turn of a second forever. RTC_SET_TIME does not wait for it. */
    if (hang(&state) != 0)
        return -1;
    switch (request) {
    case RTC_RD_TIME:
        return read_rtc(&state, argument);
    default: /* no interrupts: hwclock then watches for the turn of the second, as on many boards */
        return fail(EINVAL);
    }
}

EXPORT int ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;
    void *argument;

    va_start(arguments, request);
    argument = va_arg(arguments, void *);
    va_end(arguments);

    if (_IOC_TYPE(request) == 'p') {
        if (labclock_is_state_file(fd))
            return rtc_ioctl(request, argument);
        if (request == RTC_SET_TIME) /* whatever that is, we cannot set it */
            return fail(EPERM);
    }
    return (int)syscall(SYS_ioctl, fd, request, argument);
}

/* ---- opening ---------------------------------------------------------------------------------------- */

static int is_rtc(const char *path)
{
    static const char *const names[] = {"/dev/rtc", "/dev/rtc0", "/dev/misc/rtc"};

    for (unsigned i = 0; path && i < sizeof names / sizeof names[0]; i++)
        if (strcmp(path, names[i]) == 0)
            return 1;
    return 0;
}

static int is_since_epoch(const char *path)
{
    return path && strcmp(path, "/sys/class/rtc/rtc0/since_epoch") == 0 && labclock_attached();
}

/* A file with the seconds of this moment. An unreadable one can be opened, as in sysfs, but reading it fails:
 * read(2) of an epoll instance fails with EINVAL. */
static int open_since_epoch(int flags)
{
    char text[24], *first = text + sizeof text;
    struct labclock_state state;
    int64_t seconds;
    int fd;

    labclock_look(&state);
    if (!state.has_rtc)
        return fail(ENOENT);
    if ((flags & O_ACCMODE) != O_RDONLY)
        return fail(EACCES);
    seconds = shown_seconds(&state);
    if (seconds < 0)
        return (int)syscall(SYS_epoll_create1, flags & O_CLOEXEC ? EPOLL_CLOEXEC : 0);
    *--first = '\n';
    do
        *--first = (char)('0' + seconds % 10);
    while (seconds /= 10);
    fd = (int)syscall(SYS_memfd_create, "since_epoch", flags & O_CLOEXEC ? MFD_CLOEXEC : 0);
    if (fd >= 0)
        syscall(SYS_pwrite64, fd, first, text + sizeof text - first, 0);
    return fd;
}

static int open_file(int directory, const char *path, int flags, mode_t mode)
{
    struct labclock_state state;

    if (is_since_epoch(path))
        return open_since_epoch(flags);
    if (!is_rtc(path) || !labclock_attached())
        return (int)syscall(SYS_openat, directory, path, flags, mode);
    labclock_look(&state);
    if (!state.has_rtc)
        return fail(ENOENT);
    if (syscall(SYS_geteuid) != 0)
        return fail(EACCES); /* only root may open the device */
    return (int)syscall(SYS_openat, AT_FDCWD, LABCLOCK_PATH, O_RDONLY | (flags & O_CLOEXEC), 0);
}

/* The mode argument exists only if the flags say so. */
#define MODE(flags, mode)                                                \
    do {                                                                 \
        if (((flags) & O_CREAT) || ((flags) & O_TMPFILE) == O_TMPFILE) { \
            va_list arguments;                                           \
            va_start(arguments, flags);                                  \
            mode = va_arg(arguments, mode_t);                            \
            va_end(arguments);                                           \
        }                                                                \
    } while (0)

EXPORT int open(const char *path, int flags, ...)
{
    mode_t mode = 0;

    MODE(flags, mode);
    return open_file(AT_FDCWD, path, flags, mode);
}

EXPORT int open64(const char *path, int flags, ...)
{
    mode_t mode = 0;

    MODE(flags, mode);
    return open_file(AT_FDCWD, path, flags | O_LARGEFILE, mode);
}

EXPORT int openat(int directory, const char *path, int flags, ...)
{
    mode_t mode = 0;

    MODE(flags, mode);
    return open_file(directory, path, flags, mode);
}

EXPORT int openat64(int directory, const char *path, int flags, ...)
{
    mode_t mode = 0;

    MODE(flags, mode);
    return open_file(directory, path, flags | O_LARGEFILE, mode);
}

/* What open becomes in a program built with _FORTIFY_SOURCE. */
EXPORT int __open_2(const char *path, int flags)
{
    return open_file(AT_FDCWD, path, flags, 0);
}

EXPORT int __open64_2(const char *path, int flags)
{
    return open_file(AT_FDCWD, path, flags | O_LARGEFILE, 0);
}

EXPORT int __openat_2(int directory, const char *path, int flags)
{
    return open_file(directory, path, flags, 0);
}

EXPORT int __openat64_2(int directory, const char *path, int flags)
{
    return open_file(directory, path, flags | O_LARGEFILE, 0);
}

/* Python 2 reads files by stdio, which opens them inside libc. This is libc's other name for its own fopen. */
extern FILE *_IO_fopen(const char *path, const char *mode);

static FILE *open_stream(const char *path, const char *mode)
{
    int fd;

    if (!is_since_epoch(path))
        return _IO_fopen(path, mode);
    fd = open_since_epoch(mode[0] == 'r' && mode[1] != '+' ? O_RDONLY : O_RDWR);
    return fd < 0 ? NULL : fdopen(fd, mode);
}

EXPORT FILE *fopen(const char *path, const char *mode)
{
    return open_stream(path, mode);
}

EXPORT FILE *fopen64(const char *path, const char *mode)
{
    return open_stream(path, mode);
}
