"""Differential fuzzing: random programs, run on two kernels, which must not differ."""
