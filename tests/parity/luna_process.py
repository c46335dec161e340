"""A real lunad on a private socket, and `luna generate` against it, for live comparisons."""

import json
import pathlib
import subprocess
import sys
import time


class LunaDaemon:
    """Context manager: starts lunad over `models` (ComfyUI's layout) with its files in `base`, and ends it."""

    def __init__(self, programs, models, base):
        self.programs, self.base = pathlib.Path(programs), pathlib.Path(base)
        self.socket = self.base / "lunad.sock"
        self.config = self.base / "config.toml"
        self.config.write_text(f'[server]\nunix_socket = "{self.socket}"\nlisten = ""\n'
                               f'[models]\nroots = ["{models}"]\n[[pool]]\nname = "cpu"\ndevices = ["cpu"]\n')

    def __enter__(self):
        self.log = open(self.base / "lunad.log", "w+")
        self.process = subprocess.Popen([self.programs / "lunad", "--config", self.config], stdout=self.log,
                                        stderr=subprocess.STDOUT)
        end = time.time() + 60
        while not self.socket.exists():
            if self.process.poll() is not None or time.time() > end:
                self.log.seek(0)
                self.process.kill()
                sys.exit("lunad did not come up:\n" + self.log.read()[-3000:])
            time.sleep(0.05)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    def generate(self, **flags):
        """`luna generate --NAME VALUE ...`; flags of None are left out. Returns the command's JSON."""
        command = [self.programs / "luna", "generate", "--address", f"unix:{self.socket}", "--json"]
        for name, value in flags.items():
            if value is not None:
                command += ["--" + name.replace("_", "-"), value]
        run = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        if run.returncode:
            self.log.seek(0)
            sys.exit(f"luna generate failed ({run.returncode}): {run.stderr}\n{self.log.read()[-2000:]}")
        return json.loads(run.stdout)
