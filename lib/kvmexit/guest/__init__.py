"""What runs inside: a subset of x86 as machine code, an assembler, and the guest's programs."""
