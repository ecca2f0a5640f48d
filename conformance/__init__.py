"""Decides whether a Helm chart may be released, by living its life in real, short-lived kind clusters."""

__version__ = "0.1.0"
