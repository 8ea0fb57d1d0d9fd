/*
 * How a host's clock moves.
 *
 * Between two changes everything has a closed form, so a reader computes the time from the last state and
 * CLOCK_MONOTONIC alone and writes nothing. The rules and limits are those of Linux, kernel/time/ntp.c
 * (second_overflow, ntp_update_offset, process_adjtimex_modes) and timekeeping.c; where the kernel works at
 * the turn of a second, here the seconds are counted from the last change instead.
 */
#define _GNU_SOURCE
#include <errno.h>

#include "labclock.h"

/* include/linux/timex.h and kernel/time/ntp.c */
#define SHIFT_PLL 2             /* the PLL removes 2^-(SHIFT_PLL + constant) of the offset a second */
#define SHIFT_FLL 2
#define MAX_CONSTANT 10
#define MAX_OFFSET_NS 500e6     /* MAXPHASE */
#define MAX_FREQUENCY_PPM 500.0 /* MAXFREQ */
#define MAX_ERROR_US 16e6       /* NTP_PHASE_LIMIT */
#define ERROR_US_PER_S 500.0    /* how fast the error bound grows when it is not updated */
#define SLEW_NS_PER_S 500e3     /* MAX_TICKADJ: adjtime moves the clock by 500 us a second */
#define FLL_FROM_S 256          /* MINSEC */
#define FLL_ALWAYS_S 2048       /* MAXSEC */
#define TICK_US 10000           /* one tick at USER_HZ 100; a microsecond more of it is 100 ppm */
#define TICK_PPM 100.0

/* The kernel's own bits within adjtime's two modes, ADJ_OFFSET_SINGLESHOT and ADJ_OFFSET_SS_READ. */
#define ADJ_ADJTIME 0x8000
#define ADJ_READONLY 0x2000

static double clamp(double value, double low, double high)
{
    return value < low ? low : value > high ? high : value;
}

int64_t labclock_round(double value)
{
    return (int64_t)(value < 0 ? value - 0.5 : value + 0.5);
}

static double two_to_the_minus(int64_t n)
{
    return 1.0 / (double)(1LL << n);
}

/* Which part of a PLL offset is left after so many seconds: (1 - share) for each whole one, and a straight
 * line within the last, as the kernel spreads a second's share evenly over its ticks. */
static double offset_left(int64_t constant, double seconds)
{
    double share = two_to_the_minus(SHIFT_PLL + constant);
    int64_t whole = (int64_t)seconds;
    double left = 1.0 - share * (seconds - (double)whole);
    double power = 1.0 - share;

    for (; whole > 0; whole >>= 1, power *= power)
        if (whole & 1)
            left *= power;
    return left;
}

/* The state as it is when the machine has just started: the kernel's initial values. */
void labclock_reset(struct labclock_state *state)
{
    state->frac_ns = 0;
    state->freq_ppm = 0;
    state->offset_ns = 0;
    state->adjust_ns = 0;
    state->maxerror_us = MAX_ERROR_US;
    state->esterror_us = MAX_ERROR_US;
    state->reftime_s = 0;
    state->constant = 2;
    state->tick_us = TICK_US;
    state->tai_s = 0;
    state->status = STA_UNSYNC;
}

/* Let time pass until mono_ns of CLOCK_MONOTONIC. */
void labclock_advance(struct labclock_state *state, int64_t mono_ns)
{
    int64_t passed_ns = mono_ns - state->mono_ns;
    double seconds = (double)passed_ns / 1e9;
    double extra_ns, slewed, ppm;

    if (passed_ns <= 0) /* another process has read a moment later than we did */
        return;

    ppm = state->hw_ppm + state->freq_ppm + (double)(state->tick_us - TICK_US) * TICK_PPM;
    extra_ns = state->frac_ns + (double)passed_ns * ppm * 1e-6;

    if (state->offset_ns != 0) {
        slewed = state->offset_ns * (1.0 - offset_left(state->constant, seconds));
        state->offset_ns -= slewed;
        extra_ns += slewed;
    }
    if (state->adjust_ns != 0) {
        slewed = clamp(state->adjust_ns, -SLEW_NS_PER_S * seconds, SLEW_NS_PER_S * seconds);
        state->adjust_ns -= slewed;
        extra_ns += slewed;
    }
    state->maxerror_us += ERROR_US_PER_S * seconds;
    if (state->maxerror_us > MAX_ERROR_US) {
        state->maxerror_us = MAX_ERROR_US;
        state->status |= STA_UNSYNC;
    }

    state->mono_ns = mono_ns;
    state->virt_ns += passed_ns + labclock_round(extra_ns);
    state->frac_ns = extra_ns - (double)labclock_round(extra_ns);
}

