"""The same picture from an unmodified ComfyUI's /prompt and from `luna generate`: at most 3/255 apart anywhere.

usage: live_picture.py BIN_FOLDER     (COMFYUI_DIR, COMFYUI_PYTHON)
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import comfyui_process
import luna_process

CASES = [
    dict(positive="a red fox in the snow, (sharp:1.3)", negative="blurry", width=128, height=128, steps=6, cfg=7.0,
         sampler="euler", scheduler="normal", seed=42, batch=1),
    dict(positive="a lighthouse at night", negative="", width=192, height=64, steps=4, cfg=4.5,
         sampler="dpmpp_2m", scheduler="karras", seed=2**33 + 7, batch=2),
]


def main():
    checkout = comfyui_process.require_comfyui()
    import numpy
    from PIL import Image
    from safetensors.numpy import load_file

    programs = pathlib.Path(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="luna-parity-") as folder:
        base = pathlib.Path(folder)
        checkpoint = base / "models/checkpoints/wide.safetensors"
        checkpoint.parent.mkdir(parents=True)
        subprocess.run([programs / "luna-make-checkpoint", checkpoint, "--size", "full-width"], check=True)

        reference = []
        with comfyui_process.ComfyUI(checkout, base) as comfyui:
            for case in CASES:
                outputs, _ = comfyui.run(comfyui_process.text_to_image("wide.safetensors", **case))
                pictures = [numpy.asarray(Image.open(comfyui.output_file(item)).convert("RGB"), dtype=numpy.int32)
                            for item in outputs["7"]["images"]]
                latents = load_file(comfyui.output_file(outputs["8"]["latents"][0]))["latent_tensor"]
                reference.append((pictures, latents))

        failures = 0
        with luna_process.LunaDaemon(programs, base / "models", base) as daemon:
            for case, (pictures, latents) in zip(CASES, reference):
                name = base / "luna.png"
                flags = {key: value for key, value in case.items() if key not in ("positive", "negative")}
                daemon.generate(checkpoint="wide.safetensors", prompt=case["positive"], negative=case["negative"],
                                precision="f32", output=name, save_latents=base / "luna.safetensors", **flags)
                names = [name] if case["batch"] == 1 else [base / f"luna_{i}.png" for i in range(case["batch"])]
                ours = load_file(base / "luna.safetensors")["latent_tensor"]
                latent_error = float(numpy.linalg.norm(ours - latents) / numpy.linalg.norm(latents))
                for index, (file, picture) in enumerate(zip(names, pictures)):
                    mine = numpy.asarray(Image.open(file).convert("RGB"), dtype=numpy.int32)
                    worst = int(numpy.abs(mine - picture).max())
                    spread = int(picture.max() - picture.min())
                    verdict = "ok" if worst <= 3 and spread > 30 else "FAILED"
                    failures += verdict != "ok"
                    print(json.dumps(dict(case=case, picture=index, largest_difference=worst, value_range=spread,
                                          latent_relative_error=latent_error, verdict=verdict)))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
