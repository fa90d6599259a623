"""One packet, suspended: the experiment of the book, and all that can be asked of it.

``run`` suspends a ``Scenario`` at one ``Landing`` and classifies what became of the packet;
``sweep`` does so at every landing. ``invisibility`` asks whether a save can be told from none,
``suspend_often`` and ``long_test`` suspend many times, ``race`` at random times on real KVM, and
``simulate`` gives the machine a clock. ``kick_races`` lands a kick, in each order of its acts
(``KICKS``), everywhere around an entry; ``survives`` stops two vCPUs in two phases, or in one.
"""

from kvmexit.faces import face

__getattr__, __dir__, __all__ = face(__name__)
