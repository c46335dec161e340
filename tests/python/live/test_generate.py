"""generate() makes the same pixels as the C++ client from the same words and numbers."""

import json

import numpy as np
import pytest
from daemon import CHECKPOINT, LORA
from PIL import Image

import luna_client
from luna_client import Lora

#: Of 255: a forward of other rows beside rounds differently.
ROUNDING = 1


def apart(one, other):
    return np.abs(one.astype(int) - other).max()


def picture_of(path):
    return np.asarray(Image.open(path).convert("RGB"))


def by_cpp(daemon, tmp_path, *arguments, batch=1):
    output = tmp_path / "luna.png"
    daemon.luna(
        "generate", "--checkpoint", CHECKPOINT, "--output", output, "--batch", batch, *arguments
    )
    names = [output] if batch == 1 else [tmp_path / f"luna_{index}.png" for index in range(batch)]
    return [picture_of(name) for name in names]


def test_a_prompt_alone_gives_the_picture_of_luna_generate(luna, daemon, tmp_path):
    ours = luna.generate("a red boat at sea", models=CHECKPOINT)
    assert np.array_equal(
        ours.pictures, by_cpp(daemon, tmp_path, "--prompt", "a red boat at sea", "--seed", 0)
    )
    assert ours.pictures.dtype == np.uint8 and ours.latents.dtype == np.float32


def test_every_number_means_the_same_there_and_here(luna, daemon, tmp_path):
    ours = luna.generate(
        "(a blue star:1.3) at night",
        "a house",
        models=CHECKPOINT,
        width=96,
        height=64,
        steps=4,
        cfg=5.5,
        sampler="dpmpp_2m",
        scheduler="karras",
        seed=42,
        batch=2,
        clip_skip=1,
        loras=[Lora("luna-pencil.safetensors", 0.7)],
    )
    flags = (
        "--prompt",
        "(a blue star:1.3) at night",
        "--negative",
        "a house",
        "--width",
        96,
        "--height",
        64,
        "--steps",
        4,
        "--cfg",
        5.5,
        "--sampler",
        "dpmpp_2m",
        "--scheduler",
        "karras",
        "--seed",
        42,
        "--clip-skip",
        1,
        "--lora",
        "luna-pencil.safetensors:0.7",
    )
    assert np.array_equal(ours.pictures, by_cpp(daemon, tmp_path, *flags, batch=2))
    assert (ours.width, ours.height, ours.batch_index) == (96, 64, [0, 1])
    assert len(ours.loras) == 2 and ours.loras[0].application in ("merged", "row_wise")


def test_one_picture_of_a_batch_is_the_one_that_it_is_within_the_whole(luna):
    numbers = dict(models=CHECKPOINT, width=64, steps=2, seed=7, batch=3)
    whole = luna.generate("a cup", **numbers)
    one = luna.generate("a cup", batch_index=2, **numbers)
    assert apart(one.pictures[0], whole.pictures[2]) <= ROUNDING
    assert one.batch_index == [2]


def test_picture_to_picture_and_repainting_are_those_of_the_cpp_client(luna, daemon, tmp_path):
    start = luna.generate("a white boat", models=CHECKPOINT, width=64, steps=2).pictures[0]
    mask = np.zeros((64, 64), np.uint8)
    mask[16:48, 8:40] = 255
    Image.fromarray(start).save(tmp_path / "start.png")
    Image.fromarray(mask).save(tmp_path / "mask.png")
    flags = (
        "--prompt",
        "a star",
        "--steps",
        4,
        "--denoise",
        0.5,
        "--seed",
        0,
        "--image",
        tmp_path / "start.png",
    )
    ours = luna.generate("a star", models=CHECKPOINT, steps=4, denoise=0.5, image=start)
    assert np.array_equal(ours.pictures, by_cpp(daemon, tmp_path, *flags))
    ours = luna.generate("a star", models=CHECKPOINT, steps=4, denoise=0.5, image=start, mask=mask)
    assert np.array_equal(
        ours.pictures, by_cpp(daemon, tmp_path, *flags, "--mask", tmp_path / "mask.png")
    )


