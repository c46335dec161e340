import contextlib
import io
import pathlib
import subprocess
import sys
import tempfile
import unittest

import torch

from luna_train.stage import Stage, finished, hold, same_start

from .tiny import ALONE


def run(folder, stop_before=None):
    """A stage of 6 steps whose loss uses both kinds of random numbers."""
    torch.manual_seed(8)
    part = torch.nn.Linear(4, 4)
    stage = Stage("test", folder, {"part": part}, 6, 0.1, "cpu", ALONE, seed=9)

    def loss(step, rng):
        if step == stop_before:
            raise KeyboardInterrupt
        inputs = torch.randn(8, 4) + float(rng.random())
        return (part(inputs) - inputs.flip(1)).square().mean(), {}

    with contextlib.redirect_stdout(io.StringIO()):
        stage.run(loss, save_every=-1.0, log_every=1)


class Resuming(unittest.TestCase):
    def test_a_resumed_stage_is_the_stage_that_was_never_stopped(self):
        with tempfile.TemporaryDirectory() as whole, tempfile.TemporaryDirectory() as parts:
            run(whole)
            with self.assertRaises(KeyboardInterrupt):
                run(parts, stop_before=3)
            self.assertIsNone(finished(parts, "test", 6))
            run(parts)
            for key in ("parts", "average"):
                states = [torch.load(pathlib.Path(folder) / "test.pt", weights_only=True) for folder in (whole, parts)]
                self.assertEqual([state["step"] for state in states], [6, 6])
                for name, tensor in states[0][key]["part"].items():
                    self.assertTrue(torch.equal(tensor, states[1][key]["part"][name]), (key, name))

    def test_an_unfinished_stage_gives_its_average_when_no_steps_are_asked(self):
        with tempfile.TemporaryDirectory() as folder:
            with self.assertRaises(KeyboardInterrupt):
                run(folder, stop_before=3)
            self.assertIsNotNone(finished(folder, "test", 0))

    def test_workers_start_from_the_same_weights_whatever_they_did_before(self):
        weights = []
        for before in (1, 2):
            torch.manual_seed(before)
            same_start(9, "test")
            weights.append(torch.nn.Linear(4, 4).weight)
        self.assertTrue(torch.equal(*weights))


if __name__ == "__main__":
    unittest.main()


class OneAtATime(unittest.TestCase):
    def test_a_second_training_in_the_same_state_is_refused_until_the_first_has_ended(self):
        with tempfile.TemporaryDirectory() as folder:
            def another():
                code = f"from luna_train.stage import hold; hold({folder!r})"
                return subprocess.run([sys.executable, "-c", code], cwd=pathlib.Path(__file__).parents[1],
                                      capture_output=True, text=True)
            with hold(folder):
                refused = another()
                self.assertEqual(refused.returncode, 1)
                self.assertIn("another training goes on", refused.stderr)
            self.assertEqual(another().returncode, 0)
