#!/usr/bin/env bash
# Runs on a machine with a GPU: tests labelled gpu, then a picture on cuda:0, then the benchmarks. Reports on stdout.
# usage: gpu-bundle/run.sh [test|demo|bench ...]     (none: all three)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
torch=$(python3 -c 'import importlib.util, pathlib; print(pathlib.Path(importlib.util.find_spec("torch").origin).parent)')
nvidia=$(dirname "$torch")/nvidia
libraries=$torch/lib
for folder in "$nvidia"/*/lib; do [ -d "$folder" ] && libraries=$libraries:$folder; done
export LD_LIBRARY_PATH=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
luna=$(mktemp -d)
tar -C "$luna" -xzf "$here/luna.tar.gz"
export LUNA_CLIP_VOCABULARY=$luna/share/luna/clip_merges.txt
work=$(mktemp -d); daemon=
stop() { [ -n "$daemon" ] && kill "$daemon" 2>/dev/null && wait "$daemon" 2>/dev/null; rm -rf "$work" "$luna"; }
trap stop EXIT

start_daemon() {
  [ -n "$daemon" ] && return
  mkdir -p "$work/models/checkpoints"
  "$luna/bin/luna-make-checkpoint" "$work/models/checkpoints/wide.safetensors" --size full-width --fp16
  "$luna/bin/luna-make-checkpoint" "$work/models/checkpoints/tiny.safetensors"
  printf '[server]\nunix_socket = "%s"\nlisten = ""\n[models]\nroots = ["%s"]\nclip_vocabulary = "%s"\n[[pool]]\ndevices = ["cuda:0"]\n' \
    "$work/lunad.sock" "$work/models" "$LUNA_CLIP_VOCABULARY" >"$work/config.toml"
  "$luna/bin/lunad" --config "$work/config.toml" 2>"$work/lunad.log" &
  daemon=$!
  for _ in $(seq 600); do [ -S "$work/lunad.sock" ] && return; sleep 0.1; done
  cat "$work/lunad.log" >&2; exit 1
}

for part in ${*:-test demo bench}; do
  echo "== $part"
  case $part in
    test) LUNA_REQUIRE_GPU=1 "$luna/bin/test_gpu"
      start_daemon
      python3 "$luna/share/luna/torch_client.py" "$luna/bin/cuda_client" "unix:$work/lunad.sock" tiny.safetensors ;;
    demo) start_daemon
      for precision in bf16 fp16; do
        "$luna/bin/luna" generate --address "unix:$work/lunad.sock" --checkpoint wide.safetensors --prompt "a red boat" \
          --precision "$precision" --width 512 --height 512 --steps 20 --seed 7 --output "${OUT:-$work}/$precision.png" --json
      done
      "$luna/bin/luna" status --address "unix:$work/lunad.sock" ;;
    bench) "$luna/bin/bench_cuda_plane"
      start_daemon
      "$luna/bin/bench_small_call" --address "unix:$work/lunad.sock" --checkpoint tiny.safetensors
      "$luna/bin/bench_load" --address "unix:$work/lunad.sock" --checkpoint wide.safetensors --path "$work/models/checkpoints/wide.safetensors" --precision fp16
      for clients in 1 4 8; do
        "$luna/bin/bench_generate" --address "unix:$work/lunad.sock" --checkpoint wide.safetensors --precision fp16 \
          --clients "$clients" --pictures 8 --steps 20 --size 512
      done ;;
    *) echo "no part '$part'" >&2; exit 2 ;;
  esac
done
