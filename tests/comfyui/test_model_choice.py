"""The router's fields are checked before anything is loaded, and one error names all that is
missing."""

import pytest
from comfyui_luna.model_choice import FROM_CHECKPOINT, TYPES, ModelChoice, WrongChoice

NONE = (FROM_CHECKPOINT,) * 4


def choice(
    kind: str, source: str = "checkpoints", clips: tuple = NONE, vae: str = FROM_CHECKPOINT
) -> ModelChoice:
    return ModelChoice(TYPES[kind], source, "model.safetensors", clips, vae)


def test_a_checkpoint_needs_nothing_beside_it() -> None:
    choice("SD1.5").check()
    choice("SDXL").check()


@pytest.mark.parametrize(
    "kind, missing",
    [
        ("SD1.5", ["clip_1 (clip_l)"]),
        ("SDXL", ["clip_1 (clip_l)", "clip_2 (clip_g)"]),
        ("Flux", ["clip_1 (clip_l)", "clip_3 (t5)"]),
        ("SD3", ["clip_1 (clip_l)", "clip_2 (clip_g)", "clip_3 (t5)"]),
        ("Z-IMAGE", ["clip_1 (llm)"]),
    ],
)
def test_a_model_without_its_parts_names_every_one_that_is_missing(
    kind: str, missing: list[str]
) -> None:
    with pytest.raises(WrongChoice) as refusal:
        choice(kind, "diffusion_models").check()
    assert all(one in str(refusal.value) for one in [*missing, "vae_name"])


def test_a_vision_type_needs_its_encoder_with_a_checkpoint_too() -> None:
    with pytest.raises(WrongChoice, match=r"clip_4 \(vision\)"):
        choice("SDXL + Vision").check()


@pytest.mark.parametrize("kind", [name for name, entry in TYPES.items() if not entry.family])
def test_a_type_that_is_not_served_yet_says_so_and_what_to_choose(kind: str) -> None:
    with pytest.raises(
        WrongChoice, match=f"{kind.split('+')[0].strip()}.*SD1.5, SDXL.*force_local"
    ):
        choice(kind).check_served()


def test_all_seven_types_are_offered() -> None:
    assert list(TYPES) == [
        "SD1.5",
        "SDXL",
        "SDXL + Vision",
        "Flux",
        "Flux + Vision",
        "SD3",
        "Z-IMAGE",
    ]


def test_slots_go_to_the_daemon_by_name_and_a_remote_one_looks_below_its_own_roots() -> None:
    models = choice(
        "SDXL", "diffusion_models", ("l.safetensors", "g.safetensors", "", ""), "v.safetensors"
    )
    assert {slot: ref.file for slot, ref in models.daemon_models(same_host=False).items()} == {
        "unet": "model.safetensors",
        "clip_l": "l.safetensors",
        "clip_g": "g.safetensors",
        "vae": "v.safetensors",
    }
