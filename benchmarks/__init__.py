"""Measure what the suite promises of its own speed and size, both sides in one run (`python -m benchmarks`)."""
