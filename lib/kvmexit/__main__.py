"""``python -m kvmexit``, and the command ``kvmexit``: one process, from first line to end."""

from __future__ import annotations

from typing import NoReturn


def run() -> NoReturn:
    """Run the command line, and end as its status says."""
    try:
        # Imported here: Ctrl-C at any time from now on ends quietly.
        from kvmexit.commands import process

        process.prepare()
        status = process.outcome()
        process.says_no_more()
    except KeyboardInterrupt:
        status = 130
    from kvmexit.commands import process

    process.end(status)


if __name__ == "__main__":
    run()
