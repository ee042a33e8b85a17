-- Question 4: payments by form.
{{ payments_by("coalesce(form, '(none)')", "form") }}
