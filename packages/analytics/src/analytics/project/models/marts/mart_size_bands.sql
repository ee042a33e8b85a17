-- Question 14: payments by size.
{{ payments_by("size_band", "size_band") }}