def test_a_set_for_each_picture_gives_each_its_own_picture(luna):
    numbers = dict(models=CHECKPOINT, width=64, steps=2, batch=2)
    sets = [[Lora(LORA.name, 0.2)], [Lora(LORA.name, 1.0)]]
    both = luna.generate("a cat", picture_loras=sets, **numbers)
    alone = luna.generate("a cat", batch_index=1, loras=sets[1], **numbers)
    assert apart(both.pictures[1], alone.pictures[0]) <= ROUNDING
    assert apart(both.pictures[0], both.pictures[1]) > 10 * ROUNDING


def test_progress_tells_every_stage_in_order_and_every_step(luna):
    told = []
    luna.generate(
        "a cup",
        models=CHECKPOINT,
        width=64,
        steps=3,
        batch=2,
        preview_every=1,
        on_progress=told.append,
    )
    stages = [each.stage for each in told]
    assert sorted(set(stages), key=stages.index) == [
        "register",
        "encode",
        "sample",
        "decode",
        "done",
    ]
    assert [each.step for each in told if each.sampling] == [1, 2, 3]
    assert told[-1].pictures == told[-1].pictures_wanted == 2
    previews = [
        each.sampling.preview
        for each in told
        if each.sampling and each.sampling.preview is not None
    ]
    assert previews and previews[0].dtype == np.uint8 and previews[0].shape[0] == 2


def test_a_preview_model_shows_what_the_picture_will_be(luna):
    told = []
    made = luna.generate(
        "a red boat at sea",
        models={"checkpoint": CHECKPOINT, "preview": "taesd_decoder.safetensors"},
        steps=8,
        preview_every=8,
        on_progress=told.append,
    )
    samplings = [each.sampling for each in told if each.sampling]
    preview = next(each.preview for each in samplings if each.preview is not None)
    error = (preview.astype(int) - made.pictures) / 255
    assert (error**2).mean() < 0.01  # 20 dB; the decoder has 26


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (dict(width=65), "multiple of 8"),
        (dict(batch=0), "expected 1 to 1024"),
        (dict(batch=2, batch_index=2), "expected 0 to 1"),
        (dict(mask=np.ones((8, 8), np.float32)), "without the picture"),
        (dict(batch=2, picture_loras=[[]]), "each of 2 pictures"),
        (dict(workflow_id="w"), "either models or a workflow_id"),
        (dict(image=np.zeros((16, 16), np.float32)), "image: expected"),
        (
            dict(image=np.zeros((64, 64, 3), np.uint8), mask=np.ones((8, 8), np.float32)),
            "mask: expected",
        ),
        (dict(image=np.zeros((64, 64, 3), np.uint8), width=32), "resize it first"),
        (dict(sampler="no_such"), "sampling: .*no_such"),
    ],
)
def test_a_wrong_request_is_refused_with_what_was_expected(luna, change, said):
    with pytest.raises(luna_client.InvalidRequest, match=said):
        luna.generate("a cup", **{"models": CHECKPOINT, "steps": 1, **change})


def test_errors_name_the_stage(luna):
    with pytest.raises(luna_client.NotFound, match=r"registering the models: .*did you mean"):
        luna.generate("a cup", models="luna-scene.safetensors")


def test_a_registered_workflow_can_be_named(luna):
    workflow = luna.register_workflow(CHECKPOINT, workflow_id="named")
    by_id = luna.generate("a cup", workflow_id=workflow.workflow_id, width=64, steps=2)
    by_model = luna.generate("a cup", models=CHECKPOINT, width=64, steps=2)
    assert np.array_equal(by_id.pictures, by_model.pictures)


def test_the_commands_json_and_the_results_numbers_agree(luna, daemon, tmp_path):
    told = json.loads(
        daemon.luna(
            "generate",
            "--checkpoint",
            CHECKPOINT,
            "--prompt",
            "a cup",
            "--steps",
            2,
            "--width",
            64,
            "--output",
            tmp_path / "x.png",
            "--json",
        )
    )
    ours = luna.generate("a cup", models=CHECKPOINT, steps=2, width=64)
    assert (ours.width, ours.height) == (told["width"], told["height"])
