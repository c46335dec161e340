"""Makes the protocol's classes (luna_client/v1) from proto/luna/v1 when the package is built.

What one protoc makes works with the protobuf runtime of its own release and later ones: the
requirement follows from the protoc of grpcio-tools.
"""

import pathlib
import re
import shutil
import tempfile

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = pathlib.Path(__file__).resolve().parent
#: In the repository above, in a source distribution beside.
PROTO = next(
    (folder for folder in (HERE / "proto", HERE.parents[1] / "proto") if folder.is_dir()),
    HERE / "proto",
)


def make_protocol(target: pathlib.Path) -> None:
    """Writes luna_client/v1 below `target`."""
    from grpc_tools import protoc

    package = target / "luna_client" / "v1"
    shutil.rmtree(package, ignore_errors=True)
    package.mkdir(parents=True)
    files = sorted(str(path) for path in (PROTO / "luna" / "v1").glob("*.proto"))
    if not files:
        raise SystemExit(f"{PROTO}/luna/v1 holds no .proto file")
    scratch = target / "protocol.tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    if protoc.main(
        ["protoc", f"-I{PROTO}", f"--python_out={scratch}", f"--pyi_out={scratch}", *files]
    ):
        raise SystemExit("protoc failed")
    for made in (scratch / "luna" / "v1").iterdir():
        text = re.sub(r"\bfrom luna\.v1 import", "from luna_client.v1 import", made.read_text())
        (package / made.name).write_text(text)
    (package / "__init__.py").write_text('"""Messages of proto/luna/v1, made by protoc."""\n')
    shutil.rmtree(scratch)


class BuildWithProtocol(build_py):
    """An editable install gets the classes into the source tree, others into the build."""

    def run(self) -> None:
        super().run()
        make_protocol(HERE if self.editable_mode else pathlib.Path(self.build_lib))


class SourceWithProtocol(sdist):
    """Takes the .proto files along."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        super().make_release_tree(base_dir, files)
        shutil.copytree(PROTO, pathlib.Path(base_dir) / "proto", dirs_exist_ok=True)


def protobuf_range() -> str:
    """The runtimes that take what this protoc makes: of its own release and later, up to the
    next major one."""
    with tempfile.TemporaryDirectory() as scratch:
        make_protocol(pathlib.Path(scratch))
        made = (pathlib.Path(scratch) / "luna_client" / "v1" / "tensor_pb2.py").read_text()
    found = re.search(r"^# Protobuf Python Version: ((\d+)[.\d]+)", made, re.M)
    return f"protobuf>={found[1]},<{int(found[2]) + 2}" if found else "protobuf>=4.21"


setup(
    cmdclass={"build_py": BuildWithProtocol, "sdist": SourceWithProtocol},
    install_requires=["grpcio>=1.60", protobuf_range(), "numpy>=1.24"],
)
