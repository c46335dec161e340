#!/usr/bin/env bash
# ./dev gpu-bundle: packs in gpu-bundle/ what a machine with a GPU, an NVIDIA driver and its own torch wheel needs to run
# the daemon, the tests labelled gpu and the benchmarks: luna.tar.gz, and run.sh that unpacks it. There: gpu-bundle/run.sh
# usage: make.sh BUILD_FOLDER TORCH_ROOT
set -euo pipefail
build=$1; torch=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
bundle=$root/gpu-bundle
limit_mib=36

out=$(mktemp -d); trap 'rm -rf "$out"' EXIT
mkdir -p "$out/bin" "$out/lib" "$out/share/luna"
programs=(lunad luna-worker luna luna-make-checkpoint bench_small_call bench_load bench_generate)
[ -e "$build/bin/test_gpu" ] && programs+=(test_gpu gpu_peer cuda_client bench_cuda_plane)
for program in "${programs[@]}"; do cp "$build/bin/$program" "$out/bin/"; done
[ -e "$build/bin/libluna_cuda.so" ] || { echo "gpu-bundle: $build/bin/libluna_cuda.so is missing: no CUDA headers were found when it was configured" >&2; exit 1; }
cp "$build/bin/libluna_cuda.so" "$out/bin/"
cp "${LUNA_CLIP_VOCABULARY:-$HOME/.cache/luna/clip_merges.txt}" "$out/share/luna/clip_merges.txt"

# Every shared library that the programs need, but for glibc's and GCC's own, torch's and CUDA's (that machine has them).
for program in "$out"/bin/*; do
  LD_LIBRARY_PATH=$torch/lib ldd "$program" | awk '$3 ~ /^\// {print $3}'
done | sort -u | grep -v -E "^$torch|/(libc|libm|libdl|librt|libpthread|libresolv|ld-linux.*|libstdc\+\+|libgcc_s|libgomp)\.so|nvidia|/cuda" |
  while read -r library; do cp -L "$library" "$out/lib/"; done

# RPATH, not RUNPATH: it serves the dependencies' own dependencies too. Torch is found through LD_LIBRARY_PATH (run.sh).
for file in "$out"/bin/*; do patchelf --force-rpath --set-rpath '$ORIGIN/../lib' "$file"; done
for file in "$out"/lib/*; do patchelf --force-rpath --set-rpath '$ORIGIN' "$file"; done
strip --strip-unneeded "$out"/bin/* "$out"/lib/* 2>/dev/null || true
cp "$root/config.toml" "$out/config.toml"
cp "$root/tests/gpu/torch_client.py" "$out/share/luna/"

rm -rf "$bundle"; mkdir -p "$bundle"
tar -C "$out" -czf "$bundle/luna.tar.gz" .
cp "$here/run.sh" "$bundle/run.sh"
size=$(du -sm "$bundle" | cut -f1)
echo "gpu-bundle: $size MiB in $bundle (limit $limit_mib MiB); on the GPU machine: gpu-bundle/run.sh"
[ "$size" -le "$limit_mib" ] || { echo "gpu-bundle: over the limit" >&2; exit 1; }
