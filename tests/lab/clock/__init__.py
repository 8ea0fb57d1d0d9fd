"""A separate clock and RTC for each host of the lab: ``from tests.lab.clock import LIBRARY, Clock``.

(There can be no ``labclock.py``: Python would take ``labclock.so`` beside it for an extension module.)
"""

from .clock import LIBRARY, Clock

__all__ = ["LIBRARY", "Clock"]
