"""Customers of a CRM: pages of an API that fails, swept until their sum is proved, and one CSV made of them."""
