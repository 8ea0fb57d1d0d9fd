"""The clock of a lab host, read and set from outside the host.

Inside, every program reads and sets this clock through ``labclock.so`` (see ``labclock.h``). Out here the same
library does the arithmetic, on the same file.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import tempfile
from pathlib import Path

LIBRARY = Path(__file__).with_name("labclock.so")

# No program can change these; the driver uses them to inject faults.
RTC_FAULTS = (None, "read", "write", "hang")
#: A time before 1970 is none to the kernel's RTC; so far before it that no test waits until it is one.
EMPTY_S = 10**9


class _State(ctypes.Structure):
    """``struct labclock_state``."""

    _fields_ = [
        ("mono_ns", ctypes.c_int64),
        ("virt_ns", ctypes.c_int64),
        ("frac_ns", ctypes.c_double),
        ("hw_ppm", ctypes.c_double),
        ("freq_ppm", ctypes.c_double),
        ("offset_ns", ctypes.c_double),
        ("adjust_ns", ctypes.c_double),
        ("maxerror_us", ctypes.c_double),
        ("esterror_us", ctypes.c_double),
        ("reftime_s", ctypes.c_int64),
        ("constant", ctypes.c_int64),
        ("tick_us", ctypes.c_int64),
        ("tai_s", ctypes.c_int64),
        ("status", ctypes.c_int64),
        ("rtc_mono_ns", ctypes.c_int64),
        ("rtc_ns", ctypes.c_int64),
        ("rtc_ppm", ctypes.c_double),
        ("can_set", ctypes.c_int64),
        ("has_rtc", ctypes.c_int64),
        ("rtc_fault", ctypes.c_int64),
        ("steps", ctypes.c_uint64),
        ("adjtimes", ctypes.c_uint64),
        ("pll_updates", ctypes.c_uint64),
        ("rtc_sets", ctypes.c_uint64),
    ]


_loaded = None


def _library():
    """Load ``labclock.so``, once. Its clock calls stay private to it: ours remain libc's."""
    global _loaded  # noqa: PLW0603
    if _loaded is not None:
        return _loaded
    if not LIBRARY.exists():
        raise FileNotFoundError(f"{LIBRARY} is not built: run `make -C {LIBRARY.parent}`")
    library = ctypes.CDLL(str(LIBRARY), mode=os.RTLD_LOCAL)
    state, shared, number = ctypes.POINTER(_State), ctypes.c_void_p, ctypes.c_int64
    for name, result, arguments in (
        ("state_bytes", ctypes.c_uint64, []),
        ("shared_bytes", ctypes.c_uint64, []),
        ("create", None, [shared, state]),
        ("is_clock", ctypes.c_int, [shared]),
        ("reset", None, [state]),
        ("advance", None, [state, number]),
        ("snapshot", ctypes.c_uint64, [shared, state]),
        ("commit", ctypes.c_int, [shared, ctypes.c_uint64, state]),
        ("rtc_ns", number, [state, number]),
        ("true_ns", number, [ctypes.POINTER(number)]),
    ):
        function = getattr(library, f"labclock_{name}")
        function.restype, function.argtypes = result, arguments
    if library.labclock_state_bytes() != ctypes.sizeof(_State):
        raise RuntimeError("clock.py and labclock.so do not describe the same state: build it again")
    _loaded = library
    return library


def _now():
    """The machine's time of day and its monotonic clock at one instant, in nanoseconds."""
    mono = ctypes.c_int64()
    true_ns = _library().labclock_true_ns(ctypes.byref(mono))
    return true_ns, mono.value


def _wanted(true_ns, epoch, offset_s, default_ns):
    """Nanoseconds since 1970, from a time or from a distance to the true time."""
    if epoch is not None and offset_s is not None:
        raise ValueError("give a time or an offset from the true time, not both")
    if epoch is not None:
        return round(epoch * 1e9)
    if offset_s is not None:
        return true_ns + round(offset_s * 1e9)
    return default_ns


