"""Kubernetes Jobs: described by pure functions, created or adopted, observed by lists, explained, swept away."""
