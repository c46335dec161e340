#!/usr/bin/env bash
# install_package.sh PYTHON TARGET: installs client/python into TARGET as pip does for everybody, from a copy of its source.
set -euo pipefail
python=$1 target=$2
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
source=$(mktemp -d)
trap 'rm -rf "$source"' EXIT
(cd "$root/client/python" && tar -c --exclude=./luna_client/v1 --exclude=./build --exclude=__pycache__ .) | tar -x -C "$source"
cp -r "$root/proto" "$source/proto"
rm -rf "$target"
"$python" -m pip install -q --disable-pip-version-check --no-index --no-build-isolation --no-deps --target "$target" "$source"
cd / && PYTHONPATH=$target "$python" -c "import luna_client; print('luna_client', luna_client.__version__)"
