#!/usr/bin/env python3
"""PyTorch processes that give CUDA tensors to a daemon and read results where they lie.

usage: torch_client.py CUDA_CLIENT ADDRESS CHECKPOINT      (exit code 77: no GPU)

Each process has a session of its own (cuda_client). Checked are the proof of the plane, a latent
and a picture of 201 MB each way by their checksums, a slab of Luna's for memory that cannot be
exported, four processes at once, and that one which is killed in the middle disturbs nobody.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

SKIPPED = 77
PICTURE = 4096  # pixels each way: 4096 * 4096 * 3 * 4 bytes are 201 MB
CELLS = PICTURE // 8
HANDLE_BYTES = 64


@dataclass(frozen=True)
class Handle:
    """A CudaHandle of the wire."""

    uuid: str
    handle: bytes
    offset: int
    event: bytes
    lease: str = ""
    size: int = 0

    def words(self) -> str:
        return f"{self.uuid} {self.handle.hex()} {self.offset} {self.event.hex() or '-'}"


class Shared:
    """A torch tensor that other processes may read, until close()."""

    def __init__(self, tensor: Any, uuid: str) -> None:
        self.tensor = tensor.contiguous()
        storage = self.tensor.untyped_storage()
        (_, handle, _, offset, self._counter, self._counter_offset, event, needs_event) = (
            storage._share_cuda_()
        )
        start = self.tensor.storage_offset() * self.tensor.element_size()
        self.handle = Handle(uuid, handle, offset + start, event if needs_event else b"")

    def close(self) -> None:
        """Without this the producer keeps the block for a consumer that never comes."""
        device = self.tensor.device.index
        storage = type(self.tensor.untyped_storage())
        storage._release_ipc_counter(self._counter, self._counter_offset, device=device)


class Mapped:
    """Memory of a worker, read through this process's own mapping. An allocation is opened once."""

    _runtime = None
    _bases: dict[bytes, int] = {}

    class _IpcHandle(ctypes.Structure):
        _fields_ = [("reserved", ctypes.c_char * HANDLE_BYTES)]

    def __init__(self, handle: Handle) -> None:
        import torch

        cls = type(self)
        if cls._runtime is None:
            cls._runtime = ctypes.CDLL("libcudart.so.13")
        if handle.handle not in cls._bases:
            base = ctypes.c_void_p()
            raw = cls._IpcHandle.from_buffer_copy(handle.handle)
            code = cls._runtime.cudaIpcOpenMemHandle(ctypes.byref(base), raw, ctypes.c_uint(1))
            if code != 0 or base.value is None:
                raise RuntimeError(f"cudaIpcOpenMemHandle: {code}")
            cls._bases[handle.handle] = base.value
        if handle.event:
            device: Any = torch.device("cuda", 0)
            event = torch.cuda.Event.from_ipc_handle(device, handle.event)  # type: ignore[no-untyped-call]
            torch.cuda.current_stream().wait_event(event)
        self.__cuda_array_interface__ = {
            "shape": (handle.size,),
            "typestr": "|u1",
            "data": (cls._bases[handle.handle] + handle.offset, False),
            "version": 3,
        }

    def tensor(self) -> Any:
        import torch

        return torch.as_tensor(self, device="cuda:0")


class Session:
    """A cuda_client."""

    def __init__(self, arguments: list[str], uuid: str) -> None:
        self._uuid = uuid
        self.process = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._answer() == "ready"

    def _answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        if not line or line.startswith("error"):
            raise RuntimeError(line or "the client ended")
        return line

    def ask(self, line: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self._answer()

    def memory(self, words: str) -> Handle:
        parts = words.split()
        assert parts[0] != "host", "the result came by the host"
        handle, offset, event, lease, size = parts
        event_bytes = b"" if event == "-" else bytes.fromhex(event)
        return Handle(
            self._uuid, bytes.fromhex(handle), int(offset), event_bytes, lease, int(size)
        )

    def prove(self) -> None:
        import torch

        number = os.urandom(16)
        mine = Shared(torch.tensor(list(number), dtype=torch.uint8, device="cuda:0"), self._uuid)
        read, _, memory = self.ask(f"prove {mine.handle.words()}").partition(" ")
        assert bytes.fromhex(read) == number, "the worker read another number"
        theirs = self.memory(memory)
        written = bytes(Mapped(theirs).tensor().cpu().tolist())
        assert self.ask(f"confirm {theirs.lease} {written.hex()}").split()[0] == "cuda"
        mine.close()

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=60)


