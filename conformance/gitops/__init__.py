"""A real git repository and a real Argo CD: commit, revert, sync."""

from conformance.gitops.application import Application, Applications
from conformance.gitops.argocd import Controller
from conformance.gitops.overlay import Overlay
from conformance.gitops.repository import Repository

__all__ = ["Application", "Applications", "Controller", "Overlay", "Repository"]
