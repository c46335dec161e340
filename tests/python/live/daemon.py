"""A real lunad with its worker, on the shipped model."""

import os
import pathlib
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
PROGRAMS = pathlib.Path(os.environ.get("LUNA_BIN", ROOT / "build/release/bin"))
CHECKPOINT = "luna-scenes.safetensors"
LORA = ROOT / "models/loras/luna-pencil.safetensors"


class Daemon:
    """start(), kill(), stop(); its files lie in `folder`."""

    def __init__(self, folder, models=ROOT / "models", limits=""):
        self.folder = pathlib.Path(folder)
        self.socket = self.folder / "lunad.sock"
        self.address = f"unix:{self.socket}"
        self.config = self.folder / "config.toml"
        self.config.write_text(
            f'[server]\nunix_socket = "{self.socket}"\nlisten = ""\n'
            f'[models]\nroots = ["{models}"]\n'
            f'[[pool]]\nname = "cpu"\ndevices = ["cpu"]\n[limits]\n{limits}\n'
        )
        self.log = self.folder / "lunad.log"
        self.process = None

    def start(self):
        told = self.log.read_text() if self.log.exists() else ""
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [PROGRAMS / "lunad", "--config", self.config], stdout=log, stderr=subprocess.STDOUT
            )
        end = time.monotonic() + 60
        while "serves on" not in self.log.read_text()[len(told) :]:
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("lunad did not come up:\n" + self.log.read_text()[-3000:])
            time.sleep(0.02)
        return self

    def kill(self):
        """As a crash: no goodbye."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        """As systemd does it."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                self.kill()

    def luna(self, *arguments):
        """The C++ command against this daemon."""
        command = [PROGRAMS / "luna", *arguments, "--address", self.address]
        run = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        return run.stdout


def eventually(true, seconds=20.0):
    """Waits for what happens beside the caller."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
