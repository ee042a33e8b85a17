"""What a container's command line and image become."""

from __future__ import annotations

from unittest import TestCase

from sandbox.cluster.environment import command_of, expanded, image_name
from sandbox.cluster.settings import ClusterSettings


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


class CommandTest(TestCase):
    def test_variables_are_filled_in_where_there_are_such(self):
        for text, expected in (
            ("$(A)", "1"),
            ("x$(A)$(A)y", "x11y"),
            ("$(B)", "$(B)"),
            ("$$(A)", "$(A)"),
            ("$A ${A}", "$A ${A}"),
        ):
            with self.subTest(text=text):
                self.assertEqual(expanded(text, {"A": "1"}), expected)

    def test_the_image_has_an_entry_point_unless_the_container_has_a_command(self):
        settings = ClusterSettings(images={"etl": ["/bin/etl", "--json"]})
        container = {"image": "etl:1", "args": ["run", "$(A)"]}
        self.assertEqual(command_of(container, settings, {"A": "x"}), ["/bin/etl", "--json", "run", "x"])
        container["command"] = ["sh", "-c"]
        self.assertEqual(command_of(container, settings, {}), ["sh", "-c", "run", "$(A)"])
