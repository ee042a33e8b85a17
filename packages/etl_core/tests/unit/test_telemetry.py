import itertools
import re
import threading
import unittest

from etl_core.telemetry import Tally, Telemetry

NUMBERS = itertools.count()
SAMPLE = re.compile(
    r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\"n])*"(?:,|(?=\})))+)\})? (\S+)'
)
LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\\n]|\\[\\"n])*)"')


def unescaped(text):
    return re.sub(r"\\(.)", lambda match: {"n": "\n"}.get(match.group(1), match.group(1)), text)


def parsed(text):
    """Samples, kinds and helps of a Prometheus text, by the book: version 0.0.4 of the exposition format."""
    samples, kinds, helps = {}, {}, {}
    family = None
    assert text == "" or text.endswith("\n")
    for line in text.split("\n")[:-1]:
        if line.startswith("# HELP "):
            _, _, name, words = line.split(" ", 3)
            assert name not in kinds, "HELP comes before TYPE"
            helps[name] = unescaped(words)
        elif line.startswith("# TYPE "):
            _, _, family, kind = line.split(" ")
            assert family not in kinds, "one TYPE a family"
            assert kind in ("counter", "gauge")
            kinds[family] = kind
        else:
            match = SAMPLE.fullmatch(line)
            assert match, line
            name, labels, value = match.groups()
            assert name == family, "samples stand below their TYPE"
            key = (name, tuple((label, unescaped(raw)) for label, raw in LABEL.findall(labels or "")))
            assert key not in samples, "one sample a set of labels"
            samples[key] = float(value)
    return samples, kinds, helps


class PrometheusText(unittest.TestCase):
    def test_the_prometheus_text_is_empty_without_values(self):
        self.assertEqual(Telemetry().to_prometheus(), "")

    def test_the_prometheus_text_can_be_parsed(self):
        telemetry = Telemetry()
        telemetry.count("b_total", help_text="Things, counted", status="200")
        telemetry.count("b_total", 2, status="503", method="GET")
        telemetry.count("b_total", status="200")
        telemetry.gauge("a_seconds", 1.5, help_text="Time")
        telemetry.gauge("a_seconds", 0.1)
        telemetry.count("c_total", 0)
        samples, kinds, helps = parsed(telemetry.to_prometheus())
        self.assertEqual(
            samples,
            {
                ("a_seconds", ()): 0.1,
                ("b_total", (("status", "200"),)): 2.0,
                ("b_total", (("method", "GET"), ("status", "503"))): 2.0,
                ("c_total", ()): 0.0,
            },
        )
        self.assertEqual(kinds, {"a_seconds": "gauge", "b_total": "counter", "c_total": "counter"})
        self.assertEqual(helps, {"a_seconds": "Time", "b_total": "Things, counted"})

    def test_metrics_with_a_common_prefix_are_kept_apart(self):
        telemetry = Telemetry()
        telemetry.count("a", 1)
        telemetry.count("a_total", 2, x="y")
        self.assertEqual(telemetry.to_prometheus(), '# TYPE a counter\na 1\n# TYPE a_total counter\na_total{x="y"} 2\n')

    def test_awkward_labels_and_helps_survive(self):
        for text in ['say "hi"', "C:\\new", "a\nb", "\\", '\\"', "\\n", "{x=}, y", "é\u2028", ""]:
            with self.subTest(text):
                telemetry = Telemetry()
                telemetry.count("x_total", help_text=f"Help: {text}", one=text, two=text)
                samples, _, helps = parsed(telemetry.to_prometheus())
                self.assertEqual(samples, {("x_total", (("one", text), ("two", text))): 1.0})
                self.assertEqual(helps, {"x_total": f"Help: {text}"})

    def test_numbers_in_the_prometheus_text_are_exact(self):
        telemetry = Telemetry()
        for number in (1234567890123, 2**53, 0.1, 1e-9, 16777217, 1e300, 12345.678901):
            with self.subTest(number):
                telemetry.gauge("x", number)
                samples, _, _ = parsed(telemetry.to_prometheus())
                self.assertEqual(samples["x", ()], number)


class Values(unittest.TestCase):
    def test_values_add_up_by_labels_and_in_total(self):
        telemetry = Telemetry()
        telemetry.count("x_total", 2, status="200", method="GET")
        telemetry.count("x_total", 3, status="503", method="GET")
        telemetry.count("x_total", 4, method="GET", status="200")
        telemetry.count("y_total", 100)
        self.assertEqual(telemetry.value("x_total", method="GET", status="200"), 6)
        self.assertEqual(telemetry.value("x_total", status="503", method="GET"), 3)
        self.assertEqual(telemetry.value("x_total", status="503"), 0)
        self.assertEqual(telemetry.value("x_total"), 9)
        self.assertEqual(telemetry.value("z_total"), 0)

    def test_no_count_of_a_thread_is_lost(self):
        telemetry = Telemetry()

        def work() -> None:
            for _ in range(3000):
                telemetry.count("x_total", status="200")

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(telemetry.value("x_total"), 18_000)

    def test_counting_is_atomic(self):
        for what, other in [
            ("count", lambda telemetry: telemetry.count("x_total", 10)),
            ("count another", lambda telemetry: telemetry.count(f"y{next(NUMBERS)}")),
            ("gauge another", lambda telemetry: telemetry.gauge(f"y{next(NUMBERS)}", 1)),
        ]:
            with self.subTest(what):
                telemetry = Telemetry()
                amount = Interrupted(5, lambda telemetry=telemetry, other=other: other(telemetry))
                telemetry.count("x_total", amount)  # in the middle of adding it up the other thread comes
                amount.thread.join()
                expected = 15 if what == "count" else 5
                self.assertEqual(telemetry.value("x_total"), expected)
                late = Interrupted(7, lambda telemetry=telemetry, other=other: other(telemetry))
                telemetry.gauge("late", late)
                self.assertEqual(telemetry.value("late"), 7)  # and here in the middle of summing
                late.thread.join()


class Interrupted(float):
    """A number; while it is added to another one a thread begins, and has a moment to do its work."""

    thread: threading.Thread

    def __new__(cls, value, work):
        made = super().__new__(cls, value)
        made.thread = threading.Thread(target=work)
        return made

    def __radd__(self, other):
        self.thread.start()
        self.thread.join(0.1)  # it cannot end before we do, unless nobody makes it wait
        return other + float(self)


class TallyCase(unittest.TestCase):
    def test_tallies_add_up(self):
        tally = Tally(requests=1, retries=2, bytes=3)
        tally.add(Tally(requests=10, retries=20, bytes=30))
        self.assertEqual(tally, Tally(requests=11, retries=22, bytes=33))
        self.assertEqual(Tally(), Tally(requests=0, retries=0, bytes=0))
