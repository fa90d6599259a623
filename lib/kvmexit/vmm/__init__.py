"""Who serves the guest's exits: a run loop and its ways to stop, a bus, and the TPM behind it.

``Machine`` is the loop, suspended by a ``Policy`` (``POLICIES``: ``save_at_once``, ``skip_entry``,
``kick_once``, ``serve_once``, ``drain``), its device put right, or not, by a compensation
(``COMPENSATIONS``). ``Bus`` carries an exit to a ``Device``; ``DEVICES`` are the TPMs of the book.
"""

from kvmexit.faces import face

__getattr__, __dir__, __all__ = face(__name__)
