"""Tensors that stay on the server: inputs, freed with their objects, sessions, processes."""

import gc
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from daemon import CHECKPOINT, eventually

import luna_client

SIZE = (4, 8, 8)


def test_a_pipeline_by_reference_moves_no_latent(luna, proxies, prompts):
    plain = proxies.vae.decode(proxies.model.sample(SIZE, *prompts, seed=1, steps=2).latent)
    received = luna.planes.received
    kept = proxies.model.sample(SIZE, *prompts, seed=1, steps=2, keep=True)
    assert luna.planes.received == received
    assert kept.planes == ["resident"]
    by_reference = proxies.vae.decode(kept.latent)
    assert np.array_equal(by_reference, plain)


def test_every_call_keeps_its_result_when_asked(luna, proxies, prompts):
    encoded = proxies.clip.encode("a red boat at sea", keep=True)
    assert isinstance(encoded[0].cross_attn, luna_client.ResidentTensor)
    latent = proxies.vae.encode(np.zeros((1, 64, 64, 3), np.float32), keep=True)
    pixels = proxies.vae.decode(latent, keep=True)
    assert (pixels.shape, pixels.dtype) == ((1, 64, 64, 3), "f32")
    denoised = proxies.model.denoise(
        np.ones((1, *SIZE), np.float32), 2.0, encoded, keep=True
    ).denoised[0]
    plain = proxies.model.denoise(np.ones((1, *SIZE), np.float32), 2.0, prompts[0]).batch
    assert np.array_equal(luna.download(denoised)[None], plain)


@pytest.mark.parametrize("count", [100, 3_000_000])
def test_what_goes_up_comes_down_unchanged(luna, proxies, count):
    values = np.arange(count, dtype=np.int32)
    tensor = luna.upload(values, workflow_id=proxies.model.workflow_id)
    assert (tensor.shape, tensor.dtype) == ((count,), "i32")
    assert np.array_equal(luna.download(tensor), values)
    assert luna.free(tensor) == 4 * count
    assert luna.free(tensor) == 0 and tensor.freed


def test_a_tensor_is_freed_with_its_object_at_a_blocks_end_or_when_told(luna, proxies):
    def upload():
        return luna.upload(np.zeros(10, np.float32), workflow_id=proxies.model.workflow_id)

    before = luna.status().tensors.tensors
    by_object, by_word = upload(), upload()
    with upload():
        assert luna.status().tensors.tensors == before + 3
    by_word.free()
    by_word.free()
    del by_object
    gc.collect()
    eventually(lambda: luna.status().tensors.tensors == before)


def test_a_view_of_another_shape_keeps_its_tensor(luna, proxies):
    values = np.arange(256, dtype=np.float32)
    view = luna.upload(values, workflow_id=proxies.model.workflow_id).reshape(1, 4, 8, 8)
    gc.collect()
    decoded = proxies.vae.decode(view)
    assert np.array_equal(decoded, proxies.vae.decode(values.reshape(1, 4, 8, 8)))
    with pytest.raises(luna_client.InvalidRequest, match="256 elements are not 64"):
        view.reshape(64)


def test_a_resident_batch_is_not_cut_by_the_client(luna, proxies, prompts):
    batch = luna.upload(np.zeros((2, *SIZE), np.float32), workflow_id=proxies.model.workflow_id)
    with pytest.raises(luna_client.InvalidRequest, match="cannot be cut"):
        proxies.model.sample(batch, *prompts, steps=1)


def test_the_end_of_a_session_frees_what_it_owned(daemon, luna):
    before = luna.status().tensors.bytes
    with luna_client.connect(daemon.address) as other:
        workflow = other.register_workflow(CHECKPOINT)
        kept = other.upload(np.zeros(100_000, np.float32), workflow_id=workflow.workflow_id)
        assert luna.status().tensors.bytes == before + 400_000
    eventually(lambda: luna.status().tensors.bytes == before)
    kept.free()


def test_kill_9_of_a_client_frees_its_tensors(daemon, luna):
    before = luna.status().tensors.bytes
    program = f"""
        import luna_client, numpy, time
        luna = luna_client.connect({daemon.address!r})
        workflow = luna.register_workflow({CHECKPOINT!r})
        kept = luna.upload(numpy.zeros(2_000_000, numpy.float32), workflow_id=workflow.workflow_id)
        print("kept", flush=True)
        time.sleep(600)
    """
    client = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE
    )
    assert client.stdout.readline() == b"kept\n"
    assert luna.status().tensors.bytes == before + 8_000_000
    os.kill(client.pid, signal.SIGKILL)
    client.wait()
    eventually(lambda: luna.status().tensors.bytes == before)


def test_a_tensor_of_another_session_is_refused_before_anything_travels(daemon, luna, proxies):
    with luna_client.connect(daemon.address) as other:
        theirs = other.upload(
            np.zeros((1, *SIZE), np.float32), workflow_id=proxies.model.workflow_id
        )
        with pytest.raises(luna_client.SessionLost, match="make it again"):
            proxies.vae.decode(theirs)
        with pytest.raises(luna_client.SessionLost):
            luna.download(theirs)
