"""Lines of strace that come again and again: what can be said of one by looking it up.

Most lines of a long log are the same KVM_RUN. What it means when the same text comes again is a
number here, so that a line costs a lookup and no more (an enum's members would cost another).
"""

from __future__ import annotations

from kvmexit.tracelint.ioctls import ARM_ONLY, KVM_RUN, OF_BOTH, ROLES, STATE
from kvmexit.tracelint.strace_line import Call

COLD = 0  # it must be looked at
DULL = 1  # an ioctl of KVM's that the rule does not care about
RUN = 2  # a KVM_RUN that returned 0
BEGINS = 3  # a KVM_RUN begins
ENDS = 4  # whatever its thread had begun ends with 0
TOUCH = 5  # a state ioctl


def heat(call: Call) -> int:
    """Whether lines like this one can be judged without another look, and as what."""
    if call.resumed:
        return ENDS if call.result == 0 and call.made else COLD
    if call.name == KVM_RUN:
        if call.begun:
            return BEGINS
        return RUN if call.result == 0 and call.made else COLD
    if call.begun or not call.made or call.name in ARM_ONLY:
        return COLD
    if call.name not in ROLES:
        return DULL
    shared = call.name == OF_BOTH or call.name.endswith("_ONE_REG") or call.on
    return TOUCH if touches(call) and not shared else COLD


def touches(call: Call) -> bool:
    """Whether this is a state ioctl."""
    return ROLES.get(call.name) in STATE
