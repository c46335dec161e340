#!/usr/bin/env bash
# ./dev bench: runs the benchmarks over a real daemon and prints one JSON object or table each.
# usage: run.sh BUILD_FOLDER [small_call|load|bulk|comfyui ...]     (none: all)
set -euo pipefail
build=$1; shift
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=$build/bin
wanted=${*:-small_call load bulk comfyui}

folder=$(mktemp -d "${TMPDIR:-/tmp}/luna-bench-XXXXXX")
daemon=
stop() {
  [ -n "$daemon" ] && kill "$daemon" 2>/dev/null && wait "$daemon" 2>/dev/null
  rm -rf "$folder"
}
trap stop EXIT

start_daemon() {
  [ -n "$daemon" ] && return
  mkdir -p "$folder/models/checkpoints"
  "$bin/luna-make-checkpoint" "$folder/models/checkpoints/tiny.safetensors"
  "$bin/luna-make-checkpoint" "$folder/models/checkpoints/wide.safetensors" --size full-width
  printf '[server]\nunix_socket = "%s"\nlisten = ""\n[models]\nroots = ["%s"]\n' \
    "$folder/lunad.sock" "$folder/models" >"$folder/config.toml"
  "$bin/lunad" --config "$folder/config.toml" 2>"$folder/lunad.log" &
  daemon=$!
  until [ -S "$folder/lunad.sock" ]; do kill -0 "$daemon" || { cat "$folder/lunad.log" >&2; exit 1; }; sleep 0.05; done
}

for name in $wanted; do
  echo "== $name" >&2
  case $name in
    small_call) start_daemon; "$bin/bench_small_call" --address "unix:$folder/lunad.sock" --checkpoint tiny.safetensors ;;
    load) start_daemon; "$bin/bench_load" --address "unix:$folder/lunad.sock" --checkpoint wide.safetensors \
            --path "$folder/models/checkpoints/wide.safetensors" ;;
    bulk) start_daemon; "$bin/bench_bulk" --address "unix:$folder/lunad.sock" --checkpoint tiny.safetensors ;;
    comfyui) "${COMFYUI_PYTHON:-python3}" "$here/against_comfyui.py" "$bin" || [ $? = 77 ]
      "${COMFYUI_PYTHON:-python3}" "$here/physical_limit.py" || [ $? = 77 ] ;;
    *) echo "no benchmark '$name'; there are small_call, load, bulk, comfyui" >&2; exit 2 ;;
  esac
done
