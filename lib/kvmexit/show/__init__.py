"""How a run is seen: as text, as a film, as figures, and as questions.

``film``, ``kicks`` and ``explore`` move; ``strip``, ``grid``, ``devices``, ``odds``, ``atlas``
and ``dots`` are figures; ``predict`` asks, ``text`` tells, ``listing`` and ``card`` show, ``wants``
puts an exit into words.
"""

from kvmexit.faces import face

__getattr__, __dir__, __all__ = face(__name__)
