-- Question 3: payments by nature. Research and ownership have none of their own: '(none)'.
{{ payments_by("coalesce(nature, '(none)')", "nature") }}
