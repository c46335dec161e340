"""What the training runs on, in words."""

import os
import pathlib

import torch


def describe():
    """"2 cores of Intel Xeon ..., NVIDIA H200"."""
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines() if os.path.exists("/proc/cpuinfo") else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    text = f"{os.cpu_count()} cores of {names[0] if names else 'an unnamed CPU'}"
    return text + (f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else "")
