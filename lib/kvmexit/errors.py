"""The one family of errors that a reader's input, or a reader's machine, can cause."""


class KvmExitError(Exception):
    """What was wrong and what to do about it, in one line.

    The command line prints the text and ends with status 2. Everything else that is raised
    is a mistake in this library.
    """
