#!/usr/bin/env bash
# ./dev demo: starts lunad over the shipped model, makes pictures from prompts, four at a time, shows the status, stops.
# usage: run.sh BIN_FOLDER [--prompt TEXT [further flags of luna generate]]     (without a prompt: a sheet of twelve)
set -euo pipefail
bin=$1; shift
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
out=$root/build/demo
mkdir -p "$out"

# Without a trained model below models/, random weights in the real layout stand in: noise, but the whole way.
models=$root/models
size=()
if ! compgen -G "$models/checkpoints/*.safetensors" >/dev/null; then
  models=$out/models
  size=(--width 256 --height 256)
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

generate() {
  "$bin/luna" generate --address "unix:$socket" "${size[@]}" --steps 20 --cfg 4 --sampler dpmpp_2m --scheduler karras "$@"
}

if [ "${1:-}" = --prompt ] || [ ${#size[@]} -gt 0 ]; then
  [ "${1:-}" = --prompt ] || set -- --prompt "a red boat at sea" "$@"
  generate --seed 7 --output "$out/picture.png" "$@"
  "$bin/luna" status --address "unix:$socket"
  echo "demo: the picture is $out/picture.png"
  exit
fi

prompts=("a red boat at sea" "a big blue star at the top, at night" "a white cat in the snow"
  "a pink umbrella on the left, in the city" "a yellow moon at the top and a white boat at the bottom, at night" "a green car in the desert"
  "a purple flower on a meadow" "a small orange fish on the right, on plain cream" "a brown house in a forest"
  "a yellow rocket at sunset" "two red mushrooms on a meadow" "a blue cup on the left and an orange ball on the right, on plain grey")
pictures=()
for i in "${!prompts[@]}"; do
  pictures+=("$out/$i.png")
  generate --seed $((100 + i)) --prompt "${prompts[$i]}" --output "$out/$i.png" >/dev/null 2>"$out/$i.log" &
  # Four clients at a time, whose rows share forwards.
  if [ $((i % 4)) = 3 ]; then
    for client in $(jobs -p | grep -vx "$daemon"); do
      wait "$client" || { cat "$out"/[0-9]*.log >&2; exit 1; }
    done
    echo "demo: $((i + 1)) of ${#prompts[@]} pictures" >&2
  fi
done
"$bin/luna" sheet --columns 4 --output "$out/sheet.png" "${pictures[@]}" >/dev/null
"$bin/luna" status --address "unix:$socket"
for i in "${!prompts[@]}"; do echo "  $((i / 4 + 1)).$((i % 4 + 1))  ${prompts[$i]}"; done
echo "demo: the pictures are side by side in $out/sheet.png, row by row as listed"
