"""Real VMMs, stopped again and again: does their guest come through whole?

A VMM is started with a guest that reads a device in sequence, or writes it. It is paused, saved,
ended, started anew and loaded, many times; what the guest saw is counted. How likely a VMM that
saves at once would have shown a break is measured in the same run, so that *whole* is a finding
and not the absence of one. ``kvmexit conform`` is the command.
"""

from kvmexit.faces import face

__getattr__, __dir__, __all__ = face(__name__)
