"""Trains the model that this repository ships, from nothing: python tools/train/train.py --preset cpu --state DIR

Every stage saves its state every few minutes; the same command goes on where it stopped.
Needs: torch, numpy, pillow, safetensors, open_clip_torch."""

import argparse
import contextlib
import ctypes
import datetime
import functools
import os
import pathlib
import signal
import socket

import torch
import torch.distributed
import torch.multiprocessing

from luna_train import embedding_stage, machine
from luna_train.classifier import train_judge
from luna_train.embedding_stage import train_embedding
from luna_train.export import export
from luna_train.lora_stage import STYLE_SHARES, latents_name, train_lora
from luna_train.preset import PRESETS
from luna_train.preview_stage import train_preview
from luna_train.stage import Workers, append_log, finished, hold
from luna_train.text_stage import train_text
from luna_train.unet_stage import compute_latents, train_unet
from luna_train.upscaler_stage import train_upscaler
from luna_train.vae_stage import train_vae

BASE_STYLES = (0.9, 0.1, 0.0)
MODELS = pathlib.Path(__file__).resolve().parents[2] / "models"


def stages(preset, folder, device, autocast, models=MODELS):
    """Name, whether it is done already, and what does it. The last one writes the model files below `models`."""
    def with_steps(name, steps):
        return finished(folder, name, steps) is not None

    yield "text", with_steps("text", preset.text_steps), lambda workers: train_text(preset, folder, device, workers)
    yield "vae", with_steps("vae", preset.vae_steps), lambda workers: train_vae(preset, folder, device, workers, autocast)
    yield "latents", False, lambda workers: compute_latents(preset, folder, device, workers, autocast, BASE_STYLES,
                                                            preset.pictures)
    yield "unet", with_steps("unet", preset.unet_steps), lambda workers: train_unet(preset, folder, device, workers, autocast)
    yield ("preview", with_steps("preview", preset.small_steps),
           lambda workers: train_preview(preset, folder, device, workers, autocast))
    yield ("upscaler", with_steps("upscaler", preset.upscaler_steps),
           lambda workers: train_upscaler(preset, folder, device, workers, autocast))
    for style, shares in STYLE_SHARES.items():
        name = f"lora-{style}"
        done = with_steps(name, preset.style_steps)
        yield (latents_name(style), done,
               lambda workers: compute_latents(preset, folder, device, workers, autocast, shares, preset.style_pictures,
                                               latents_name(style)))
        yield name, done, lambda workers: train_lora(preset, folder, device, workers, autocast, style)
    done = with_steps("embedding", preset.embedding_steps)
    yield (embedding_stage.LATENTS, done,
           lambda workers: compute_latents(preset, folder, device, workers, autocast, None, preset.concept_pictures,
                                           embedding_stage.LATENTS, embedding_stage.concept_scene))
    yield "embedding", done, lambda workers: train_embedding(preset, folder, device, workers, autocast)
    yield ("judge", with_steps("judge", preset.judge_steps),
           lambda workers: train_judge(preset, folder, device, workers, autocast))
    yield "export", False, lambda workers: export(preset, folder, models) if workers.rank == 0 else None


def worker(rank, count, port, preset_name, folder, models, wanted):
    held = hold(folder) if rank == 0 else None
    if count > 1:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: whoever ends the command ends all of it
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        torch.distributed.init_process_group("gloo", rank=rank, world_size=count,
                                             timeout=datetime.timedelta(minutes=30))
        torch.set_num_threads(1)
    cuda = torch.cuda.is_available()
    autocast = functools.partial(torch.autocast, "cuda" if cuda else "cpu", torch.bfloat16)
    preset = PRESETS[preset_name]
    if rank == 0:
        append_log(folder, {"machine": machine.describe()})
    for name, done, run in stages(preset, folder, "cuda" if cuda else "cpu", autocast, models):
        if done or (wanted and name not in wanted):
            continue
        run(Workers(rank, count))
        if count > 1:
            torch.distributed.barrier()
    if held:
        held.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", choices=PRESETS, default="cpu")
    parser.add_argument("--state", type=pathlib.Path, required=True, help="folder for states and logs; made if missing")
    parser.add_argument("--models", type=pathlib.Path, default=MODELS, help="where the files go (default: models/)")
    parser.add_argument("--processes", type=int, default=None, help="default: 1 with a GPU, else one a core, 4 at most")
    parser.add_argument("stages", nargs="*", help="only these (default: all that are not done)")
    arguments = parser.parse_args()
    arguments.state.mkdir(parents=True, exist_ok=True)
    count = arguments.processes or (1 if torch.cuda.is_available() else min(4, os.cpu_count()))
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    rest = (count, port, arguments.preset, arguments.state, arguments.models, arguments.stages)
    if count == 1:
        worker(0, *rest)
    else:
        torch.multiprocessing.spawn(worker, rest, nprocs=count)


if __name__ == "__main__":
    main()
