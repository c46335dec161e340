"""A real, unmodified ComfyUI, headless on the CPU, as the reference for live comparisons."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid

SKIPPED = 77


def require_comfyui():
    """The checkout named by COMFYUI_DIR; ends the program with ctest's skip code and a clear line without one."""
    folder = os.environ.get("COMFYUI_DIR")
    if not folder:
        print("SKIPPED: COMFYUI_DIR is not set; it names a ComfyUI 0.29 checkout whose requirements COMFYUI_PYTHON has")
        sys.exit(SKIPPED)
    if not (pathlib.Path(folder) / "main.py").exists():
        sys.exit(f"COMFYUI_DIR={folder} holds no main.py")
    return pathlib.Path(folder).resolve()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class ComfyUI:
    """Context manager: starts the server over `base` (models/, input/, output/) and ends it."""

    def __init__(self, checkout, base, extra=()):
        self.checkout, self.base = checkout, pathlib.Path(base)
        self.port = free_port()
        for folder in ("models/checkpoints", "models/vae", "input", "output", "temp", "user", "custom_nodes", "front"):
            (self.base / folder).mkdir(parents=True, exist_ok=True)
        (self.base / "front/index.html").write_text("")
        self.command = [
            os.environ.get("COMFYUI_PYTHON", sys.executable), "main.py", "--cpu", "--listen", "127.0.0.1",
            "--port", str(self.port), "--base-directory", str(self.base), "--disable-api-nodes",
            "--disable-all-custom-nodes", "--front-end-root", str(self.base / "front"),
            "--database-url", "sqlite:///:memory:", "--disable-auto-launch", "--preview-method", "none",
            "--deterministic", "--fp32-text-enc", "--use-pytorch-cross-attention", *extra]

    def __enter__(self):
        environment = dict(os.environ, CUDA_VISIBLE_DEVICES="")
        self.log = open(self.base / "comfyui.log", "w+")
        self.process = subprocess.Popen(self.command, cwd=self.checkout, env=environment, stdout=self.log,
                                        stderr=subprocess.STDOUT)
        end = time.time() + 180
        while True:
            try:
                self.get("/system_stats")
                return self
            except (urllib.error.URLError, ConnectionError):
                if self.process.poll() is not None or time.time() > end:
                    self.log.seek(0)
                    sys.exit("ComfyUI did not come up:\n" + self.log.read()[-3000:])
                time.sleep(0.3)

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as reply:
            return json.loads(reply.read())

    def run(self, graph):
        """Runs an API-format workflow to its end; returns (outputs by node, seconds)."""
        identity = str(uuid.uuid4())
        body = json.dumps({"prompt": graph, "prompt_id": identity, "client_id": "luna-parity"}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/prompt", body,
                                         {"Content-Type": "application/json"})
        began = time.time()
        try:
            urllib.request.urlopen(request, timeout=60).read()
        except urllib.error.HTTPError as refusal:
            sys.exit("ComfyUI refused the workflow: " + refusal.read().decode()[:2000])
        while True:
            history = self.get(f"/history/{identity}")
            if identity in history:
                entry = history[identity]
                if entry["status"]["status_str"] != "success":
                    sys.exit("ComfyUI failed: " + json.dumps(entry["status"])[:3000])
                return entry["outputs"], time.time() - began
            time.sleep(0.05)

    def output_file(self, item):
        return self.base / item["type"] / item.get("subfolder", "") / item["filename"]


def text_to_image(checkpoint, positive, negative, *, width, height, steps, cfg, sampler, scheduler, seed, batch=1,
                  vae=None):
    """The stock graph of a text-to-image run, saving pictures and latents."""
    graph = {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": checkpoint}},
        "2": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": positive}},
        "3": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": negative}},
        "4": {"class_type": "EmptyLatentImage", "inputs": {"width": width, "height": height, "batch_size": batch}},
        "5": {"class_type": "KSampler", "inputs": {
            "model": ["1", 0], "positive": ["2", 0], "negative": ["3", 0], "latent_image": ["4", 0], "seed": seed,
            "steps": steps, "cfg": cfg, "sampler_name": sampler, "scheduler": scheduler, "denoise": 1.0}},
        "6": {"class_type": "VAEDecode", "inputs": {"samples": ["5", 0], "vae": ["1", 2]}},
        "7": {"class_type": "SaveImage", "inputs": {"images": ["6", 0], "filename_prefix": "parity"}},
        "8": {"class_type": "SaveLatent", "inputs": {"samples": ["5", 0], "filename_prefix": "parity"}},
    }
    if vae:
        graph["9"] = {"class_type": "VAELoader", "inputs": {"vae_name": vae}}
        graph["6"]["inputs"]["vae"] = ["9", 0]
    return graph
