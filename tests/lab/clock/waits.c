/*
 * Waits until a time of day.
 *
 * A program adds its timeout to the time it reads, here the host's, and hands the sum to libc, which waits by the
 * machine's. With a clock eight years slow every such wait would end at once (a polling thread becomes a busy
 * loop), with a fast one it would never end. So the deadline is moved to the same instant of CLOCK_MONOTONIC, by
 * the functions made for that: sem_clockwait and pthread_cond_clockwait, which glibc has had since 2.30.
 *
 * They are bound weakly and only when first called: in glibc before 2.34 they live in libpthread, which a
 * program without threads has not loaded, and does not miss.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "labclock.h"

#pragma weak sem_clockwait
#pragma weak pthread_cond_clockwait

/* nptl/pthreadP.h: the bit of a condition variable that says which clock its attributes chose. */
#define COND_CLOCK_MONOTONIC 2u

#define FOR_EVER_S 4294967296LL /* a deadline after 2106 means forever */

/* The deadline of CLOCK_REALTIME as one of CLOCK_MONOTONIC. An invalid time is not changed, so that libc or the
 * kernel can refuse it. */
static struct timespec on_monotonic(const struct timespec *deadline)
{
    struct labclock_state state;
    int64_t moved_ns;

    if (deadline->tv_nsec < 0 || deadline->tv_nsec >= NS_PER_SECOND || deadline->tv_sec < 0 ||
        deadline->tv_sec > FOR_EVER_S)
        return *deadline;
    labclock_look(&state);
    moved_ns = state.mono_ns + (labclock_ns(deadline->tv_sec, deadline->tv_nsec) - state.virt_ns);
    return labclock_timespec(moved_ns > 0 ? moved_ns : 0); /* 0: long over */
}

EXPORT int clock_nanosleep(clockid_t clock, int flags, const struct timespec *request, struct timespec *left)
{
    struct timespec deadline = *request;
    int saved_errno = errno, error = 0;

    if (clock == CLOCK_REALTIME && (flags & TIMER_ABSTIME) && labclock_attached()) {
        deadline = on_monotonic(request);
        clock = CLOCK_MONOTONIC;
    }
    if (syscall(SYS_clock_nanosleep, clock, flags, &deadline, left) != 0)
        error = errno;
    errno = saved_errno;
    return error;
}

EXPORT int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict deadline)
{
    struct timespec moved;

    if (!labclock_attached())
        return sem_clockwait(semaphore, CLOCK_REALTIME, deadline);
    moved = on_monotonic(deadline);
    return sem_clockwait(semaphore, CLOCK_MONOTONIC, &moved);
}

EXPORT int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                                  const struct timespec *restrict deadline)
{
    int monotonic = (condition->__data.__wrefs & COND_CLOCK_MONOTONIC) != 0;
    struct timespec moved;

    if (monotonic || !labclock_attached())
        return pthread_cond_clockwait(condition, mutex, monotonic ? CLOCK_MONOTONIC : CLOCK_REALTIME,
                                      deadline);
    moved = on_monotonic(deadline);
    return pthread_cond_clockwait(condition, mutex, CLOCK_MONOTONIC, &moved);
}
