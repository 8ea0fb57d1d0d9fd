/*
 * The state file, shared by every process of a host and by the driver outside.
 *
 * There is no lock, so no process can be killed, stopped or interrupted by a signal handler while it holds one. A
 * state is never changed in place. To change something, a process takes a ticket (a unique number), writes the
 * whole new state into that ticket's slot, and then makes it the current one by a single compare-and-swap, which
 * succeeds only if the state it was computed from is still current; else it starts again from the newer one. So no
 * change is lost and each counter is exact. A process killed half-way leaves a half-written slot that nothing
 * points to. (A change of rate counts from the moment it was computed for, some microseconds before it is seen: a
 * reader between the two may be a nanosecond ahead.)
 *
 * A reader copies the current slot and checks that it is still current. Slots are used in turn: to be
 * overwritten while current, a slot needs a writer that was stopped in the middle of copying 200 bytes and
 * wakes after a full round of other changes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "labclock.h"

static struct labclock_shared *attached;
static dev_t attached_device;
static ino_t attached_inode;

uint64_t labclock_state_bytes(void)
{
    return sizeof(struct labclock_state);
}

uint64_t labclock_shared_bytes(void)
{
    return sizeof(struct labclock_shared);
}

/* The machine's own clock; libc's clock_gettime is replaced by ours, hence the system call. */
int64_t labclock_machine_ns(clockid_t clock)
{
    struct timespec ts = {0, 0};

    syscall(SYS_clock_gettime, clock, &ts);
    return labclock_ns(ts.tv_sec, ts.tv_nsec);
}

/* The machine's time of day, and CLOCK_MONOTONIC at the same instant: no two calls are simultaneous, but one
 * between two others is, to within their distance. If that is wide we were put aside: try again. */
int64_t labclock_true_ns(int64_t *mono_ns)
{
    int64_t narrowest = INT64_MAX, true_ns = 0;

    for (int attempt = 0; attempt < 10 && narrowest > 2000; attempt++) {
        int64_t before = labclock_machine_ns(CLOCK_MONOTONIC);
        int64_t real = labclock_machine_ns(CLOCK_REALTIME);
        int64_t width = labclock_machine_ns(CLOCK_MONOTONIC) - before;

        if (width < narrowest) {
            narrowest = width;
            *mono_ns = before + width / 2;
            true_ns = real;
        }
    }
    return true_ns;
}

void labclock_create(struct labclock_shared *shared, const struct labclock_state *first)
{
    memset(shared, 0, sizeof *shared);
    shared->magic = LABCLOCK_MAGIC;
    memcpy(&shared->slot[0].state, first, sizeof *first);
}

int labclock_is_clock(const struct labclock_shared *shared)
{
    return shared->magic == LABCLOCK_MAGIC;
}

/* Copy the current state; returns its ticket. */
uint64_t labclock_snapshot(const struct labclock_shared *shared, struct labclock_state *state)
{
    uint64_t seen, still;

    do {
        seen = __atomic_load_n(&shared->current, __ATOMIC_ACQUIRE);
        memcpy(state, &shared->slot[seen % LABCLOCK_SLOTS].state, sizeof *state);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        still = __atomic_load_n(&shared->current, __ATOMIC_RELAXED);
    } while (seen != still);
    return seen;
}

/* Make this the current state, unless the current ticket is no longer the seen one. */
int labclock_commit(struct labclock_shared *shared, uint64_t seen, const struct labclock_state *state)
{
    uint64_t ticket;

    do { /* processes killed before they committed may have used up a whole round of tickets */
        ticket = __atomic_add_fetch(&shared->tickets, 1, __ATOMIC_RELAXED);
        if (__atomic_load_n(&shared->current, __ATOMIC_ACQUIRE) != seen)
            return 0;
    } while (ticket % LABCLOCK_SLOTS == seen % LABCLOCK_SLOTS);
    memcpy(&shared->slot[ticket % LABCLOCK_SLOTS].state, state, sizeof *state);
    return __atomic_compare_exchange_n(&shared->current, &seen, ticket, 0, __ATOMIC_ACQ_REL,
                                       __ATOMIC_RELAXED);
}

/* Map an open state file after checking that it is one. A file that is too short would cause a bus error later. */
static void attach(int fd)
{
    struct stat info;
    struct labclock_shared *map;

    if (syscall(SYS_fstat, fd, &info) != 0 || info.st_size < (off_t)sizeof *map)
        return;
    map = (void *)syscall(SYS_mmap, NULL, sizeof *map, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return;
    if (!labclock_is_clock(map)) {
        syscall(SYS_munmap, map, sizeof *map);
        return;
    }
    attached_device = info.st_dev;
    attached_inode = info.st_ino;
    __atomic_store_n(&attached, map, __ATOMIC_RELEASE);
}

/* Whether the host has a clock file. While there is none this is checked at each call: the first process of a
 * host may be older than the file. The file is not kept open, because daemons close descriptors that they do not
 * know. */
int labclock_attached(void)
{
    int saved_errno = errno;
    int fd;

    if (!__atomic_load_n(&attached, __ATOMIC_ACQUIRE)) {
        fd = (int)syscall(SYS_openat, AT_FDCWD, LABCLOCK_PATH, O_RDWR | O_CLOEXEC, 0);
        if (fd >= 0) {
            attach(fd);
            syscall(SYS_close, fd);
        }
        errno = saved_errno;
    }
    return __atomic_load_n(&attached, __ATOMIC_ACQUIRE) != NULL;
}

/* Before main: a daemon that changes its root later keeps its map. */
__attribute__((constructor)) static void attach_early(void)
{
    labclock_attached();
}

int labclock_is_state_file(int fd)
{
    struct stat info;
    int saved_errno = errno;
    int failed = syscall(SYS_fstat, fd, &info) != 0;

    errno = saved_errno;
    return !failed && labclock_attached() && info.st_dev == attached_device && info.st_ino == attached_inode;
}

/* The attached host's state as it is now. */
void labclock_look(struct labclock_state *state)
{
    labclock_snapshot(attached, state);
    labclock_advance(state, labclock_machine_ns(CLOCK_MONOTONIC));
}

/* Change the attached host's state. The edit may be made several times, each time on a fresh copy; it
 * returns 0, or an errno to leave everything as it is. */
int labclock_change(labclock_edit edit, void *argument)
{
    struct labclock_state state;
    uint64_t seen;
    int error;

    do {
        seen = labclock_snapshot(attached, &state);
        labclock_advance(&state, labclock_machine_ns(CLOCK_MONOTONIC));
        error = edit(&state, argument);
        if (error)
            return error;
    } while (!labclock_commit(attached, seen, &state));
    return 0;
}
