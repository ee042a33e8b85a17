"""A list that an API hands out in pages, while it moves and the API fails: which answers make up the whole list."""
