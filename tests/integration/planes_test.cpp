// Shared memory between real processes: the same bits as without, nothing left of a client that is
// killed, and no harm by one that writes while its tensor is read.
#include <atomic>
#include <cstdlib>
#include <thread>

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "tests/integration/calls.h"
#include "tests/integration/footprint.h"
#include "tests/integration/model_folder.h"

namespace luna::support {
namespace {

constexpr const char* kAddress = "LUNA_TEST_HOARDER_ADDRESS";
constexpr std::uint64_t kHoard = 100;

std::unique_ptr<client::GrpcClient> connect(const DaemonProcess& daemon, const std::string& plane) {
  client::ConnectOptions options;
  options.address = daemon.address();
  options.client_name = plane;
  options.plane = plane;
  auto client = client::GrpcClient::connect(options);
  EXPECT_TRUE(client.ok()) << client.status().to_string();
  return client.ok() ? *std::move(client) : nullptr;
}

std::string text(const TensorRef& tensor) {
  const BytesPtr bytes = tensor.host_bytes();
  if (!bytes) return "";
  return {reinterpret_cast<const char*>(bytes->view().data()), bytes->view().size()};
}

template <class Reply, class Request>
Reply answered(client::GrpcClient& client, const client::CallOptions& options,
               std::shared_ptr<client::CallHandle> (client::InferenceService::*method)(
                   const client::CallOptions&, Request, client::Done<Reply>),
               Request request) {
  Answer<Reply> answer;
  (client.*method)(options, std::move(request), answer.done());
  auto reply = answer.wait();
  EXPECT_TRUE(reply.ok()) << reply.status().to_string();
  return reply.ok() ? *std::move(reply) : Reply();
}

TensorRef picture(int edge, float shift = 0) {
  std::vector<float> values(static_cast<std::size_t>(edge) * edge * 3);
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = (static_cast<float>(i % 251) + shift) / 252;
  return tensor_of({1, edge, edge, 3}, values);
}

/// The bytes of everything that the primitives make.
std::vector<std::string> everything(client::GrpcClient& client) {
  Workflow workflow(client, "planes");
  using Service = client::InferenceService;
  const auto& options = workflow.options();
  std::vector<std::string> made;
  made.push_back(text(workflow.encode("a red boat")->cross_attn));
  VaeEncodeRequest encode;
  encode.pixels = picture(256);
  const auto latent = answered<VaeEncodeReply>(client, options, &Service::vae_encode, encode);
  made.push_back(text(latent.latent));
  VaeDecodeRequest decode;
  decode.latent = latent.latent;
  made.push_back(
      text(answered<VaeDecodeReply>(client, options, &Service::vae_decode, decode).pixels));
  SampleRequest sample = *workflow.request("a red boat", "fog", 7, 72);
  sample.run.steps = 2;
  const auto sampled = workflow.sample(sample);
  EXPECT_TRUE(sampled.ok()) << sampled.status().to_string();
  made.push_back(sampled.ok() ? text(sampled->latents.at(0)) : "");
  DenoiseRequest denoise;
  DenoiseRow& row = denoise.rows.emplace_back();
  row.x = sampled->latents.at(0);
  row.sigma = 1;
  row.conditioning = sample.rows[0].conditioning.at("positive").at(0);
  made.push_back(
      text(answered<DenoiseReply>(client, options, &Service::denoise, denoise).denoised.at(0)));
  const auto kept = client.upload("planes", encode.pixels);
  EXPECT_TRUE(kept.ok()) << kept.status().to_string();
  made.push_back(text(*client.download("planes", std::get<ResidentTensor>(kept->place).id)));
  return made;
}

TEST(Planes, SharedMemoryAndMessagesGiveTheSameBits) {
  ModelFolder folder;
  folder.write("checkpoints", "tiny.safetensors", {});
  const auto daemon = DaemonProcess::start(folder.path());
  const auto by_memory = connect(*daemon, "shm"), by_message = connect(*daemon, "inline");
  ASSERT_TRUE(by_memory && by_message);
  register_workflow(*by_memory, "planes", "tiny.safetensors");
  const auto one = everything(*by_memory), other = everything(*by_message);
  ASSERT_EQ(one.size(), other.size());
  for (std::size_t i = 0; i < one.size(); ++i) {
    EXPECT_FALSE(one[i].empty()) << i;
    EXPECT_TRUE(one[i] == other[i]) << "the result " << i << " differs";
  }
}

TEST(Planes, WhoWritesWhileTheWorkerReadsHarmsNobodyElse) {
  ModelFolder folder;
  folder.write("checkpoints", "tiny.safetensors", {});
  const auto daemon = DaemonProcess::start(folder.path());
  const auto scribbler = connect(*daemon, "shm"), other = connect(*daemon, "shm");
  ASSERT_TRUE(scribbler && other);
  Workflow workflow = register_workflow(*other, "planes", "tiny.safetensors");
  using Service = client::InferenceService;
  VaeEncodeRequest sound;
  sound.pixels = picture(256);
  const auto alone =
      answered<VaeEncodeReply>(*other, workflow.options(), &Service::vae_encode, sound);
  auto tensor = scribbler->allocate({DType::kF32, {1, 256, 256, 3}});
  ASSERT_TRUE(tensor.ok());
  VaeEncodeRequest moving;
  moving.pixels = tensor->tensor;
  std::atomic<bool> stop = false;
  std::jthread writer([&] {
    for (unsigned value = 0; !stop; ++value)
      for (std::size_t i = 0; i < tensor->bytes.size(); i += 64)
        tensor->bytes[i] = static_cast<std::byte>(value);
  });
  for (int i = 0; i < 5; ++i) {
    answered<VaeEncodeReply>(*scribbler, workflow.options(), &Service::vae_encode, moving);
    const auto beside =
        answered<VaeEncodeReply>(*other, workflow.options(), &Service::vae_encode, sound);
    EXPECT_TRUE(text(beside.latent) == text(alone.latent));
  }
  stop = true;
  EXPECT_EQ(daemon->status().workers.at(0).restarts, 0u);
}

/// Not a test: the client that is killed, in a process of its own.
TEST(Hoarder, DISABLED_HoldsRegionsAndTensorsUntilItIsKilled) {
  client::ConnectOptions options;
  options.address = std::getenv(kAddress);
  options.client_name = "hoarder";
  options.plane = "shm";
  const auto client = client::GrpcClient::connect(options);
  ASSERT_TRUE(client.ok()) << client.status().to_string();
  std::vector<client::WritableTensor> regions;
  for (std::uint64_t i = 0; i < kHoard; ++i) {
    regions.push_back(*(*client)->allocate({DType::kU8, {1 << 20}}));
    std::ranges::fill(regions.back().bytes, std::byte{1});
    ASSERT_TRUE((*client)->upload("", regions.back().tensor).ok());
  }
  while (true) ::pause();
}

/// Lets a client of its own process take all that it may, and kills it.
void hoard_and_die(const DaemonProcess& daemon) {
  ::setenv(kAddress, daemon.address().c_str(), 1);
  const pid_t hoarder = start_program(
      "test_integration", {"--gtest_also_run_disabled_tests", "--gtest_filter=Hoarder.*"});
  ASSERT_GT(hoarder, 0);
  const bool full = wait_until(
      [&] {
        const StatusInfo status = daemon.status();
        return status.regions == kHoard && status.resident_tensors == kHoard;
      },
      std::chrono::seconds(60));
  EXPECT_TRUE(full) << daemon.status().regions << " regions";
  ::kill(hoarder, SIGKILL);
  EXPECT_EQ(exit_code_of(hoarder), 128 + SIGKILL);
  EXPECT_TRUE(wait_until([&] {
    const StatusInfo status = daemon.status();
    return status.regions == 0 && status.region_bytes == 0 && status.resident_tensors == 0 &&
           status.resident_bytes == 0 && status.sessions == 1;
  })) << "a client that is killed is noticed at once";
}

/// The footprint once nothing changes any more: counts are zero before the memory behind them is
/// free.
Footprint settled(const DaemonProcess& daemon) {
  Footprint last = footprint(daemon);
  EXPECT_TRUE(wait_until([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    const Footprint now = footprint(daemon);
    const bool same = now.descriptors == last.descriptors && now.pss * 100 <= last.pss * 101 &&
                      last.pss * 100 <= now.pss * 101;
    last = now;
    return same;
  }));
  return last;
}

TEST(Planes, AKilledClientWithAHundredRegionsAndAHundredTensorsLeavesNothing) {
  ModelFolder folder;
  folder.write("checkpoints", "tiny.safetensors", {});
  const auto daemon = DaemonProcess::start(folder.path(), {.extra_toml = kNoSpares});
  hoard_and_die(*daemon);  // what a daemon takes up once and keeps
  const Footprint before = settled(*daemon);
  for (int i = 0; i < 3; ++i) hoard_and_die(*daemon);
  const auto back = [&] {
    const Footprint after = footprint(*daemon);
    return after.descriptors == before.descriptors && after.pss * 50 <= before.pss * 51;
  };
  EXPECT_TRUE(wait_until(back)) << in_words(before) << "\n" << in_words(footprint(*daemon));
}

}  // namespace
}  // namespace luna::support
