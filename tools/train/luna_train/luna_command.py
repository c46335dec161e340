"""Pictures from captions through Luna itself: one daemon, several `luna generate` at a time."""

import concurrent.futures
import contextlib
import os
import pathlib
import subprocess
import tempfile
import time

import numpy
from PIL import Image

SAMPLING = ("--steps", "20", "--cfg", "4", "--sampler", "dpmpp_2m", "--scheduler", "karras")


def _answers(programs, address):
    status = [str(pathlib.Path(programs) / "luna"), "status", "--address", address]
    return subprocess.run(status, capture_output=True).returncode == 0


@contextlib.contextmanager
def daemon(programs, models):
    """Address of a lunad over the models' folder; it ends with the block. RuntimeError holds its log if it does not
    start."""
    with tempfile.TemporaryDirectory(prefix="luna-eval-") as folder:
        socket, log = pathlib.Path(folder) / "socket", pathlib.Path(folder) / "lunad.log"
        command = [str(pathlib.Path(programs) / "lunad"), "--address", f"unix:{socket}", "--listen", "",
                   "--model-root", str(pathlib.Path(models).resolve())]
        with open(log, "w") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out)
        try:
            deadline = time.time() + 60
            while not (answers := _answers(programs, f"unix:{socket}")) and process.poll() is None:
                if time.time() > deadline:
                    break
                time.sleep(0.2)
            if not answers:
                raise RuntimeError(f"lunad does not answer (exit status {process.poll()}): {log.read_text()}")
            yield f"unix:{socket}"
        finally:
            process.terminate()
            process.wait(60)


def _generate(program, address, path, caption, seed, size, flags):
    command = [str(program), "generate", "--address", address, "--prompt", caption, "--seed", str(seed),
               "--width", str(size), "--height", str(size), "--output", str(path), *SAMPLING, *flags]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    with Image.open(path) as image:
        return numpy.asarray(image.convert("RGB"))


def make_pictures(programs, address, captions, size, seed=0, flags=(), at_once=None):
    """uint8 [size, size, 3] for each caption; the seeds count up from `seed`."""
    program = pathlib.Path(programs) / "luna"
    with tempfile.TemporaryDirectory(prefix="luna-eval-") as folder:
        with concurrent.futures.ThreadPoolExecutor(at_once or min(4, os.cpu_count())) as pool:
            waiting = [pool.submit(_generate, program, address, pathlib.Path(folder) / f"{i}.png", caption, seed + i,
                                   size, flags) for i, caption in enumerate(captions)]
            return [done.result() for done in waiting]