int64_t labclock_rtc_ns(const struct labclock_state *state, int64_t mono_ns)
{
    int64_t passed_ns = mono_ns - state->rtc_mono_ns;

    return state->rtc_ns + passed_ns + labclock_round((double)passed_ns * state->rtc_ppm * 1e-6);
}

/* A program sets the clock. As ntp_clear() does: a pending slew is void, the learnt frequency stays. */
void labclock_step(struct labclock_state *state, int64_t virt_ns)
{
    /* chronyd tries the call with a zero step before it relies on it: only a step that moves the clock counts. */
    state->steps += virt_ns != state->virt_ns;
    state->virt_ns = virt_ns;
    state->frac_ns = 0;
    state->offset_ns = 0;
    state->adjust_ns = 0;
    state->maxerror_us = MAX_ERROR_US;
    state->esterror_us = MAX_ERROR_US;
    state->status |= STA_UNSYNC;
}

/* process_adj_status(): turning the PLL off clears even the bits programs cannot set. */
static void set_status(struct labclock_state *state, int64_t status)
{
    int64_t kept = state->status & STA_RONLY;

    if ((state->status & STA_PLL) && !(status & STA_PLL))
        kept = 0;
    if (!(state->status & STA_PLL) && (status & STA_PLL))
        state->reftime_s = state->virt_ns / NS_PER_SECOND;
    state->status = kept | (status & ~STA_RONLY);
}

/* ntp_update_offset(): the daemon hands the kernel an offset; phase and frequency both learn from it. */
static void set_offset(struct labclock_state *state, double offset_ns)
{
    int64_t now_s = state->virt_ns / NS_PER_SECOND;
    int64_t seconds = state->status & STA_FREQHOLD ? 0 : now_s - state->reftime_s;
    int64_t longest = 1LL << (SHIFT_PLL + 1 + state->constant);
    double change_ppm = 0;

    if (!(state->status & STA_PLL))
        return;
    offset_ns = clamp(offset_ns, -MAX_OFFSET_NS, MAX_OFFSET_NS);
    state->reftime_s = now_s;

    state->status &= ~STA_MODE;
    if (seconds >= FLL_FROM_S && ((state->status & STA_FLL) || seconds > FLL_ALWAYS_S)) {
        state->status |= STA_MODE;
        change_ppm = offset_ns * two_to_the_minus(SHIFT_FLL) / (double)seconds * 1e-3;
    }
    if (seconds > longest)
        seconds = longest;
    change_ppm += offset_ns * 1e-3 * (double)seconds * two_to_the_minus(2 * (SHIFT_PLL + 2 + state->constant));

    state->freq_ppm = clamp(state->freq_ppm + change_ppm, -MAX_FREQUENCY_PPM, MAX_FREQUENCY_PPM);
    state->offset_ns = offset_ns;
    state->pll_updates++;
}

