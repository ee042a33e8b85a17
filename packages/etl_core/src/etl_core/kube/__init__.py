"""Kubernetes Jobs: describe one · create or adopt it · observe it · explain why it fails · sweep.

``describe``, ``observe`` and ``explain`` are pure functions of the API's JSON; ``client`` and ``sweep`` talk to a
cluster. What to do about a problem, and the names of labels and annotations, are the caller's.
"""
