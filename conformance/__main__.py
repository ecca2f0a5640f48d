"""`python -m conformance` is `agents-conformance`."""

from conformance.cli import main

main()
