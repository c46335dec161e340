"""The same bits by every plane, and the plane is told."""

import gc
import logging

import numpy as np
import pytest
from daemon import CHECKPOINT, Daemon, eventually

import luna_client

PIXELS = np.random.default_rng(0).random((1, 256, 256, 3), np.float32)


@pytest.fixture
def by_message(daemon):
    with luna_client.connect(daemon.address, plane="inline") as luna:
        yield luna


@pytest.fixture
def shared(daemon):
    with luna_client.connect(daemon.address, plane="shm") as luna:
        yield luna


def round_trip(luna, pixels=PIXELS):
    vae = luna.get_model_proxies(models=CHECKPOINT).vae
    latent = vae.encode(pixels)
    return latent, vae.decode(latent)


def test_a_local_client_shares_memory_with_the_daemon_unless_it_is_told_not_to(luna, by_message):
    assert luna.planes.available[0] == "shm" and luna.planes.reason == ""
    assert by_message.planes.available == ("inline",) and "asked for" in by_message.planes.reason
    assert luna.status().open_sessions[-1].client_name == "luna_client"


def test_both_planes_give_the_same_bits(shared, by_message):
    for one, other in zip(round_trip(shared), round_trip(by_message), strict=True):
        assert np.array_equal(one, other)
    assert shared.planes.sent["shm"].bytes == PIXELS.nbytes
    assert shared.planes.received["shm"].bytes == PIXELS.nbytes
    assert set(by_message.planes.sent) == {"inline"}


def test_a_large_tensor_goes_in_pieces_where_memory_is_not_shared(by_message, shared):
    large = np.zeros((1, 4, 512, 640), np.float32)
    for luna, plane in ((by_message, "chunks"), (shared, "shm")):
        workflow = luna.register_workflow(CHECKPOINT).workflow_id
        tensor = luna.upload(large, workflow_id=workflow)
        assert np.array_equal(luna.download(tensor), large)
        assert luna.planes.sent[plane].bytes == luna.planes.received[plane].bytes == large.nbytes
        luna.free(tensor)


def test_an_array_of_the_arena_is_passed_where_it_lies(shared):
    vae = shared.get_model_proxies(models=CHECKPOINT).vae
    lent = shared.empty(PIXELS.shape, "f32")
    lent[:] = PIXELS
    before = shared.status().open_sessions[-1].regions
    whole, part = vae.encode(lent), vae.encode(lent[:, 64:128])
    assert shared.status().open_sessions[-1].regions == before
    assert np.array_equal(whole, vae.encode(PIXELS))
    assert np.array_equal(part, vae.encode(PIXELS[:, 64:128]))


def test_results_are_read_only_and_outlive_the_client(daemon):
    with luna_client.connect(daemon.address) as luna:
        _, pixels = round_trip(luna)
    assert not pixels.flags.writeable
    assert 0 <= pixels.mean() <= 1
    with pytest.raises(ValueError, match="read-only"):
        pixels[0] = 0


def test_results_that_were_taken_do_not_count_against_the_session(shared):
    kept = [round_trip(shared) for _ in range(4)]
    mine = shared.status().open_sessions[-1]
    assert len(kept) == 4 and mine.regions <= 2


def test_regions_end_with_their_client(daemon, luna):
    before = luna.status().tensors.regions
    with luna_client.connect(daemon.address) as other:
        round_trip(other)
        array = other.empty((1000, 1000))
        assert luna.status().tensors.regions > before
    del array
    gc.collect()
    eventually(lambda: luna.status().tensors.regions == before)


def test_the_plane_of_each_result_is_told(shared, by_message):
    for luna, plane in ((shared, "shm"), (by_message, "inline")):
        model, clip, _ = luna.get_model_proxies(models=CHECKPOINT)
        prompt = clip.encode("a cup")
        assert prompt.planes == ["inline", "inline"]
        result = model.sample((4, 72, 64), prompt, prompt, steps=1)
        assert result.planes == [plane]


def test_without_room_for_regions_tensors_travel_and_it_is_logged_once(tmp_path, caplog):
    daemon = Daemon(tmp_path, limits="region_bytes_per_session = 1000").start()
    try:
        with (
            caplog.at_level(logging.WARNING, "luna_client"),
            luna_client.connect(daemon.address) as luna,
        ):
            round_trip(luna)
            round_trip(luna)
            assert "region_bytes_per_session" in luna.planes.reason
            assert "shm" not in luna.planes.sent
        assert len(caplog.records) == 1 and "travels inside its call" in caplog.text
    finally:
        daemon.stop()


def test_a_daemon_that_shares_no_memory_says_so(tmp_path):
    daemon = Daemon(tmp_path, limits="regions_per_session = 0").start()
    try:
        with luna_client.connect(daemon.address) as luna:
            assert luna.planes.available == ("inline",)
            assert "no local socket" in luna.planes.reason
        with pytest.raises(luna_client.FailedPrecondition, match='connect with plane="auto"'):
            luna_client.connect(daemon.address, plane="shm")
    finally:
        daemon.stop()


def test_shared_memory_survives_a_restart_of_the_daemon(own_daemon):
    with luna_client.connect(own_daemon.address, plane="shm") as luna:
        before = round_trip(luna)
        lent = luna.empty(PIXELS.shape)
        lent[:] = PIXELS
        own_daemon.kill()
        own_daemon.start()
        for one, other in zip(round_trip(luna, lent), before, strict=True):
            assert np.array_equal(one, other)


def test_previews_that_nobody_looks_at_are_not_made(shared):
    model, clip, _ = shared.get_model_proxies(models=CHECKPOINT)
    prompt = clip.encode("a cup")
    before = shared.status().open_sessions[-1].regions
    model.sample((4, 32, 32), prompt, prompt, steps=2, preview_every=1)
    assert shared.status().open_sessions[-1].regions == before
    seen = []
    model.sample((4, 32, 32), prompt, prompt, steps=2, preview_every=1, on_progress=seen.append)
    assert any(step.preview is not None for step in seen)
    assert shared.status().open_sessions[-1].regions == before
