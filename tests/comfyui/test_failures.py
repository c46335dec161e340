"""Daemons go and come back, users interrupt, workflows ask for what cannot be: each ends in a
sentence, or goes on."""

import io
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import features
import graphs
import luna_client
import pytest
from harness import Daemon, Interrupted, LunaComfyUI, WorkflowFailed, difference
from model_files import CHECKPOINT
from PIL import Image

STEPS = 30  # enough to be caught in the middle
LIMIT = 2


@pytest.fixture
def mortal(programs, models, tmp_path) -> Iterator[Daemon]:
    """A daemon that the test may kill."""
    with Daemon(programs, models, tmp_path) as running:
        yield running


def connected(daemon: Daemon) -> luna_client.Luna:
    return luna_client.connect(f"unix:{daemon.socket}", client_name="test")


def routed(
    comfyui: LunaComfyUI,
    daemon: Daemon,
    feature: Callable[[graphs.Picture], None],
    mode: str,
    **settings: Any,
) -> tuple[str, Any]:
    """Starts the workflow with Luna's nodes at this daemon."""
    loader = graphs.luna(CHECKPOINT, mode, daemon_address=f"unix:{daemon.socket}")
    return comfyui.start(graphs.build(feature, loader, **settings))


def until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.02)


def expected(
    comfyui: LunaComfyUI, feature: Callable[[graphs.Picture], None], **settings: Any
) -> Any:
    return comfyui.pictures(graphs.build(feature, graphs.stock(CHECKPOINT), **settings))


def step_by_step(p: graphs.Picture) -> None:
    model = p.graph.add("RescaleCFG", model=p.models.model, multiplier=0.6)
    p.finish(p.sample(model=model))


CUTS = pytest.mark.parametrize(
    "feature", [features.text_to_image, step_by_step], ids=["whole", "step_by_step"]
)


@CUTS
def test_without_a_daemon_force_daemon_says_what_to_do_and_works_when_it_is_back(
    comfyui, mortal, programs, models, tmp_path, feature
) -> None:
    comfyui.wait(*routed(comfyui, mortal, feature, "force_daemon", seed=1))
    mortal.kill()
    with pytest.raises(WorkflowFailed, match="start lunad"):
        comfyui.wait(*routed(comfyui, mortal, feature, "force_daemon", seed=2))
    with Daemon(programs, models, tmp_path):
        found = comfyui.saved(
            comfyui.wait(*routed(comfyui, mortal, feature, "force_daemon", seed=3))
        )
    assert difference(found, expected(comfyui, feature, seed=3)) <= LIMIT


@CUTS
def test_a_daemon_killed_in_the_middle_is_an_error_at_the_node(comfyui, mortal, feature) -> None:
    identity, run = routed(comfyui, mortal, feature, "force_daemon", steps=STEPS)
    until(lambda: len(run.progress()) > 1, "a second step")
    mortal.kill()
    with pytest.raises(WorkflowFailed, match=r"went away during .*start lunad") as failure:
        comfyui.wait(identity, run)
    assert failure.value.node == "KSampler"


@CUTS
def test_in_auto_mode_the_picture_is_finished_here_when_the_daemon_is_killed(
    comfyui, mortal, feature
) -> None:
    identity, run = routed(comfyui, mortal, feature, "auto", steps=STEPS)
    until(lambda: len(run.progress()) > 1, "a second step")
    mortal.kill()
    found = comfyui.saved(comfyui.wait(identity, run))
    assert any("goes on in this ComfyUI" in text for text in run.texts), run.texts
    assert difference(found, expected(comfyui, feature, steps=STEPS)) <= LIMIT


def test_in_auto_mode_a_run_without_a_daemon_is_a_local_one_and_the_next_is_on_the_daemon_again(
    comfyui, mortal, programs, models, tmp_path
) -> None:
    mortal.kill()
    found = comfyui.saved(
        comfyui.wait(*routed(comfyui, mortal, features.text_to_image, "auto", seed=8))
    )
    assert difference(found, expected(comfyui, features.text_to_image, seed=8)) == 0
    with Daemon(programs, models, tmp_path) as again:
        comfyui.wait(*routed(comfyui, mortal, features.text_to_image, "auto", seed=9))
        assert connected(again).status().jobs.done > 0


