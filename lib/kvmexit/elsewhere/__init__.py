"""Real KVM on processors that are not here, and what it said there.

``recording_of`` gives what a real kernel of ``svm``, ``vmx``, ``arm64``, ``riscv64`` or ``powerpc``
was observed to do, ``provenance`` which kernel that was, ``simulation_of`` the same observations on
the simulator; ``rules`` and ``differences`` hold two of them against each other. ``ForeignKernel``
is the simulated KVM of the machines in ``ISAS``, which have guests in their own code. How real ones
are brought up is in :mod:`kvmexit.elsewhere.bring`.
"""

from kvmexit.faces import face

__getattr__, __dir__, __all__ = face(__name__)
