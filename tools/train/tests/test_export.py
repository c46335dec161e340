import contextlib
import io
import os
import pathlib
import tempfile
import unittest
from unittest import mock

import torch
from safetensors import safe_open
from safetensors.torch import load_file

from luna_train import export as exporting
from luna_train.embedding_stage import Embedding
from luna_train.lora_stage import STYLE_SHARES, Lora, changed_layers
from luna_train.preview_stage import PreviewDecoder
from luna_train.stage import append_log, save
from luna_train.text_encoder import VOCABULARY
from luna_train.text_stage import make_text_encoder
from luna_train.unet_stage import make_unet
from luna_train.upscaler_stage import Upscaler
from luna_train.vae_stage import make_autoencoder

from .tiny import TINY


def write_states(folder):
    """As if every stage were finished, with random weights."""
    torch.manual_seed(10)
    unet, text = make_unet(TINY), make_text_encoder(TINY)
    parts = {"text": {"text": text}, "vae": {"vae": make_autoencoder(TINY)}, "unet": {"unet": unet, "text": text},
             "preview": {"preview": PreviewDecoder()}, "upscaler": {"upscaler": Upscaler()},
             "embedding": {"embedding": Embedding(torch.randn(2, TINY.text_width))},
             **{f"lora-{style}": {"lora": Lora(unet)} for style in STYLE_SHARES}}
    for name, modules in parts.items():
        average = {key: module.state_dict() for key, module in modules.items()}
        save({"average": average, "step": 1000}, folder / f"{name}.pt")
        append_log(folder, {"stage": name, "step": 1000, "of": 1000, "seconds": 60, "loss": 0.5})
    append_log(folder, {"machine": "one abacus"})
    return unet, text


class Export(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = contextlib.ExitStack()
        cls.state = pathlib.Path(cls.stack.enter_context(tempfile.TemporaryDirectory()))
        cls.models = pathlib.Path(cls.stack.enter_context(tempfile.TemporaryDirectory()))
        cls.unet, cls.text = write_states(cls.state)
        with contextlib.redirect_stdout(io.StringIO()):
            exporting.export(TINY, cls.state, cls.models)

    @classmethod
    def tearDownClass(cls):
        cls.stack.close()

    def read(self, path):
        with safe_open(self.models / path, "pt") as file:
            return load_file(self.models / path), file.metadata()

    def part(self, tensors, prefix):
        return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}

    def test_the_checkpoint_has_the_three_parts_and_nothing_else(self):
        tensors, _ = self.read("checkpoints/luna-scenes.safetensors")
        unet = self.part(tensors, "model.diffusion_model.")
        vae = self.part(tensors, "first_stage_model.")
        text = self.part(tensors, "cond_stage_model.transformer.text_model.")
        self.assertEqual(len(unet) + len(vae) + len(text), len(tensors))
        self.assertEqual({name: tensor.shape for name, tensor in unet.items()},
                         {name: tensor.shape for name, tensor in self.unet.state_dict().items()})
        for name, tensor in self.unet.state_dict().items():
            self.assertTrue(torch.equal(unet[name], tensor.half()), name)
        make_autoencoder(TINY).load_state_dict(vae)

    def test_the_token_table_is_whole(self):
        tensors, _ = self.read("checkpoints/luna-scenes.safetensors")
        text = self.part(tensors, "cond_stage_model.transformer.text_model.")
        table, own = text.pop("embeddings.token_embedding.weight"), self.text.state_dict()
        rows = own.pop("embeddings.token_embedding.weight")
        self.assertEqual(table.shape, (VOCABULARY, TINY.text_width))
        self.assertTrue(torch.equal(table[torch.tensor(self.text.used)], rows.half()))
        self.assertTrue(torch.equal(table[1], rows.mean(0).half()))
        self.assertTrue(torch.equal(text.pop("embeddings.position_ids"), torch.arange(77).unsqueeze(0)))
        self.assertEqual(set(text), set(own))

    def test_metadata_tells_what_tensors_cannot_and_only_where_it_is_unusual(self):
        _, metadata = self.read("checkpoints/luna-scenes.safetensors")
        self.assertEqual(metadata["luna.vae.groups"], str(TINY.vae_groups))
        self.assertEqual(metadata["luna.clip_l.heads"], str(TINY.text_heads))
        self.assertNotIn("luna.unet.heads", metadata)
        self.assertEqual(metadata["modelspec.architecture"], "stable-diffusion-v1")
        self.assertEqual(metadata["modelspec.resolution"], f"{TINY.size}x{TINY.size}")

    def test_the_vae_alone_is_the_checkpoints(self):
        alone, metadata = self.read("vae/luna-scenes-vae.safetensors")
        within = self.part(self.read("checkpoints/luna-scenes.safetensors")[0], "first_stage_model.")
        self.assertEqual(set(alone), set(within))
        self.assertTrue(all(torch.equal(alone[name], within[name]) for name in alone))
        self.assertEqual(metadata["luna.vae.groups"], str(TINY.vae_groups))

    def test_each_changed_layer_has_its_three_lora_tensors(self):
        layers = changed_layers(self.unet)
        for style in STYLE_SHARES:
            tensors, metadata = self.read(f"loras/luna-{style}.safetensors")
            self.assertEqual(len(tensors), 3 * len(layers))
            for name, layer in layers.items():
                down, up = tensors[f"{name}.lora_down.weight"], tensors[f"{name}.lora_up.weight"]
                self.assertEqual((down.dim(), up.dim()), (layer.weight.dim(),) * 2)
                self.assertEqual((up.shape[0], down.shape[1]), layer.weight.shape[:2])
                self.assertEqual(tensors[f"{name}.alpha"].item(), 8)
            self.assertEqual((metadata["ss_network_dim"], metadata["ss_base_model_version"]), ("8", "sd_v1"))

    def test_the_small_files_read_back(self):
        PreviewDecoder().load_state_dict(self.read("vae_approx/taesd_decoder.safetensors")[0])
        Upscaler().load_state_dict(self.read("upscale_models/luna-4x.safetensors")[0])
        self.assertEqual(self.read("embeddings/luna-moonrise.safetensors")[0]["emb_params"].shape, (2, TINY.text_width))

    def test_the_card_tells_sizes_seed_machine_and_stages(self):
        card = (self.models / "README.md").read_text()
        for part in ("checkpoints/luna-scenes.safetensors", f"seed {TINY.seed}", "one abacus", "lora-pencil",
                     "loss 0.5"):
            self.assertIn(part, card)

    def test_nothing_is_left_beside_the_files(self):
        self.assertEqual([path.name for path in self.models.iterdir() if path.name.startswith(".part")], [])

    def test_an_unfinished_stage_is_named_and_nothing_is_written(self):
        with tempfile.TemporaryDirectory() as models, tempfile.TemporaryDirectory() as state:
            with self.assertRaisesRegex(RuntimeError, "text, vae, unet"):
                exporting.export(TINY, state, models)
            self.assertEqual(os.listdir(models), [])

    def test_too_large_a_set_is_refused_whole(self):
        with tempfile.TemporaryDirectory() as models, mock.patch.object(exporting, "LARGEST", 1000):
            with contextlib.redirect_stdout(io.StringIO()), self.assertRaisesRegex(RuntimeError, "1000"):
                exporting.export(TINY, self.state, models)
            self.assertEqual(os.listdir(models), [])


if __name__ == "__main__":
    unittest.main()
