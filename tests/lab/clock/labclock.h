/*
 * labclock: a separate clock and RTC for one host of the lab.
 *
 * labclock.so is named in the host's /etc/ld.so.preload, so every program there (ntpd, ntpdate, hwclock,
 * date, the minion) calls it instead of libc when it reads, sets, slews or disciplines the time. All of
 * them share one small file, bind-mounted at /run/labclock. The lab's driver works on the same file from
 * outside, with clock.py, which loads the same library: the arithmetic is not duplicated.
 *
 * The host has no CAP_SYS_TIME. Calls that bypass this library therefore end in EPERM, never in a changed machine
 * clock. Without the state file, reads return the machine's time and every set is refused.
 *
 *   model.c   how the clock moves: oscillator, slew, the kernel's discipline; the RTC. Pure arithmetic.
 *   shared.c  the state file: reading and changing it from many processes at once, without a lock.
 *   calls.c   the C library's clock calls.
 *   waits.c   the C library's waits until a time of day.
 *   rtc.c     /dev/rtc, and the file of sysfs that shows it.
 *
 * Limits. None of these are virtual:
 *   - file times, and whatever else the kernel stamps by itself (recvmsg corrects SO_TIMESTAMP);
 *   - the stamps of syslog(3), and any other time libc takes for its own use;
 *   - CLOCK_MONOTONIC, CLOCK_BOOTTIME, and CPU clocks: an NTP step does not move them either;
 *   - statically linked programs, and system calls a program makes past libc. hwclock --hctosys is one
 *     (its time zone goes to the kernel by syscall(2)) and fails with EPERM: at a start of the host the
 *     driver does its work;
 *   - waits on CLOCK_REALTIME other than sem_timedwait, pthread_cond_timedwait and clock_nanosleep:
 *     timerfd and timer_settime with an absolute time, pthread_mutex_timedlock, mq_timedreceive;
 *     and a wait that has begun is not cut short when the clock is stepped past its end;
 *   - pthread_cancel does not end the calls that are answered here by a separate system call, such as open;
 *   - leap seconds, PPS, the kernel's time zone and the RTC update the kernel makes by itself every
 *     11 minutes are left out; RTC alarms and interrupts are refused;
 *   - sysfs has only /sys/class/rtc/rtc0/since_epoch, and only for open: stat, access and readdir do not
 *     find it;
 *   - a daemon that changed its root before its first look at the clock sees the machine's clock.
 */
#ifndef LABCLOCK_H
#define LABCLOCK_H

#include <stdint.h>
#include <sys/timex.h>
#include <time.h>

#define LABCLOCK_PATH "/run/labclock"
/* "labclock", and the size of the state: a file made by another version is rejected. */
#define LABCLOCK_MAGIC (0x6b636f6c6362616cULL + sizeof(struct labclock_state))
#define LABCLOCK_SLOTS 64

#define LABCLOCK_LAST_S 8277292036LL /* TIME_SETTOD_SEC_MAX: the kernel takes no later time, in 2232 */

#define NS_PER_SECOND 1000000000LL

_Static_assert(sizeof(long) == 8, "the state file and the system calls used here are those of 64-bit Linux");

enum labclock_fault { RTC_WORKS, RTC_READ_FAILS, RTC_WRITE_FAILS, RTC_HANGS };

/* The whole state of one host's clocks. clock.py has the same list. */
struct labclock_state {
    /* The clock: at mono_ns of CLOCK_MONOTONIC it showed virt_ns since 1970. */
    int64_t mono_ns;
    int64_t virt_ns;
    double frac_ns; /* what rounding left over, so that a thousand small advances add up */
    double hw_ppm;  /* how fast the simulated oscillator runs without a correction */

    /* The discipline, under the names of struct timex. */
    double freq_ppm;
    double offset_ns; /* what the PLL still has to slew away */
    double adjust_ns; /* what adjtime still has to slew away */
    double maxerror_us;
    double esterror_us;
    int64_t reftime_s; /* when the PLL was last given an offset */
    int64_t constant;
    int64_t tick_us;
    int64_t tai_s;
    int64_t status;

    /* The RTC: at rtc_mono_ns it showed rtc_ns. */
    int64_t rtc_mono_ns;
    int64_t rtc_ns;
    double rtc_ppm;

    /* What the driver switches. */
    int64_t can_set;
    int64_t has_rtc;
    int64_t rtc_fault;

    /* What programs did: proof that a program moved the clock. */
    uint64_t steps;
    uint64_t adjtimes;
    uint64_t pll_updates;
    uint64_t rtc_sets;
};

/* The state file. */
struct labclock_shared {
    uint64_t magic;
    uint64_t current; /* the ticket whose slot holds the state */
    uint64_t tickets; /* the last ticket handed out */
    struct {
        struct labclock_state state;
        char room[256 - sizeof(struct labclock_state)];
    } slot[LABCLOCK_SLOTS];
};

/* The few functions that clock.py calls are visible outside, in addition to the replacements for libc's. */
#define EXPORT __attribute__((visibility("default")))

/* model.c */
EXPORT void labclock_reset(struct labclock_state *state);
EXPORT void labclock_advance(struct labclock_state *state, int64_t mono_ns);
EXPORT int64_t labclock_rtc_ns(const struct labclock_state *state, int64_t mono_ns);
void labclock_step(struct labclock_state *state, int64_t virt_ns);
int labclock_discipline(struct labclock_state *state, const struct timex *ask, struct timex *answer);
int64_t labclock_round(double value);

/* shared.c */
EXPORT uint64_t labclock_state_bytes(void);
EXPORT uint64_t labclock_shared_bytes(void);
EXPORT void labclock_create(struct labclock_shared *shared, const struct labclock_state *first);
EXPORT int labclock_is_clock(const struct labclock_shared *shared);
EXPORT uint64_t labclock_snapshot(const struct labclock_shared *shared, struct labclock_state *state);
EXPORT int labclock_commit(struct labclock_shared *shared, uint64_t seen, const struct labclock_state *state);
EXPORT int64_t labclock_true_ns(int64_t *mono_ns);

typedef int (*labclock_edit)(struct labclock_state *state, void *argument);
int labclock_attached(void);
int labclock_is_state_file(int fd);
void labclock_look(struct labclock_state *state);
int labclock_change(labclock_edit edit, void *argument);
int64_t labclock_machine_ns(clockid_t clock);

/* calls.c */
int labclock_may_set(const struct labclock_state *state);

/* Seconds and nanoseconds to nanoseconds; a time after the year 2262 is limited to that year. */
static inline int64_t labclock_ns(int64_t seconds, int64_t nanoseconds)
{
    const int64_t edge = INT64_MAX / NS_PER_SECOND - 1;

    if (seconds > edge)
        return INT64_MAX;
    if (seconds < -edge)
        return INT64_MIN;
    return seconds * NS_PER_SECOND + nanoseconds;
}

static inline struct timespec labclock_timespec(int64_t ns)
{
    struct timespec ts = {ns / NS_PER_SECOND, ns % NS_PER_SECOND};

    if (ts.tv_nsec < 0) { /* before 1970: C rounds towards zero, a timespec towards the past */
        ts.tv_nsec += NS_PER_SECOND;
        ts.tv_sec -= 1;
    }
    return ts;
}

#endif
