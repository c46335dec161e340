#!/usr/bin/env bash
# with_torch.sh TORCH_ROOT COMMAND ...: runs it where Python can import the torch of libtorch's wheel.
#
# On a machine without a GPU that wheel lies there without CUDA's libraries, which its Python half is linked to and calls
# for nothing on the CPU: empty libraries of their names stand in for those that are not found.
set -euo pipefail
torch=$1; shift
empty=$(mktemp -d)
trap 'rm -rf "$empty"' EXIT
missing() { LD_LIBRARY_PATH=$empty ldd "$torch"/lib/*.so 2>/dev/null | awk '/not found/ { print $1 }' | sort -u; }
while names=$(missing) && [ -n "$names" ]; do
  for name in $names; do gcc -shared -x c /dev/null -Wl,-soname,"$name" -o "$empty/$name"; done
done
export LD_LIBRARY_PATH=$empty${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} PYTHONPATH=${PYTHONPATH:+$PYTHONPATH:}${torch%/torch}
# Functions that nobody calls are looked for when they are called.
export TORCH_USE_RTLD_GLOBAL=1
"$@"
