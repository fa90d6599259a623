"""KVM exit semantics, small enough to read and real enough to trust.

Start with :mod:`kvmexit.exits` (the words), then :mod:`kvmexit.kernel` (two kernels that
speak them), :mod:`kvmexit.vmm.machine` (the loop between exit and entry) and
:mod:`kvmexit.packet.experiment` (where the suspend lands, and what comes of it).
"""

__version__ = "0.1.0"
