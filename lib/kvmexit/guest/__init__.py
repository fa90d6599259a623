"""What runs inside the machine: x86 as data, an assembler, the driver of 2011.

``assemble`` turns lines into a ``Program`` of machine code, ``decode`` reads machine code back.
``tis_driver`` is the Linux driver that reads a response byte by byte; ``PROGRAMS`` names its
variants. The rest are the registers of the TPM's TIS interface, and where the driver keeps what.
"""

from kvmexit.faces import face

__getattr__, __dir__, __all__ = face(__name__)
