"""The guests: machine code of arm64, riscv and powerpc, and what executes it without hardware."""
