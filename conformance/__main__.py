"""The command line's beginning; `python -m conformance` is `agents-conformance`."""

from __future__ import annotations

from conformance import interrupts


def main() -> None:
    """Run the command line. Loading it takes a moment, in which there is nothing to finish yet."""
    interrupts.end_at_once()
    from conformance import cli

    cli.main()


if __name__ == "__main__":
    main()
