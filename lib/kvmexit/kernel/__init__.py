"""Who runs the guest: the simulated KVM, the real one, or a recording of the real one.

``SimulatedKernel``, ``RealKernel`` and ``RecordedKernel`` make virtual machines that speak the
vocabulary of :mod:`kvmexit.exits`; ``Recorder`` writes down what a real one does, ``shipped`` finds
the recordings of the book. ``MACHINES`` are the rows by which machines differ: where the program
counter is at an exit. ``Ram`` is what ``vm.memory`` is. Below the real one lie
:mod:`kvmexit.kernel.abi` (linux/kvm.h in Python), :mod:`kvmexit.kernel.kvm_run` (the shared page)
and :mod:`kvmexit.kernel.kick` (how a thread is got out of KVM_RUN).
"""

from kvmexit.faces import face

__getattr__, __dir__, __all__ = face(__name__)
