"""Findings become a verdict, and the verdict the files that people and CI read."""
