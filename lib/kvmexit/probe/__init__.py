"""Any code, probed: at which exits does it leave, and what does a save at each of them do?

``case`` makes a ``Case`` of a line of assembly, ``atlas_cases`` has those of the atlas. ``probe``
saves at each of their exits in the ways of ``SAVES`` and gives each a ``Verdict``. ``drain_repeat``
counts how long a drain can be, ``STORIES`` are the first runs of the book, ``ANOMALIES`` lists
where KVM's emulator and a processor part. :mod:`kvmexit.probe.fuzz` holds two kernels against each
other.
"""

from kvmexit.faces import face

__getattr__, __dir__, __all__ = face(__name__)
