"""A stand-in for the part of a Kubernetes API server that Jobs need. It is not Kubernetes: see the README."""

from sandbox.cluster.api import Cluster
from sandbox.cluster.settings import ClusterSettings, Instant

__all__ = ["Cluster", "ClusterSettings", "Instant"]
