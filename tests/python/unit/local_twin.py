"""The daemon's end of a local socket: a session's, and the step sockets of its worker."""

import os
import socket
import threading

import numpy as np

from luna_client.planes import frame
from luna_client.planes.memory import map_received, sealed
from luna_client.v1 import local_pb2

TOKEN = "token-1"


class Twin:
    """Listens at `path` until close(). What came stands in `requests`, by the request's name."""

    def __init__(self, path, lies=False, steps=True):
        self.path = str(path)
        self.lies = lies
        self.steps = steps
        self.requests = []
        self.regions = {}
        self.results = {}
        self.step_sockets = []
        self.refuse = {}
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(self.path)
        self.server.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.server.close()

    def names(self):
        return [request.WhichOneof("request") for request in self.requests]

    def _accept(self):
        while True:
            try:
                peer, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(peer, self.regions), daemon=True).start()

    def _serve(self, peer, regions):
        try:
            while True:
                came = frame.receive(peer, 1)
                request = local_pb2.LocalRequest.FromString(came.body)
                self.requests.append(request)
                response, descriptors = local_pb2.LocalResponse(), []
                kind = request.WhichOneof("request")
                if self.refuse.get(kind) == "hang up":
                    peer.close()
                    return
                if kind in self.refuse:
                    response.code, response.message = self.refuse[kind]
                else:
                    descriptors = getattr(self, kind)(request, came.descriptors, response, regions)
                frame.send(
                    peer, 1, 2, response.SerializeToString(), [(fd, 0) for fd in descriptors]
                )
                for fd in descriptors:
                    os.close(fd)
        except (OSError, ConnectionError):
            peer.close()

    def attach(self, request, fds, response, regions):
        if request.attach.token != TOKEN:
            response.code, response.message = 7, "no session has this token"
            os.close(fds[0])
            return []
        read = map_received(fds[0], writable=False)[:16]
        response.attached.nonce = b"0" * 16 if self.lies else read
        self.nonce = os.urandom(16)
        return [sealed(self.nonce)[0]]

    def prove(self, request, fds, response, regions):
        assert request.prove.nonce == self.nonce
        response.proved.planes.extend(["shm", "inline"])
        return []

    def register_region(self, request, fds, response, regions):
        """Maps as a worker does: what the client writes later is seen."""
        import mmap

        name = f"r-{len(self.requests)}"
        size = os.fstat(fds[0]).st_size
        assert size >= request.register_region.bytes
        try:
            regions[name] = mmap.mmap(fds[0], size)
        except PermissionError:  # sealed against writing
            regions[name] = mmap.mmap(fds[0], size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
            response.region_registered.constant = True
        os.close(fds[0])
        response.region_registered.region_id = name
        return []

    def release_regions(self, request, fds, response, regions):
        for name in request.release_regions.region_ids:
            del regions[name]
        response.regions_released.freed_bytes = 1
        return []

    def take_region(self, request, fds, response, regions):
        content = self.results.pop(request.take_region.region_id, None)
        if content is None:
            response.code, response.message = 5, "no region of this name"
            return []
        response.region_taken.bytes = len(content)
        return [sealed(content)[0]]

    def open_steps(self, request, fds, response, regions):
        if not self.steps:
            response.code, response.message = 12, "open_steps is not served by this version"
            return []
        ours, theirs = socket.socketpair()
        self.step_sockets.append(ours)
        threading.Thread(target=self._serve, args=(ours, {}), daemon=True).start()
        response.steps_opened.SetInParent()
        return [theirs.detach()]

    def denoise(self, request, fds, response, regions):
        """x0 is x times the first number of the context, wherever those lie."""
        for row, into in zip(request.denoise.request.rows, request.denoise.into, strict=True):
            x, context = (
                self._floats(row.x, regions),
                self._floats(row.conditioning.cross_attn, regions),
            )
            made = (x * context[0]).tobytes()
            regions[into.region_id][into.offset : into.offset + len(made)] = made
            response.denoised.denoised.add(spec=row.x.spec)
        return []

    @staticmethod
    def _floats(ref, regions):
        count = int(np.prod(ref.spec.shape))
        data = regions[ref.region.region_id]
        return np.frombuffer(bytes(data), np.float32, count, ref.region.offset)
