#!/usr/bin/env bash
# ./dev bench: runs the benchmarks over a real daemon and prints one JSON object or table each.
# usage: run.sh BUILD_FOLDER [small_call|planes|steps|load|kills|bulk|overload|comfyui|adapters|cuda_plane ...]     (none: all)
set -euo pipefail
build=$1; shift
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=$build/bin
wanted=${*:-small_call planes steps load kills bulk overload comfyui adapters cuda_plane}

folder=$(mktemp -d "${TMPDIR:-/tmp}/luna-bench-XXXXXX")
daemon=
stop_daemon() {
  [ -z "$daemon" ] && return
  kill "$daemon" 2>/dev/null && wait "$daemon" 2>/dev/null || true
  daemon=
}
trap 'stop_daemon; rm -rf "$folder"' EXIT

# make_model NAME OPTIONS...: models/checkpoints/NAME.safetensors, unless it is there
make_model() {
  local file=$folder/models/checkpoints/$1.safetensors; shift
  mkdir -p "$folder/models/checkpoints"
  [ -e "$file" ] || "$bin/luna-make-checkpoint" "$file" "$@"
}

# start_daemon [TOML]: a fresh one, with these lines in its configuration
start_daemon() {
  stop_daemon
  make_model tiny
  printf '[server]\nunix_socket = "%s"\nlisten = ""\n[models]\nroots = ["%s"]\n%b' \
    "$folder/lunad.sock" "$folder/models" "${1:-}" >"$folder/config.toml"
  "$bin/lunad" --config "$folder/config.toml" 2>"$folder/lunad.log" &
  daemon=$!
  until [ -S "$folder/lunad.sock" ]; do kill -0 "$daemon" || { cat "$folder/lunad.log" >&2; exit 1; }; sleep 0.05; done
}

address="unix:$folder/lunad.sock"
two_workers='[[pool]]\ndevices = ["cpu"]\nmin_workers = 2\n'
for name in $wanted; do
  echo "== $name" >&2
  case $name in
    small_call) start_daemon; "$bin/bench_small_call" --address "$address" --checkpoint tiny.safetensors ;;
    planes) start_daemon; "$bin/bench_planes" --address "$address" --checkpoint tiny.safetensors ;;
    steps) start_daemon; "$bin/bench_steps" --address "$address" --checkpoint tiny.safetensors ;;
    load) make_model wide --size full-width; start_daemon
      "$bin/bench_load" --address "$address" --checkpoint wide.safetensors --path "$folder/models/checkpoints/wide.safetensors" ;;
    kills) make_model other --salt other; start_daemon "$two_workers"
      "$bin/bench_kills" --address "$address" --checkpoint tiny.safetensors --checkpoint other.safetensors ;;
    bulk) start_daemon; "$bin/bench_bulk" --address "$address" --checkpoint tiny.safetensors ;;
    overload) start_daemon '[limits]\nqueue_per_workflow = 16\n'
      "$bin/bench_overload" --address "$address" --checkpoint tiny.safetensors --queue 16 ;;
    comfyui) "${COMFYUI_PYTHON:-python3}" "$here/against_comfyui.py" "$bin" || [ $? = 77 ]
      "${COMFYUI_PYTHON:-python3}" "$here/physical_limit.py" || [ $? = 77 ] ;;
    adapters) "${COMFYUI_PYTHON:-python3}" "$here/adapters_against_comfyui.py" "$bin" || [ $? = 77 ] ;;
    cuda_plane) if [ -e /proc/driver/nvidia/version ]; then "$bin/bench_cuda_plane"; else echo "cuda_plane: no GPU, skipped" >&2; fi ;;
    *) echo "no benchmark '$name'; there are small_call, planes, steps, load, kills, bulk, overload, comfyui, adapters, cuda_plane" >&2; exit 2 ;;
  esac
done
