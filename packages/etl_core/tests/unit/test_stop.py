import signal
import threading
import unittest

from etl_core.errors import StoppedError
from etl_core.stop import Stop

WAIT = 20


class StopCase(unittest.TestCase):
    def test_without_a_request_check_and_sleep_return(self):
        stop = Stop()
        stop.check()
        stop.sleep(0.0)
        stop.sleep(-1.0)

    def test_after_a_request_every_check_and_sleep_raises(self):
        for number, name in [(signal.SIGINT, "SIGINT"), (signal.SIGTERM, "SIGTERM"), (15, "SIGTERM"), (1, "SIGHUP")]:
            with self.subTest(name):
                stop = Stop()
                stop.request(number)
                stop.wait()
                for _ in range(2):
                    with self.assertRaisesRegex(StoppedError, f"stopped by {name}; completed work is kept"):
                        stop.check()
                    with self.assertRaisesRegex(StoppedError, f"stopped by {name}; completed work is kept"):
                        stop.sleep(1000.0)
                with self.assertRaises(StoppedError) as caught:
                    stop.check()
                self.assertEqual(caught.exception.signal_number, number)

    def test_a_request_without_a_signal_number_is_an_interrupt(self):
        stop = Stop()
        stop.request()
        with self.assertRaises(StoppedError) as caught:
            stop.check()
        self.assertEqual(caught.exception.signal_number, signal.SIGINT)

    def test_a_check_and_a_sleep_are_signs_of_life_and_waiting_for_others_is_none(self):
        signs: list[str] = []
        stop = Stop(on_check=lambda: signs.append("alive"))
        stop.raise_if_requested()
        self.assertEqual(signs, [])
        stop.check()
        self.assertEqual(signs, ["alive"])
        stop.sleep(0.0)
        self.assertGreater(len(signs), 1)

    def test_a_request_for_a_while_is_withdrawn_at_its_end(self):
        stop = Stop()
        with self.assertRaisesRegex(ValueError, "out"), stop.requested():
            self.assertRaises(StoppedError, stop.check)
            raise ValueError("out")
        stop.check()

    def test_all_sleeping_and_waiting_threads_wake(self):
        stop = Stop()
        ended: list[str] = []
        ready = threading.Barrier(9)

        def sleeper() -> None:
            ready.wait(WAIT)
            try:
                stop.sleep(1000.0)
            except StoppedError:
                ended.append("sleeper")

        def waiter() -> None:
            ready.wait(WAIT)
            stop.wait()
            ended.append("waiter")

        threads = [threading.Thread(target=target, daemon=True) for target in [sleeper] * 5 + [waiter] * 3]
        for thread in threads:
            thread.start()
        ready.wait(WAIT)
        stop.request()
        for thread in threads:
            thread.join(WAIT)
        self.assertEqual(sorted(ended), ["sleeper"] * 5 + ["waiter"] * 3)

    def test_after_a_reset_sleeping_takes_its_time_again(self):
        stop = Stop()
        for number in (signal.SIGINT, signal.SIGTERM):
            stop.request(number)
        with self.assertRaises(StoppedError):
            stop.sleep(1000.0)

        stop.reset()

        stop.check()
        self.assertTrue(stop._wake.empty(), "sleeping takes its time again")
        stop.request()
        with self.assertRaisesRegex(StoppedError, "stopped by SIGINT"):
            stop.sleep(1000.0)

    def test_a_reset_without_a_request_changes_nothing(self):
        stop = Stop()
        stop.reset()
        stop.sleep(0.0)
