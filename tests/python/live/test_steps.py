"""Single evaluations that go straight to a worker: the same bits, and nobody notices its end."""

import os
import signal
import threading

import numpy as np
import pytest
from daemon import CHECKPOINT, LORA, eventually

import luna_client
from luna_client import Lora

X = np.random.default_rng(0).standard_normal((2, 4, 16, 16)).astype(np.float32) * 3


@pytest.fixture
def both(daemon):
    """(a client that may, one that may not)"""
    with (
        luna_client.connect(daemon.address) as straight,
        luna_client.connect(daemon.address, plane="inline") as round_about,
    ):
        yield straight, round_about


def evaluate(luna, *loras, sigma=2.5):
    model, clip, _ = luna.get_model_proxies(models=CHECKPOINT)
    return model.with_loras(*loras).denoise(X, sigma, clip.encode("a red boat"))


def test_the_same_bits_by_either_way_at_every_step(both):
    straight, round_about = both
    model, clip, _ = straight.get_model_proxies(models=CHECKPOINT)
    other = round_about.get_model_proxies(models=CHECKPOINT).model
    prompt = clip.encode("a red boat")
    for sigma in (10.0, 5.0, 2.0, 0.5):
        result = model.denoise(X, sigma, prompt)
        assert result.planes == ["step", "step"]
        assert np.array_equal(result.batch, other.denoise(X, sigma, prompt).batch)
    assert (straight.planes.direct_steps, straight.planes.other_steps) == (4, 0)
    assert (round_about.planes.direct_steps, round_about.planes.other_steps) == (0, 4)
    eventually(lambda: straight.status().steps.evaluations >= 4)


def test_loras_of_any_strength_are_named_over_it(both):
    straight, round_about = both
    for strength in (0.3, 1.0):
        lora = Lora(LORA.name, strength)
        one, other = evaluate(straight, lora), evaluate(round_about, lora)
        assert np.array_equal(one.batch, other.batch)
        assert one.loras == other.loras and one.planes == ["step", "step"]
    assert not np.array_equal(evaluate(straight).batch, one.batch)


def test_what_the_worker_refuses_is_told_as_by_grpc(both):
    straight, round_about = both
    told = []
    for luna in (straight, round_about):
        model, clip, _ = luna.get_model_proxies(models=CHECKPOINT)
        with pytest.raises(luna_client.InvalidRequest) as caught:
            model.denoise(np.zeros((1, 5, 8, 8), np.float32), 1.0, clip.encode("x"))
        told.append(caught.value.message)
    assert "x" in told[0] and "x" in told[1]
    assert evaluate(straight).planes == ["step", "step"]


def test_a_set_that_is_replaced_is_used_from_the_next_evaluation_on(both):
    straight, _ = both
    model, clip, _ = straight.get_model_proxies("changing", models=CHECKPOINT)
    prompt = clip.encode("a red boat")
    before = model.denoise(X, 2.5, prompt).batch
    straight.register_workflow(CHECKPOINT, workflow_id="changing", precision={"unet": "bf16"})
    after = model.denoise(X, 2.5, prompt).batch
    assert not np.array_equal(before, after)


def test_a_worker_that_is_killed_is_not_noticed(own_daemon):
    with luna_client.connect(own_daemon.address) as luna:
        model, clip, _ = luna.get_model_proxies(models=CHECKPOINT)
        prompt = clip.encode("a red boat")
        before = model.denoise(X, 2.5, prompt)
        assert before.planes == ["step", "step"]
        os.kill(luna.status().workers[0].pid, signal.SIGKILL)
        assert np.array_equal(model.denoise(X, 2.5, prompt).batch, before.batch)
        eventually(lambda: model.denoise(X, 2.5, prompt).planes == ["step", "step"], 60)


def test_threads_have_sockets_of_their_own(both):
    straight, _ = both
    wanted = evaluate(straight).batch
    results = []

    def work():
        for _ in range(3):
            results.append(evaluate(straight).batch)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 12
    assert all(np.abs(result - wanted).max() < 1e-4 * np.abs(wanted).max() for result in results)


def test_a_timeout_and_a_cancel_end_it(both):
    straight, _ = both
    model, clip, _ = straight.get_model_proxies(models=CHECKPOINT)
    prompt = clip.encode("a red boat")
    large = np.zeros((4, 4, 96, 96), np.float32)
    with pytest.raises(luna_client.DeadlineExceeded):
        model.denoise(large, 2.5, prompt, timeout=0.001)
    cancel = luna_client.Cancel()
    threading.Timer(0.05, cancel).start()
    with pytest.raises(luna_client.Cancelled):
        for _ in range(1000):
            model.denoise(large, 2.5, prompt, cancel=cancel)
    assert evaluate(straight).batch.shape == X.shape


def test_step_sockets_end_with_their_client(daemon, luna):
    with luna_client.connect(daemon.address) as other:
        evaluate(other)
        eventually(lambda: luna.status().steps.open_sockets >= 1)
    eventually(lambda: luna.status().steps.open_sockets == 0)
