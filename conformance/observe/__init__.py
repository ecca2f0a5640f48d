"""See what happens in a cluster: watch-driven waits, the live state of a release, the timeline of an operation."""
