#!/usr/bin/env bash
# ./dev demo: starts lunad over a model folder, makes a picture from a prompt, shows the status, stops.
# usage: run.sh BIN_FOLDER [--prompt TEXT] [further flags of luna generate]
set -euo pipefail
bin=$1; shift
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
out=$root/build/demo
mkdir -p "$out"

# Without a trained model below models/, random weights in the real layout stand in: noise, but the whole way.
models=$root/models
if ! compgen -G "$models/checkpoints/*.safetensors" >/dev/null; then
  models=$out/models
  mkdir -p "$models/checkpoints"
  [ -e "$models/checkpoints/random-sd15.safetensors" ] ||
    "$bin/luna-make-checkpoint" "$models/checkpoints/random-sd15.safetensors" --size full-depth
  echo "demo: no trained model in models/checkpoints; random weights make an abstract picture" >&2
fi

socket=$(mktemp -u "${TMPDIR:-/tmp}/luna-demo-XXXXXX.sock")
"$bin/lunad" --address "unix:$socket" --listen "" --model-root "$models" 2>"$out/lunad.log" &
daemon=$!
stop() { kill "$daemon" 2>/dev/null && wait "$daemon" || true; }
trap stop EXIT
for _ in $(seq 200); do [ -S "$socket" ] && break; sleep 0.1; done
[ -S "$socket" ] || { cat "$out/lunad.log" >&2; exit 1; }

prompt="a red boat on a blue lake"
[ "${1:-}" = --prompt ] && { prompt=$2; shift 2; }
"$bin/luna" generate --address "unix:$socket" --prompt "$prompt" --width 256 --height 256 --steps 12 --seed 7 \
  --output "$out/picture.png" "$@"
"$bin/luna" status --address "unix:$socket"
echo "demo: the picture is $out/picture.png"
