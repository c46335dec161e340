"""Shared memory and step sockets against a twin of the daemon's end."""

import gc
import logging

import numpy as np
import pytest
from local_twin import TOKEN, Twin

import luna_client
from luna_client.blocking import run
from luna_client.calls import requests
from luna_client.planes.outgoing import Outgoing
from luna_client.planes.planes import Planes, Statistics
from luna_client.planes.steps import StepCall
from luna_client.runtime.threads import ThreadRuntime
from luna_client.v1 import session_pb2, tensor_pb2

LARGE = np.random.default_rng(0).random(50_000, np.float32)
X = np.ones((2, 4, 8, 8), np.float32)
CONTEXT = np.full((1, 77, 768), 3, np.float32)


@pytest.fixture
def twin(tmp_path):
    twin = Twin(tmp_path / "local.sock")
    yield twin
    twin.close()


def planes_at(twin, choice="auto", token=TOKEN):
    planes = Planes(choice, ThreadRuntime(), Statistics())
    welcome = session_pb2.SessionWelcome()
    if twin is not None:
        welcome.local_socket.path, welcome.local_socket.token = twin.path, token
    run(planes.open(welcome, "unix:/run/lunad.sock", 5))
    return planes


def place(planes, array):
    outgoing = Outgoing()
    ref = tensor_pb2.TensorRef()
    outgoing.add(ref, array, "tensor")
    return ref, run(planes.place(outgoing.items[0]))


def denoise_request(x=X, context=CONTEXT, **changes):
    entry = luna_client.ConditioningEntry(context)
    outgoing = Outgoing()
    rows = requests.denoise_rows_of_batch(
        x, 1.0, entry, y=None, c_concat=None, loras=changes.pop("loras", ())
    )
    return requests.denoise_to_wire(rows, outgoing, keep=False, application="auto"), outgoing


def step(planes, **changes):
    request, outgoing = denoise_request(**changes)
    response = run(planes.step("w", request, outgoing, "normal", changes.get("timeout"), None))
    return (
        None
        if response is None
        else [np.frombuffer(ref.inline, np.float32) for ref in response.denoised]
    )


def test_both_prove_that_they_see_the_same_memory(twin):
    planes = planes_at(twin, "shm")
    assert planes.available == ("shm", "inline") and planes.shared and planes.reason == ""
    assert twin.names() == ["attach", "prove"]


@pytest.mark.parametrize(
    ("lies", "token", "said"),
    [(True, TOKEN, "share no memory"), (False, "other", "no session has this token")],
)
def test_without_the_proof_tensors_travel_and_the_reason_is_logged_once(
    tmp_path, caplog, lies, token, said
):
    liar = Twin(tmp_path / "local.sock", lies=lies)
    with caplog.at_level(logging.WARNING, "luna_client"):
        planes = planes_at(liar, token=token)
    assert planes.available == ("inline",) and said in planes.reason
    assert len(caplog.records) == 1
    with pytest.raises(luna_client.FailedPrecondition, match=said):
        planes_at(liar, "shm", token)


def test_a_daemon_without_a_local_socket_is_no_reason_for_a_warning(caplog):
    with caplog.at_level(logging.WARNING, "luna_client"):
        assert "no local socket" in planes_at(None).reason
    assert not caplog.records
    with pytest.raises(luna_client.FailedPrecondition):
        planes_at(None, "shm")


def test_nobody_at_the_socket_is_told(tmp_path):
    planes = planes_at(type("Gone", (), {"path": str(tmp_path / "none")}))
    assert not planes.shared and "none" in planes.reason


def test_a_large_tensor_lies_in_a_region_and_a_small_one_does_not(twin):
    planes = planes_at(twin)
    ref, lease = place(planes, LARGE)
    assert bytes(twin.regions[ref.region.region_id][: LARGE.nbytes]) == LARGE.tobytes()
    assert ref.region.offset == 0
    lease.release()
    again, _ = place(planes, LARGE[::-1].copy())
    assert again.region.region_id == ref.region.region_id, "its memory is used again"
    assert place(planes, LARGE[:100])[1] is None


def test_an_array_of_empty_is_named_where_it_lies(twin):
    planes = planes_at(twin)
    array = run(planes.empty((100, 500), "f32", "numpy"))
    array[:] = 7
    before = len(twin.requests)
    ref, _ = place(planes, array[10:20])
    assert len(twin.requests) == before
    assert ref.region.offset == 10 * 500 * 4
    assert (
        np.frombuffer(
            bytes(twin.regions[ref.region.region_id]), np.float32, 5, ref.region.offset
        ).tolist()
        == [7] * 5
    )


def test_a_session_without_room_falls_back_and_says_why(twin, caplog):
    planes = planes_at(twin)
    twin.refuse["register_region"] = (8, "the session has 1024 regions")
    with caplog.at_level(logging.WARNING, "luna_client"):
        for _ in range(2):
            assert place(planes, LARGE)[1] is None
    assert "1024 regions" in planes.reason and len(caplog.records) == 1
    assert run(planes.empty((3,), "f32", "numpy")).shape == (3,)


