// What the CUDA plane costs beside the work: one tensor of another process in, and a result of the
// same size out, each until the device is done. The figures asked for: 201 MB within 6 ms, a latent
// within 100 us.
#include "daemon/worker/exchange/cuda_plane.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "daemon/worker/cuda/cuda_backend.h"
#include "daemon/worker/ops/tensor_ref.h"
#include "tests/gpu/hex.h"
#include "tests/gpu/peer_process.h"

namespace luna::worker {
namespace {

using Clock = std::chrono::steady_clock;

struct Figures {
  double first_us = 0;  ///< with the opening of the allocation
  double p50_us = 0, p99_us = 0;
};

Result<Figures> measure(CudaBackend& cuda, DevicePlane& plane, const std::string& uuid,
                        std::int64_t bytes, int rounds) {
  PeerProcess peer;
  if (!peer.alive()) return error(StatusCode::kUnavailable, "gpu_peer does not start");
  const std::string handle = from_hex(peer.ask("alloc " + std::to_string(bytes)));
  const std::string event = from_hex(peer.ask("write 1"));
  std::vector<double> times;
  for (int round = 0; round < rounds; ++round) {
    VaeDecodeRequest decode;
    decode.latent.spec = {DType::kU8, {bytes}};
    decode.latent.place = CudaHandle{uuid, handle, 0, 0, event};
    JobRequest request = decode;
    const auto begin = Clock::now();
    LUNA_RETURN_IF_ERROR(plane.bring_in(request, "bench"));
    LUNA_ASSIGN_OR_RETURN(const at::Tensor there,
                          tensor_in_place(std::get<VaeDecodeRequest>(request).latent, "latent"));
    LUNA_ASSIGN_OR_RETURN(const TensorRef sent, plane.send_out(there, "bench"));
    LUNA_RETURN_IF_ERROR(cuda.synchronize(0));
    times.push_back(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
    plane.release({std::get<CudaHandle>(sent.place).lease_id});
  }
  Figures figures{times.front(), 0, 0};
  times.erase(times.begin());
  std::ranges::sort(times);
  figures.p50_us = times[times.size() / 2];
  figures.p99_us = times[times.size() * 99 / 100];
  plane.end_session("bench");
  return figures;
}

Status run(int rounds) {
  LUNA_ASSIGN_OR_RETURN(CudaBackend* const cuda, open_cuda(0));
  LUNA_ASSIGN_OR_RETURN(CudaSharing* const sharing, cuda->sharing(0));
  CudaPlaneOptions options;
  LUNA_ASSIGN_OR_RETURN(options.device_uuid, cuda->device_uuid(0));
  LUNA_ASSIGN_OR_RETURN(const std::string name, cuda->device_name(0));
  options.outbox_bytes = 512ull << 20;
  const auto plane = make_cuda_plane(*sharing, options);
  const std::pair<const char*, std::int64_t> sizes[] = {
      {"latent", 4 * 128 * 128 * 4}, {"picture", std::int64_t{4096} * 4096 * 3 * 4}};
  for (const auto& [what, bytes] : sizes) {
    LUNA_ASSIGN_OR_RETURN(const Figures figures,
                          measure(*cuda, *plane, options.device_uuid, bytes, rounds));
    std::printf(
        "{\"bench\": \"cuda_plane\", \"device\": \"%s\", \"tensor\": \"%s\", \"bytes\": %lld, "
        "\"first_us\": %.1f, \"p50_us\": %.1f, \"p99_us\": %.1f}\n",
        name.c_str(), what, static_cast<long long>(bytes), figures.first_us, figures.p50_us,
        figures.p99_us);
  }
  return {};
}

}  // namespace
}  // namespace luna::worker

int main(int argc, char** argv) {
  CLI::App app("The CUDA plane on cuda:0, between this process and another one.");
  int rounds = 200;
  app.add_option("--rounds", rounds, "transfers of each size")->check(CLI::Range(2, 100000));
  CLI11_PARSE(app, argc, argv);
  const luna::Status status = luna::worker::run(rounds);
  if (!status.ok()) std::fprintf(stderr, "bench_cuda_plane: %s\n", status.to_string().c_str());
  return status.ok() ? 0 : 1;
}