static void set_modes(struct labclock_state *state, const struct timex *ask)
{
    unsigned modes = ask->modes;

    if (modes & ADJ_STATUS)
        set_status(state, ask->status);
    if (modes & ADJ_NANO)
        state->status |= STA_NANO;
    if (modes & ADJ_MICRO)
        state->status &= ~STA_NANO;
    if (modes & ADJ_FREQUENCY)
        state->freq_ppm = clamp((double)ask->freq / 65536.0, -MAX_FREQUENCY_PPM, MAX_FREQUENCY_PPM);
    if (modes & ADJ_MAXERROR)
        state->maxerror_us = clamp((double)ask->maxerror, 0, MAX_ERROR_US);
    if (modes & ADJ_ESTERROR)
        state->esterror_us = clamp((double)ask->esterror, 0, MAX_ERROR_US);
    if (modes & ADJ_TIMECONST) {
        /* In microsecond mode programs count the constant in the older scale, four lower. */
        int64_t scale = state->status & STA_NANO ? 0 : 4;
        state->constant = (int64_t)clamp((double)ask->constant, 0, MAX_CONSTANT) + scale;
        state->constant = (int64_t)clamp((double)state->constant, 0, MAX_CONSTANT);
    }
    if ((modes & ADJ_TAI) && ask->constant >= 0 && ask->constant <= 100000)
        state->tai_s = ask->constant;
    if (modes & ADJ_OFFSET)
        set_offset(state, (double)ask->offset * (state->status & STA_NANO ? 1.0 : 1e3));
    if (modes & ADJ_TICK)
        state->tick_us = ask->tick;
}

/* timekeeping_validate_timex(): what the kernel refuses before it changes anything. */
static int refuse(const struct timex *ask)
{
    long limit = ask->modes & ADJ_NANO ? NS_PER_SECOND : 1000000;

    if (ask->modes & ADJ_ADJTIME)
        return ask->modes & ADJ_OFFSET ? 0 : EINVAL;
    if ((ask->modes & ADJ_TICK) && (ask->tick < TICK_US * 9 / 10 || ask->tick > TICK_US * 11 / 10))
        return EINVAL;
    if ((ask->modes & ADJ_SETOFFSET) && (ask->time.tv_usec < 0 || ask->time.tv_usec >= limit))
        return EINVAL;
    return 0;
}

/* adjtimex(2) on a state that has been advanced to now. Returns 0 or an errno; the answer holds what the
 * kernel would write back. The caller checks the permission. */
int labclock_discipline(struct labclock_state *state, const struct timex *ask, struct timex *answer)
{
    int error = refuse(ask);
    double unit_ns;

    if (error)
        return error;

    if (!(ask->modes & ADJ_ADJTIME) && (ask->modes & ADJ_SETOFFSET)) {
        int64_t unit = ask->modes & ADJ_NANO ? 1 : 1000;
        int64_t target = state->virt_ns + labclock_ns(ask->time.tv_sec, ask->time.tv_usec * unit);
        if (target < 0 || target / NS_PER_SECOND > LABCLOCK_LAST_S)
            return EINVAL;
        labclock_step(state, target);
    }

    *answer = *ask;
    if (ask->modes & ADJ_ADJTIME) {
        answer->offset = labclock_round(state->adjust_ns / 1e3);
        if (!(ask->modes & ADJ_READONLY)) {
            state->adjust_ns = (double)ask->offset * 1e3;
            state->adjtimes++;
        }
    } else {
        set_modes(state, ask);
        answer->offset = labclock_round(state->offset_ns / (state->status & STA_NANO ? 1.0 : 1e3));
    }

    unit_ns = state->status & STA_NANO ? 1.0 : 1e3;
    answer->freq = labclock_round(state->freq_ppm * 65536.0);
    answer->maxerror = labclock_round(state->maxerror_us);
    answer->esterror = labclock_round(state->esterror_us);
    answer->status = (int)state->status;
    answer->constant = state->constant;
    answer->precision = 1;
    answer->tolerance = (long)(MAX_FREQUENCY_PPM * 65536.0);
    answer->tick = state->tick_us;
    answer->tai = (int)state->tai_s;
    answer->time.tv_sec = labclock_timespec(state->virt_ns).tv_sec;
    answer->time.tv_usec = labclock_timespec(state->virt_ns).tv_nsec / (int64_t)unit_ns;
    return 0;
}
