"""Pictures that move: one argument each, with one control beneath it.

:mod:`picture` is what they have in common; each other module computes the frames of one.
"""
