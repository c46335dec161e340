"""Calls to a lunad over gRPC, for live comparisons of what `luna generate` has no flags for. Needs grpcio and
grpcio-tools; the classes are made from proto/ at the first use."""

import importlib
import pathlib
import sys
import tempfile

import numpy

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODULES = ("tensor", "sampling", "models", "workflow", "primitives")


def is_available():
    try:
        import grpc  # noqa: F401
        import grpc_tools.protoc  # noqa: F401
    except ImportError:
        return False
    return True


def load_protocol():
    """The modules "tensor" ... "primitives" and the services' stubs, by name."""
    from grpc_tools import protoc

    folder = tempfile.mkdtemp(prefix="luna-proto-")
    files = [str(path) for path in sorted((ROOT / "proto/luna/v1").glob("*.proto"))]
    if protoc.main(["protoc", f"-I{ROOT / 'proto'}", f"--python_out={folder}", f"--grpc_python_out={folder}", *files]):
        sys.exit("protoc failed")
    sys.path.insert(0, folder)
    return {name: importlib.import_module(f"luna.v1.{name}{ending}") for name, ending in
            [(name, "_pb2") for name in MODULES]} | {
        "workflow_stub": importlib.import_module("luna.v1.workflow_pb2_grpc"),
        "primitives_stub": importlib.import_module("luna.v1.primitives_pb2_grpc")}


class Workflow:
    """One registered checkpoint; tensors go as numpy arrays of f32."""

    def __init__(self, socket, checkpoint, precision):
        import grpc

        self.pb = load_protocol()
        size = [("grpc.max_receive_message_length", 128 << 20), ("grpc.max_send_message_length", 128 << 20)]
        self.channel = grpc.insecure_channel(f"unix:{socket}", options=size)
        models, workflow = self.pb["models"], self.pb["workflow"]
        reference = models.ModelRef(file=checkpoint, precision=getattr(models, f"PRECISION_{precision.upper()}"))
        request = workflow.RegisterWorkflowRequest(workflow_id="parity", models=models.ModelSet(checkpoint=reference))
        self.registered = self.pb["workflow_stub"].WorkflowsStub(self.channel).Register(request).workflow
        self.primitives = self.pb["primitives_stub"].PrimitivesStub(self.channel)
        self.about = [("luna-workflow-id", "parity")]

    def families(self):
        return [component.description for component in self.registered.components]

    @staticmethod
    def array(tensor):
        return numpy.frombuffer(tensor.inline, dtype=numpy.float32).reshape(tuple(tensor.spec.shape))

    def tensor(self, array):
        pb = self.pb["tensor"]
        return pb.TensorRef(spec=pb.TensorSpec(dtype=pb.DTYPE_F32, shape=array.shape),
                            inline=numpy.ascontiguousarray(array, dtype=numpy.float32).tobytes())

    def tokens(self, text):
        return self.primitives.Tokenize(self.pb["primitives"].TokenizeRequest(text=text), metadata=self.about).chunks

    def encode(self, text="", tokens=None):
        """(cross_attn, pooled)"""
        reply = self.primitives.EncodeText(self.pb["primitives"].EncodeTextRequest(text=text, tokens=tokens or {}),
                                           metadata=self.about)
        return self.array(reply.cross_attn), self.array(reply.pooled)

    def sample(self, positive, negative, *, width, height, steps, cfg, sampler, scheduler, seed, numbers=None):
        """positive, negative: (cross_attn, pooled). The final latent [C, h, w]."""
        pb, types = self.pb["sampling"], self.pb["tensor"]
        rows = {}
        for name, (cross_attn, pooled) in (("positive", positive), ("negative", negative)):
            entry = pb.ConditioningEntry(cross_attn=self.tensor(cross_attn), pooled=self.tensor(pooled),
                                         numbers=numbers or {})
            rows[name] = pb.ConditioningList(entries=[entry])
        empty = types.TensorRef(spec=types.TensorSpec(dtype=types.DTYPE_F32, shape=[4, height // 8, width // 8]))
        row = pb.SampleRow(latent=empty, noise=pb.Noise(seed=seed), conditioning=rows, guidance=pb.Guidance(cfg=cfg))
        request = pb.SampleRequest(run=pb.SamplerRun(sampler=sampler, scheduler=scheduler, steps=steps), rows=[row])
        for message in self.primitives.Sample(request, metadata=self.about):
            if message.HasField("result"):
                return self.array(message.result.latents[0])
        raise RuntimeError("a sampling without a result")

    def decode(self, latent):
        """Pixels in 0..1, [H, W, 3]."""
        request = self.pb["primitives"].VaeDecodeRequest(latent=self.tensor(latent[None]))
        return self.array(self.primitives.VaeDecode(request, metadata=self.about).pixels)[0]