def test_a_result_is_the_daemons_memory_and_taken_once(twin):
    planes = planes_at(twin)
    twin.results["result-1"] = b"\0" * 64 + LARGE.tobytes()
    region = tensor_pb2.SharedRegion(region_id="result-1", offset=64)
    data = run(planes.take(region, LARGE.nbytes, "numpy"))
    assert np.array_equal(np.frombuffer(data, np.float32), LARGE)
    with pytest.raises(luna_client.NotFound, match="no region"):
        run(planes.take(region, LARGE.nbytes, "numpy"))
    twin.results["short"] = b"\0" * 8
    with pytest.raises(luna_client.InternalError, match="in a region of 8"):
        run(planes.take(tensor_pb2.SharedRegion(region_id="short"), 16, "numpy"))


def test_the_end_of_the_socket_ends_the_plane_not_the_session(twin):
    planes = planes_at(twin)
    twin.refuse["register_region"] = "hang up"
    assert place(planes, LARGE)[1] is None
    assert not planes.shared
    assert place(planes, LARGE)[1] is None


def test_an_evaluation_goes_to_the_worker_and_back_through_its_memory(twin):
    planes = planes_at(twin)
    for _ in range(3):
        assert [values.tolist() for values in step(planes)] == [[3.0] * 256] * 2
    report = planes.statistics.report(planes)
    assert (report.direct_steps, report.other_steps) == (3, 0)
    assert twin.names().count("open_steps") == 1


def test_conditioning_that_comes_again_lies_in_sealed_memory(twin):
    planes = planes_at(twin)
    for _ in range(4):
        step(planes)
    names = twin.names()
    # One row after the other: seen, sealed, named.
    assert names.count("register_region") == 2
    sent = [
        request.denoise.request.rows for request in twin.requests if request.HasField("denoise")
    ]
    assert sent[3][0].conditioning.cross_attn.region.region_id != sent[3][0].x.region.region_id


def test_conditioning_that_was_written_to_in_between_is_not_the_old_one(twin):
    planes = planes_at(twin)
    context = CONTEXT.copy()
    for value in (3, 3, 3, 5, 5, 5, 3):
        context[:] = value
        assert step(planes, context=context)[0][0] == value


def test_a_larger_latent_gets_larger_memory(twin):
    planes = planes_at(twin)
    step(planes)
    large = np.full((2, 4, 128, 128), 2, np.float32)
    assert [values.sum() for values in step(planes, x=large)] == [6.0 * large[0].size] * 2


def test_a_lora_that_the_socket_was_not_opened_for_needs_another(twin):
    planes = planes_at(twin)
    step(planes)
    step(planes, loras=[luna_client.Lora("a.safetensors")])
    step(planes, loras=[luna_client.Lora("a.safetensors", 0.5)])
    step(planes)
    opened = [
        list(each.open_steps.lora_files) for each in twin.requests if each.HasField("open_steps")
    ]
    assert opened == [[], ["a.safetensors"]]


def test_where_no_socket_is_to_be_had_the_front_is_asked(tmp_path):
    twin = Twin(tmp_path / "local.sock", steps=False)
    planes = planes_at(twin)
    assert step(planes) is None and step(planes) is None
    assert twin.names().count("open_steps") == 1, "not asked again at once"
    assert planes.statistics.report(planes).other_steps == 2


def test_a_worker_that_went_is_replaced_by_another(twin):
    planes = planes_at(twin)
    step(planes)
    twin.step_sockets[0].shutdown(2)
    assert step(planes)[0][0] == 3
    assert twin.names().count("open_steps") == 2


def test_workers_that_go_all_the_time_leave_it_to_the_front(twin):
    planes = planes_at(twin)
    twin.refuse["denoise"] = "hang up"
    assert step(planes) is None
    assert twin.names().count("open_steps") == 2


def test_what_a_worker_refuses_is_not_asked_again(twin):
    planes = planes_at(twin)
    twin.refuse["denoise"] = (3, "rows[0].x: expected [4,h,w]")
    with pytest.raises(luna_client.InvalidRequest, match=r"rows\[0\]"):
        step(planes)
    del twin.refuse["denoise"]
    assert step(planes)[0][0] == 3
    assert twin.names().count("open_steps") == 1


def test_kept_results_and_resident_inputs_go_through_the_front(twin):
    planes = planes_at(twin)
    request, outgoing = denoise_request()
    request.keep = True
    assert run(planes.step("w", request, outgoing, "normal", None, None)) is None
    assert "open_steps" not in twin.names()


def test_a_stopped_call_asks_nobody(twin):
    planes = planes_at(twin)
    request, outgoing = denoise_request()
    call = StepCall(planes._steps, "w", request, outgoing, "normal")
    call.stop()
    assert call.run(None) is None
    assert "denoise" not in twin.names()


def test_a_cancel_is_told_as_one(twin):
    planes = planes_at(twin)
    cancel = luna_client.Cancel()
    cancel()
    request, outgoing = denoise_request()
    with pytest.raises(luna_client.Cancelled):
        run(planes.step("w", request, outgoing, "normal", None, cancel))


def test_descriptors_do_not_pile_up(twin):
    import os

    planes = planes_at(twin)
    for _ in range(3):
        step(planes)
        place(planes, LARGE)[1].release()
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for index in range(20):
        step(planes)
        place(planes, LARGE)[1].release()
        twin.results[f"t{index}"] = b"\0" * 100
        run(planes.take(tensor_pb2.SharedRegion(region_id=f"t{index}"), 100, "numpy"))
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before + 1
