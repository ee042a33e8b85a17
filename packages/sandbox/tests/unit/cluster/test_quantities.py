"""Quantities are given back in one form."""

from __future__ import annotations

from unittest import TestCase

from sandbox.cluster.quantities import canonical, size


class QuantitiesTest(TestCase):
    def test_the_largest_unit_without_a_fraction_is_used(self):
        given_back = {
            "2000": "2k", "2001": "2001", "110": "110", "0": "0", "1000m": "1", "1500m": "1500m", "0.5": "500m",
            "1000k": "1M", "1024Mi": "1Gi", "1536Mi": "1536Mi", "60Gi": "60Gi", "5000000": "5M",
        }  # fmt: skip
        for text, form in given_back.items():
            with self.subTest(text=text):
                self.assertEqual(canonical(text), form)
                self.assertEqual(size(text), size(form))
