"""One stage of training: resumable, on one device or on several single-thread processes, with an average of the weights.

Several processes with a thread each, and not one with several threads: OpenMP's threads wait for each other actively and
collapse when anything else runs on the machine."""

import copy
import fcntl
import json
import math
import os
import pathlib
import time

import numpy
import torch
import torch.distributed


class Workers:
    """This process among those of a stage."""

    def __init__(self, rank=0, count=1):
        self.rank, self.count = rank, count

    def sum_gradients(self, parameters):
        if self.count == 1:
            return
        for part in parameters:  # a worker whose rows say nothing of a part must still speak of it
            if part.grad is None:
                part.grad = torch.zeros_like(part)
        gradients = [part.grad for part in parameters]
        flat = torch.cat([g.reshape(-1) for g in gradients]) / self.count
        torch.distributed.all_reduce(flat)
        for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients])):
            gradient.copy_(part.view_as(gradient))


def save(state, path):
    """Whole or not at all."""
    path = pathlib.Path(path)
    part = path.with_suffix(".part")
    torch.save(state, part)
    os.replace(part, path)


def append_log(folder, line):
    with open(pathlib.Path(folder) / "log.jsonl", "a") as log:
        log.write(json.dumps(line) + "\n")


def hold(folder):
    """The state belongs to this process until it ends; the file that says so, to be kept open."""
    lock = open(pathlib.Path(folder) / "lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SystemExit(f"{folder}: another training goes on in this state; end it first, or name another folder")
    return lock


def seeded(*numbers):
    return numpy.random.default_rng(list(numbers))


def same_start(seed, name):
    """Call before a stage's modules are built: every worker starts from the same weights, whatever it did before."""
    torch.manual_seed(int(seeded(seed, sum(name.encode())).integers(1 << 62)))


class Stage:
    """Trains `parts` (name → module) for `steps` steps of `loss(step, rng) -> (loss, figures)`; each step's random
    numbers follow from the seed, the stage and the step, so that a resumed run is the run that was never stopped."""

    def __init__(self, name, folder, parts, steps, rate, device, workers, seed, rates=None, decay=0.999, weight_decay=0.01):
        self.name, self.folder, self.parts, self.steps, self.rate = name, pathlib.Path(folder), parts, steps, rate
        self.device, self.workers, self.seed, self.decay = device, workers, seed, decay
        groups = [{"params": [p for p in part.parameters() if p.requires_grad], "share": (rates or {}).get(key, 1.0)}
                  for key, part in parts.items()]
        self.optimizer = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.99), weight_decay=weight_decay, fused=True)
        self.average = {key: copy.deepcopy(part).eval().requires_grad_(False) for key, part in parts.items()}
        self.step, self.seconds = 0, 0.0
        self.path = self.folder / f"{name}.pt"
        if self.path.exists():
            self._resume()

    def _resume(self):
        state = torch.load(self.path, map_location=self.device, weights_only=True)
        for key, part in self.parts.items():
            part.load_state_dict(state["parts"][key])
            self.average[key].load_state_dict(state["average"][key])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]

    def _save(self):
        if self.workers.rank == 0:
            save({"parts": {key: part.state_dict() for key, part in self.parts.items()},
                  "average": {key: part.state_dict() for key, part in self.average.items()},
                  "optimizer": self.optimizer.state_dict(), "step": self.step, "seconds": self.seconds}, self.path)

    def _rate(self):
        warm = min(1.0, (self.step + 1) / 200)
        return self.rate * warm * 0.5 * (1 + math.cos(math.pi * self.step / self.steps))

    def run(self, loss, save_every=180.0, log_every=100):
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        sums, counted, began, saved = {}, 0, time.time(), time.time()
        for part in self.parts.values():
            part.train()
        while self.step < self.steps:
            rng = seeded(self.seed, sum(self.name.encode()), self.step, self.workers.rank)
            torch.manual_seed(int(rng.integers(1 << 62)))
            for group in self.optimizer.param_groups:
                group["lr"] = self._rate() * group["share"]
            value, figures = loss(self.step, rng)
            self.optimizer.zero_grad(set_to_none=True)
            value.backward()
            self.workers.sum_gradients(parameters)
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            self.optimizer.step()
            self.step += 1
            keep = min(self.decay, (1 + self.step) / (10 + self.step))
            with torch.no_grad():
                for key, part in self.parts.items():
                    for mean, now in zip(self.average[key].parameters(), part.parameters()):
                        mean.lerp_(now, 1 - keep)
            counted += 1
            for key, figure in {"loss": value.detach(), **figures}.items():
                sums[key] = sums.get(key, 0.0) + float(figure)
            if self.step % log_every == 0 or self.step == self.steps:
                now = time.time()
                self.seconds, began = self.seconds + now - began, now
                self._log({key: total / counted for key, total in sums.items()})
                sums, counted = {}, 0
                if now - saved > save_every or self.step == self.steps:
                    self._save()
                    saved = now

    def _log(self, figures):
        if self.workers.rank != 0:
            return
        line = {"stage": self.name, "step": self.step, "of": self.steps, "seconds": round(self.seconds),
                **{key: round(figure, 5) for key, figure in figures.items()}}
        append_log(self.folder, line)
        print(line, flush=True)


def finished(folder, name, steps):
    """The average's weights of a finished stage (part → state), None while it is not; of any stage with 0 steps."""
    path = pathlib.Path(folder) / f"{name}.pt"
    if not path.exists():
        return None
    state = torch.load(path, map_location="cpu", weights_only=True)
    return state["average"] if state["step"] >= steps else None