def byte_sum(tensor: Any) -> int:
    import torch

    return int(tensor.view(torch.uint8).sum(dtype=torch.int64).item())


def round_trip(session: Session, uuid: str, seed: int, cells: int) -> None:
    """A latent in, pixels out, both on the device; the same by the host has the same checksum."""
    import torch

    generator = torch.Generator("cuda:0").manual_seed(seed)
    latent = torch.randn(1, 4, cells, cells, generator=generator, device="cuda:0")
    mine = Shared(latent, uuid)
    expected = int(session.ask(f"decode_host {cells} {cells} {mine.handle.words()}"))
    pixels = session.memory(session.ask(f"decode {cells} {cells} {mine.handle.words()}"))
    assert byte_sum(Mapped(pixels).tensor()) == expected, f"{cells} cells: another checksum"
    # What came out goes in again where it lies.
    edge = cells * 8
    again = session.memory(session.ask(f"encode {edge} {edge} {pixels.words()}"))
    assert again.size == 4 * cells * cells * 4
    torch.cuda.synchronize()
    for result in (pixels, again):
        session.ask(f"free {result.lease}")
    mine.close()


def slab(session: Session, uuid: str) -> None:
    """Memory that cannot be exported is copied once, on the device, into memory of Luna's."""
    import torch

    latent = torch.ones(1, 4, 64, 64, device="cuda:0")
    memory = session.memory(session.ask(f"allocate {uuid} {latent.numel() * 4}"))
    Mapped(memory).tensor().copy_(latent.view(torch.uint8).flatten())
    torch.cuda.synchronize()
    through_slab = int(session.ask(f"decode_host 64 64 {memory.words()}"))
    mine = Shared(latent, uuid)
    assert int(session.ask(f"decode_host 64 64 {mine.handle.words()}")) == through_slab
    mine.close()
    session.ask(f"free {memory.lease}")


def client(arguments: list[str], uuid: str, seed: int, cells: int) -> None:
    session = Session(arguments, uuid)
    session.prove()
    round_trip(session, uuid, seed, 64)
    round_trip(session, uuid, seed, cells)
    slab(session, uuid)
    session.close()


def endless(arguments: list[str], uuid: str, begun: Any) -> None:
    session = Session(arguments, uuid)
    session.prove()
    begun.set()
    while True:
        round_trip(session, uuid, 1, 128)


def main() -> int:
    import torch

    if not torch.cuda.is_available():
        print("no GPU: skipped")
        return SKIPPED
    arguments = sys.argv[1:4]
    uuid = f"GPU-{torch.cuda.get_device_properties(0).uuid}"
    context = get_context("spawn")

    client(arguments, uuid, 3, CELLS)
    print("a latent and a picture of 201 MB went in and out where they lie")

    together = [
        context.Process(target=client, args=(arguments, uuid, seed, 128)) for seed in range(4)
    ]
    for process in together:
        process.start()
    for process in together:
        process.join(600)
        assert process.exitcode == 0, f"a client ended with {process.exitcode}"
    print("four processes at once")

    begun = context.Event()
    doomed = context.Process(target=endless, args=(arguments, uuid, begun))
    doomed.start()
    assert begun.wait(120), "the client that is to be killed did not begin"
    assert doomed.pid is not None
    os.kill(doomed.pid, signal.SIGKILL)
    doomed.join()
    client(arguments, uuid, 5, 128)
    print("a client that was killed in the middle disturbed nobody")
    return 0


if __name__ == "__main__":
    sys.exit(main())