@CUTS
def test_an_interrupt_ends_the_work_on_the_daemon_within_an_evaluation(
    comfyui, mortal, feature
) -> None:
    identity, run = routed(comfyui, mortal, feature, "force_daemon", steps=10000)
    until(lambda: len(run.progress()) > 1, "a second step")
    comfyui.post("/interrupt", {})
    with pytest.raises(Interrupted):
        comfyui.wait(identity, run)
    with connected(mortal) as luna:
        until(lambda: luna.status().jobs.running + luna.status().jobs.queued == 0, "an idle daemon")
        assert luna.status().jobs.failed == 0
        if feature is features.text_to_image:
            assert luna.status().jobs.cancelled == 1
    comfyui.wait(*routed(comfyui, mortal, feature, "force_daemon"))


@CUTS
def test_progress_and_previews_arrive_step_by_step(comfyui, daemon, feature) -> None:
    identity, run = routed(comfyui, daemon, feature, "force_daemon", steps=5, seed=77)
    comfyui.wait(identity, run)
    assert run.progress() == [1, 2, 3, 4, 5]
    assert len(run.previews) == 5
    for preview in run.previews:
        assert min(Image.open(io.BytesIO(preview)).size) >= 8


def test_a_network_with_python_inside_is_an_error_that_names_it(comfyui, daemon) -> None:
    def free_u(p: graphs.Picture) -> None:
        p.finish(
            p.sample(
                model=p.graph.add("FreeU_V2", model=p.models.model, b1=1.3, b2=1.4, s1=0.9, s2=0.2)
            )
        )

    with pytest.raises(WorkflowFailed, match=r"output_block_patch.*force_local"):
        comfyui.wait(*routed(comfyui, daemon, free_u, "force_daemon"))


def test_force_local_is_comfyui_s_own_loader(comfyui, daemon) -> None:
    found = comfyui.saved(
        comfyui.wait(*routed(comfyui, daemon, features.lora_on_model_and_clip, "force_local"))
    )
    assert difference(found, expected(comfyui, features.lora_on_model_and_clip)) == 0


@pytest.mark.parametrize("kind", ["Flux", "SD3", "Z-IMAGE"])
def test_a_type_that_is_not_served_says_so(comfyui, daemon, kind: str) -> None:
    with pytest.raises(WorkflowFailed, match=f"does not serve {kind} yet"):
        comfyui.execute(
            graphs.build(features.text_to_image, graphs.luna(CHECKPOINT, model_type=kind))
        )


def test_a_type_that_the_file_is_not_of_is_refused(comfyui, daemon) -> None:
    with pytest.raises(WorkflowFailed, match=r"(?i)sdxl"):
        comfyui.execute(
            graphs.build(features.text_to_image, graphs.luna(CHECKPOINT, model_type="SDXL"))
        )


def _status(comfyui: LunaComfyUI, address: str) -> tuple[str, dict[str, Any]]:
    graph = graphs.Graph()
    status = graph.add("LunaDaemonStatus", daemon_address=address)
    graph.add("PreviewAny", source=graph.out(status, 1))
    outputs = comfyui.execute(graph.nodes)
    return outputs["1"]["text"][0], json.loads(outputs["2"]["text"][0])


def test_the_status_node_shows_what_the_daemon_holds(comfyui, daemon) -> None:
    comfyui.wait(*routed(comfyui, daemon, features.text_to_image, "force_daemon", seed=5))
    text, answer = _status(comfyui, f"unix:{daemon.socket}")
    assert "lunad" in text and CHECKPOINT in text and "worker" in text
    assert answer["running"] and int(answer["jobs"]["done"]) > 0


def test_the_status_node_says_that_no_daemon_is_there(comfyui, tmp_path) -> None:
    text, answer = _status(comfyui, f"unix:{tmp_path}/nobody.sock")
    assert text.startswith("no daemon") and answer["running"] is False
