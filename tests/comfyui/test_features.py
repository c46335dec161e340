"""Every stock node behind Luna Model Router gives the picture that it gives behind ComfyUI's own
loader."""

import features
import graphs
import numpy
import pytest
from harness import difference
from model_files import CHECKPOINT, INPAINT

LIMIT = 2  # of 255, in any channel of any pixel
WORST: dict[str, int] = {}


@pytest.fixture(scope="module")
def plain(comfyui) -> numpy.ndarray:
    """What the features change."""
    return comfyui.pictures(graphs.build(features.text_to_image, graphs.stock(CHECKPOINT)))


def _compare(comfyui, feature: features.Feature, checkpoint: str, cut: str | None) -> numpy.ndarray:
    expected = comfyui.pictures(graphs.build(feature.make, graphs.stock(checkpoint)))
    before = len(comfyui.lines())
    found = comfyui.pictures(graphs.build(feature.make, graphs.luna(checkpoint)))
    told = comfyui.lines()[before:]
    WORST[feature.name] = difference(expected, found)
    print(
        f"{feature.name}: {WORST[feature.name]}/255",
        *[line for line in told if "daemon" in line or "step" in line],
        sep="\n  ",
    )
    assert WORST[feature.name] <= LIMIT
    if cut == "B":
        assert any(line.endswith("on the daemon") for line in told), told
    if cut == "A":
        assert any(line.startswith("step by step") for line in told), told
    return expected


@pytest.mark.parametrize("feature", features.FEATURES, ids=lambda feature: feature.name)
def test_a_stock_node_gives_the_same_picture(comfyui, plain, feature: features.Feature) -> None:
    expected = _compare(comfyui, feature, CHECKPOINT, feature.cut)
    if feature.make is not features.text_to_image and expected.shape == plain.shape:
        assert difference(expected, plain) > 3 * LIMIT, (
            "the feature changes nothing here, so nothing was compared"
        )


@pytest.mark.parametrize(
    "feature",
    [
        one
        for one in features.FEATURES
        if one.name
        in ("text_to_image", "inpaint_model_conditioning", "set_latent_noise_mask", "rescale_cfg")
    ],
    ids=lambda one: one.name,
)
def test_an_inpainting_model_gives_the_same_picture(comfyui, feature: features.Feature) -> None:
    _compare(comfyui, feature, INPAINT, feature.cut)


def test_files_of_a_model_s_parts_give_the_same_picture(comfyui) -> None:
    def stock(graph: graphs.Graph) -> graphs.Loaded:
        return graphs.Loaded(
            graph.add("UNETLoader", unet_name="alone-unet.safetensors", weight_dtype="default"),
            graph.add("CLIPLoader", clip_name="alone-clip-l.safetensors", type="stable_diffusion"),
            graph.add("VAELoader", vae_name="alone-vae.safetensors"),
        )

    expected = comfyui.pictures(graphs.build(features.lora_on_model_and_clip, stock))
    found = comfyui.pictures(
        graphs.build(
            features.lora_on_model_and_clip,
            graphs.luna(
                "alone-unet.safetensors",
                model_source="diffusion_models",
                clip_1="alone-clip-l.safetensors",
                vae_name="alone-vae.safetensors",
            ),
        )
    )
    assert difference(expected, found) <= LIMIT


def test_reset_model_weights_gives_exactly_the_model_without_loras(comfyui) -> None:
    def with_reset(p: graphs.Picture) -> None:
        loaded = p.graph.add(
            "LoraLoader",
            model=p.models.model,
            clip=p.models.clip,
            lora_name="ink.safetensors",
            strength_model=0.8,
            strength_clip=0.8,
        )
        reset = p.graph.add("LunaResetModelWeights", model=loaded, clip=p.graph.out(loaded, 1))
        p.models.clip = p.graph.out(reset, 1)
        p.finish(p.sample(model=reset))

    loader = graphs.luna(CHECKPOINT)
    never = comfyui.pictures(graphs.build(features.text_to_image, loader))
    with_lora = comfyui.pictures(graphs.build(features.lora_on_model_and_clip, loader))
    reset = comfyui.pictures(graphs.build(with_reset, loader))
    assert difference(never, reset) == 0
    assert difference(never, with_lora) > 3 * LIMIT