class Clock:
    """One host's clock and RTC. Times are seconds since 1970, errors are seconds ahead of the true time."""

    def __init__(self, path):
        self.path = Path(path)
        library = _library()
        size = library.labclock_shared_bytes()
        with self.path.open("r+b") as file:
            if os.fstat(file.fileno()).st_size != size:
                raise ValueError(f"{self.path} is not a clock of this lab")
            self._map = mmap.mmap(file.fileno(), size)
        self._shared = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        if not library.labclock_is_clock(self._shared):
            raise ValueError(f"{self.path} is not a clock of this lab")

    @classmethod
    def create(
        cls,
        path,
        epoch=None,
        offset_s=None,
        hw_ppm=0.0,
        rtc_epoch=None,
        rtc_offset_s=None,
        has_rtc=True,
        can_set=True,
        rtc_ppm=0.0,
    ):
        """Make the state file of a new host. By default the clock is right, and the RTC shows the same time."""
        library = _library()
        true_ns, mono_ns = _now()
        state = _State(mono_ns=mono_ns, rtc_mono_ns=mono_ns, hw_ppm=hw_ppm, rtc_ppm=rtc_ppm)
        state.can_set, state.has_rtc = bool(can_set), bool(has_rtc)
        state.virt_ns = _wanted(true_ns, epoch, offset_s, true_ns)
        state.rtc_ns = _wanted(true_ns, rtc_epoch, rtc_offset_s, state.virt_ns)
        library.labclock_reset(state)
        content = ctypes.create_string_buffer(library.labclock_shared_bytes())
        library.labclock_create(content, state)

        # Written atomically, and writable for all: any program in the host may map the file, and the library decides like the
        # kernel which one may set the clock.
        path = Path(path)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as file:
            file.write(content.raw)
        os.chmod(file.name, 0o666)
        os.replace(file.name, path)
        return cls(path)

    def _look(self):
        """The state now, and the true time at the same instant."""
        library = _library()
        state = _State()
        library.labclock_snapshot(self._shared, state)
        true_ns, mono_ns = _now()
        library.labclock_advance(state, mono_ns)
        return state, true_ns

    def _change(self, edit):
        """Edit the current state; retry if a program of the host was faster."""
        library = _library()
        state = _State()
        while True:
            seen = library.labclock_snapshot(self._shared, state)
            true_ns, mono_ns = _now()
            library.labclock_advance(state, mono_ns)
            edit(state, true_ns)
            if library.labclock_commit(self._shared, seen, state):
                return

    def now(self):
        """What the host's clock shows."""
        return self._look()[0].virt_ns / 1e9

    def error(self):
        """How far the host's clock is ahead of the true time."""
        state, true_ns = self._look()
        return (state.virt_ns - true_ns) / 1e9

    def rtc_now(self):
        """What the host's RTC shows, to the fraction of a second that a program cannot see."""
        state, _ = self._look()
        return _library().labclock_rtc_ns(state, state.mono_ns) / 1e9

    def rtc_error(self):
        """How far the host's RTC is ahead of the true time."""
        state, true_ns = self._look()
        return (_library().labclock_rtc_ns(state, state.mono_ns) - true_ns) / 1e9

    def set(self, epoch=None, offset_s=None):
        """Set the clock to a wrong (or the right) time as if its oscillator had jumped: without a program, without a notice to
        programs, and without ending a slew."""

        def edit(state, true_ns):
            state.virt_ns = _wanted(true_ns, epoch, offset_s, true_ns)
            state.frac_ns = 0

        self._change(edit)

    def oscillator(self, ppm):
        """Make the clock's oscillator too fast by this much from now on, like a change of temperature."""

        def edit(state, _):
            state.hw_ppm = ppm

        self._change(edit)

    def set_rtc(self, epoch=None, offset_s=None):
        """Set the RTC to a wrong (or the right) time, like a flat battery."""

        def edit(state, true_ns):
            state.rtc_ns = _wanted(true_ns, epoch, offset_s, true_ns)
            state.rtc_mono_ns = state.mono_ns

        self._change(edit)

    def empty_rtc(self):
        """Leave the RTC as a dead battery does: it holds no time and cannot be read until it is set."""
        self.set_rtc(epoch=-EMPTY_S)

    def boot(self):
        """Simulate a boot: the clock gets the RTC's time (1970 if it cannot be read), the discipline is reset. The counters
        stay."""

        def edit(state, _):
            readable = state.has_rtc and not state.rtc_fault
            state.virt_ns = max(0, _library().labclock_rtc_ns(state, state.mono_ns)) if readable else 0
            _library().labclock_reset(state)

        self._change(edit)

    def allow_set(self, allowed):
        """Whether programs may set the clock and the RTC at all; in many containers they may not."""

        def edit(state, _):
            state.can_set = bool(allowed)

        self._change(edit)

    def rtc(self, present):
        """Whether there is an RTC."""

        def edit(state, _):
            state.has_rtc = bool(present)

        self._change(edit)

    def rtc_fault(self, fault):
        """Break the RTC: reading fails (``read``), setting fails (``write``), every ioctl but the one that sets it blocks until
        this is taken back (``hang``); ``None`` repairs it."""
        number = RTC_FAULTS.index(fault)

        def edit(state, _):
            state.rtc_fault = number

        self._change(edit)

    @property
    def counters(self):
        """How often programs of the host stepped the clock, slewed it, updated the kernel's PLL, set the RTC."""
        state, _ = self._look()
        return {name: getattr(state, name) for name in ("steps", "adjtimes", "pll_updates", "rtc_sets")}

    @property
    def frequency_ppm(self):
        """The frequency correction that programs have set."""
        return self._look()[0].freq_ppm
