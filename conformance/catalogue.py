"""Every check there is: the rules and the scenarios, found and declared."""

from __future__ import annotations

import importlib.util
import sys

from conformance import paths, rules
from conformance.checks import REGISTRY, Check


def load() -> dict[str, Check]:
    """Import everything that declares a check, and return the registry: all rules and all scenarios."""
    rules.load()
    for file in sorted(paths.bundle("scenarios").glob("test_*.py")):
        name = f"conformance_scenarios.{file.stem}"
        if name not in sys.modules:
            spec = importlib.util.spec_from_file_location(name, file)
            if spec is None or spec.loader is None:
                raise ImportError(f"{file} cannot be imported")
            module = sys.modules[name] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
    return dict(sorted(REGISTRY.items()))
