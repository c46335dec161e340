// A picture of 4096 x 4096 pixels in f32 (201 MB) to the daemon and back, through shared memory and
// inside messages, each beside memcpy of the same bytes in the same run; and from which size on
// shared memory is the faster way for a call's tensor.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <sys/mman.h>

#include "client/rpc/grpc_client.h"
#include "tests/bench/latencies.h"
#include "tests/bench/waiting.h"

namespace {

using luna::BytesPtr;
using luna::DType;
using luna::TensorRef;
using luna::TensorSpec;
using luna::bench::Clock;
using luna::bench::milliseconds_since;

constexpr const char* kWorkflow = "bench-planes";

std::unique_ptr<luna::client::GrpcClient> connect(const std::string& address,
                                                  const std::string& plane) {
  luna::client::ConnectOptions options;
  options.address = address;
  options.client_name = "bench " + plane;
  options.plane = plane;
  auto client = luna::client::GrpcClient::connect(options);
  if (client.ok()) return *std::move(client);
  std::fprintf(stderr, "%s\n", client.status().to_string().c_str());
  std::exit(1);
}

template <class T>
T value_of(luna::Result<T> result) {
  if (result.ok()) return *std::move(result);
  std::fprintf(stderr, "%s\n", result.status().to_string().c_str());
  std::exit(1);
}

/// Median of `rounds` runs, milliseconds.
template <class Run>
double median(int rounds, Run&& run) {
  std::vector<double> times;
  for (int i = 0; i < rounds; ++i) {
    const auto began = Clock::now();
    run();
    times.push_back(milliseconds_since(began));
  }
  std::ranges::nth_element(times, times.begin() + rounds / 2);
  return times[rounds / 2];
}

/// A call whose tensor is sent and found, and which nobody computes: its workflow has no VAE.
void offer(luna::client::GrpcClient& client, const TensorRef& pixels) {
  luna::client::CallOptions options;
  options.workflow_id = kWorkflow;
  luna::VaeEncodeRequest request;
  request.pixels = pixels;
  const auto reply = luna::bench::wait_for<luna::VaeEncodeReply>(
      [&](auto done) { client.vae_encode(options, request, std::move(done)); });
  if (reply.status().code() != luna::StatusCode::kFailedPrecondition) {
    std::fprintf(stderr, "expected a refusal, found %s\n", reply.status().to_string().c_str());
    std::exit(1);
  }
}

std::string keep(luna::client::GrpcClient& client, const TensorRef& tensor) {
  return std::get<luna::ResidentTensor>(value_of(client.upload("", tensor)).place).id;
}

TensorRef tensor_of_bytes(std::size_t size) {
  TensorRef tensor{{DType::kU8, {1, static_cast<std::int64_t>(size / 256), 64, 4}}, {}};
  tensor.place = luna::bytes_from(std::string(size, '\x5a'));
  return tensor;
}

nlohmann::json large(luna::client::GrpcClient& shm, luna::client::GrpcClient& in_messages,
                     int rounds) {
  const TensorSpec spec{DType::kF32, {1, 4096, 4096, 3}};
  const std::size_t size = spec.byte_size();
  TensorRef picture{spec, luna::bytes_from(std::string(size, '\x3f'))};
  const std::byte* from = picture.host_bytes()->view().data();
  std::vector<std::byte> target(size);
  nlohmann::json table;
  const auto row = [&](const char* name, double ms, double beside) {
    table[name] = {
        {"ms", ms}, {"gb_per_s", static_cast<double>(size) / ms / 1e6}, {"of_memcpy", beside / ms}};
  };
  const double touched = median(rounds, [&] { std::memcpy(target.data(), from, size); });
  const double fresh = median(rounds, [&] {
    void* memory =
        ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    std::memcpy(memory, from, size);
    ::munmap(memory, size);
  });
  row("memcpy into memory in use", touched, touched);
  row("memcpy into fresh memory", fresh, fresh);

  offer(shm, picture);  // the region's pages are made once
  row("shm: into a call", median(rounds, [&] { offer(shm, picture); }), touched);
  auto own = value_of(shm.allocate(spec));
  std::memcpy(own.bytes.data(), from, size);
  row("shm: into a call, filled in place", median(rounds, [&] { offer(shm, own.tensor); }),
      touched);
  std::string id;
  const auto free = [&](luna::client::GrpcClient& client) {
    if (!id.empty()) value_of(client.free_tensors("", {id}));
  };
  row("shm: upload to stay", median(rounds, [&] { free(shm), id = keep(shm, picture); }), fresh);
  row("shm: download", median(rounds, [&] { value_of(shm.download("", id)); }), touched);
  row("shm: download and copy out",
      median(rounds,
             [&] {
               const TensorRef back = value_of(shm.download("", id));
               std::memcpy(target.data(), back.host_bytes()->view().data(), size);
             }),
      touched);
  free(shm);
  id.clear();
  row("messages: upload to stay",
      median(rounds, [&] { free(in_messages), id = keep(in_messages, picture); }), fresh);
  row("messages: download", median(rounds, [&] { value_of(in_messages.download("", id)); }), fresh);
  free(in_messages);
  return table;
}

template <class Call>
double p50_us(int calls, Call&& call) {
  luna::bench::Latencies microseconds;
  for (int i = 0; i < calls; ++i) {
    const auto began = Clock::now();
    call();
    microseconds.add(1000 * milliseconds_since(began));
  }
  return microseconds.at(0.5);
}

nlohmann::json crossing(luna::client::GrpcClient& shm, luna::client::GrpcClient& in_messages,
                        int calls) {
  nlohmann::json table = nlohmann::json::array();
  for (std::size_t kib : {16, 32, 64, 65, 96, 128, 256, 512, 1024, 2048, 4000}) {
    const TensorRef tensor = tensor_of_bytes(kib * 1024);
    const std::string a = keep(shm, tensor), b = keep(in_messages, tensor);
    offer(shm, tensor);
    table.push_back(
        {{"kib", kib},
         {"in_shm_us", p50_us(calls, [&] { offer(shm, tensor); })},
         {"in_message_us", p50_us(calls, [&] { offer(in_messages, tensor); })},
         {"out_shm_us", p50_us(calls, [&] { value_of(shm.download("", a)); })},
         {"out_message_us", p50_us(calls, [&] { value_of(in_messages.download("", b)); })}});
    value_of(shm.free_tensors("", {a}));
    value_of(in_messages.free_tensors("", {b}));
  }
  return table;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Tensors through shared memory and inside messages, beside memcpy."};
  std::string address, checkpoint;
  int rounds = 7, calls = 300;
  app.add_option("--address", address)->required();
  app.add_option("--checkpoint", checkpoint)->required();
  app.add_option("--rounds", rounds);
  app.add_option("--calls", calls);
  CLI11_PARSE(app, argc, argv);

  const auto shm = connect(address, "shm"), in_messages = connect(address, "inline");
  luna::RequestedModels models;
  models.slots[luna::Slot::kUNet] = {checkpoint, luna::Precision::kAuto};
  value_of(shm->register_workflow(kWorkflow, models, 600, false));
  const nlohmann::json result = {{"picture_201_mb", large(*shm, *in_messages, rounds)},
                                 {"one_tensor_of_a_call", crossing(*shm, *in_messages, calls)}};
  std::printf("%s\n", result.dump(2).c_str());
  return 0;
}
