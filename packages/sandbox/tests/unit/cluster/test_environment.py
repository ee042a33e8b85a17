"""What an image's name becomes."""

from __future__ import annotations

from unittest import TestCase

from sandbox.cluster.environment import image_name


class ImageNameTest(TestCase):
    def test_tag_and_digest_are_left_out(self):
        for image, name in (
            ("etl", "etl"),
            ("etl:1.2", "etl"),
            ("etl@sha256:00ff", "etl"),
            ("ghcr.io/we/etl:1@sha256:00ff", "ghcr.io/we/etl"),
            ("localhost:5000/etl", "localhost:5000/etl"),
        ):
            with self.subTest(image=image):
                self.assertEqual(image_name(image), name)
