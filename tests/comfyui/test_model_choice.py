"""The router's fields are checked before anything is loaded, and one error names all that is
missing."""

import folder_paths
import pytest
from comfy.cli_args import LatentPreviewMethod, args
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


def test_taesd_previews_take_their_decoder_along_to_a_daemon_of_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = ["taesd_decoder.pth", "taesdxl_decoder.safetensors", "taesd_decoder.safetensors"]
    monkeypatch.setattr(folder_paths, "get_filename_list", lambda folder: names)
    monkeypatch.setattr(folder_paths, "get_full_path", lambda folder, name: f"/m/{folder}/{name}")
    monkeypatch.setattr(args, "preview_method", LatentPreviewMethod.TAESD)
    sd15 = choice("SD1.5")
    assert sd15.daemon_models(True)["preview"].file == "/m/vae_approx/taesd_decoder.safetensors"
    assert "preview" not in sd15.daemon_models(same_host=False)
    monkeypatch.setattr(args, "preview_method", LatentPreviewMethod.Latent2RGB)
    assert "preview" not in sd15.daemon_models(same_host=True)
