"""How a run is seen: as text, as a film, as figures, and as questions.

``film``, ``atlas_map`` and ``explore`` move; so do the pictures ``kicks``, ``migration``,
``two_machines``, ``chances``, ``parks`` and ``walk``, each with one control. ``strip``, ``grid``,
``devices``, ``odds`` and ``dots`` are figures; ``predict`` asks, ``text`` tells, ``listing`` and
``card`` show, ``wants`` puts an exit into words.
"""

from kvmexit.faces import face

__getattr__, __dir__, __all__ = face(__name__)
