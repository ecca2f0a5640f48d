"""pytest in the checkout knows the suite's options and fixtures."""

pytest_plugins = ["conformance.plugin"]
