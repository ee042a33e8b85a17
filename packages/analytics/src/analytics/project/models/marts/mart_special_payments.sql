-- Question 13: royalties, acquisitions and ownership apart from all else, for a few of them outweigh all meals.
{{ payments_by("special_kind", "special_kind") }}
