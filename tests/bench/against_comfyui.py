"""Pictures per second against ComfyUI: same checkpoint, same torch, same threads, same run.

usage: against_comfyui.py BIN_FOLDER [--size N] [--steps N] [--pictures N]     (COMFYUI_DIR, COMFYUI_PYTHON)
Prints one JSON object: ratios first.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "parity"))
import comfyui_process


def peak_memory(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def children(pid):
    listing = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in listing.split()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("programs", type=pathlib.Path)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--pictures", type=int, default=3)
    parser.add_argument("--precision", default="f32")
    arguments = parser.parse_args()
    checkout = comfyui_process.require_comfyui()
    programs = arguments.programs

    with tempfile.TemporaryDirectory(prefix="luna-bench-") as folder:
        base = pathlib.Path(folder)
        checkpoint = base / "models/checkpoints/wide.safetensors"
        checkpoint.parent.mkdir(parents=True)
        subprocess.run([programs / "luna-make-checkpoint", checkpoint, "--size", "full-width"], check=True)

        def graph(seed):
            return comfyui_process.text_to_image(
                "wide.safetensors", "a red fox in the snow", "blurry", width=arguments.size, height=arguments.size,
                steps=arguments.steps, cfg=7.0, sampler="euler", scheduler="normal", seed=seed)

        with comfyui_process.ComfyUI(checkout, base) as comfyui:
            comfyui.run(graph(0))
            began = time.time()
            for seed in range(arguments.pictures):
                comfyui.run(graph(100 + seed))
            comfyui_rate = arguments.pictures / (time.time() - began)
            comfyui_peak = peak_memory(comfyui.process.pid)

        config, socket = base / "config.toml", base / "lunad.sock"
        config.write_text(f'[server]\nunix_socket = "{socket}"\nlisten = ""\n[models]\nroots = ["{base / "models"}"]\n')
        daemon = subprocess.Popen([programs / "lunad", "--config", config], stderr=subprocess.DEVNULL)
        try:
            while not socket.exists():
                time.sleep(0.05)

            def luna(clients, pictures):
                run = subprocess.run(
                    [programs / "bench_generate", "--address", f"unix:{socket}", "--checkpoint", "wide.safetensors",
                     "--clients", str(clients), "--pictures", str(pictures), "--steps", str(arguments.steps),
                     "--size", str(arguments.size), "--precision", arguments.precision],
                    stdout=subprocess.PIPE, text=True, check=True)
                return json.loads(run.stdout)["pictures_per_s"]

            one = luna(1, arguments.pictures)
            four = luna(4, arguments.pictures)
            luna_peak = peak_memory(daemon.pid) + sum(peak_memory(child) for child in children(daemon.pid))
        finally:
            daemon.terminate()
            daemon.wait(30)

    print(json.dumps({
        "one_client_ratio": one / comfyui_rate, "four_clients_ratio": four / comfyui_rate,
        "comfyui_pictures_per_s": comfyui_rate, "luna_pictures_per_s": one, "luna_four_pictures_per_s": four,
        "comfyui_steps_per_s": comfyui_rate * arguments.steps, "luna_steps_per_s": one * arguments.steps,
        "comfyui_peak_bytes": comfyui_peak, "luna_peak_bytes": luna_peak,
        "size": arguments.size, "steps": arguments.steps, "precision": arguments.precision}, indent=2))


if __name__ == "__main__":
    main()
