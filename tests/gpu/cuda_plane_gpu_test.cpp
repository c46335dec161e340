// GPU memory between processes on cuda:0: this one is the worker, gpu_peer the client. Without a
// device these tests are skipped, unless LUNA_REQUIRE_GPU says that there must be one.
#include <cstdlib>
#include <future>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "daemon/worker/cuda/cuda_backend.h"
#include "daemon/worker/exchange/cuda_plane.h"
#include "daemon/worker/ops/tensor_ref.h"
#include "tests/gpu/hex.h"
#include "tests/gpu/peer_process.h"

namespace luna::worker {
namespace {

constexpr std::int64_t kLatentBytes = 4 * 128 * 128 * 4;
constexpr std::int64_t kPictureBytes = std::int64_t{4096} * 4096 * 3 * 4;  // 201 MB

class CudaPlaneGpu : public testing::Test {
 protected:
  void SetUp() override {
    auto backend = open_cuda(0);
    if (!backend.ok()) {
      if (std::getenv("LUNA_REQUIRE_GPU"))
        FAIL() << "LUNA_REQUIRE_GPU is set: " << backend.status().to_string();
      GTEST_SKIP() << "no GPU: " << backend.status().to_string();
    }
    backend_ = *backend;
    const auto sharing = backend_->sharing(0);
    ASSERT_TRUE(sharing.ok()) << sharing.status().to_string();
    sharing_ = *sharing;
    CudaPlaneOptions options;
    options.device_uuid = *backend_->device_uuid(0);
    options.outbox_bytes = 1ull << 30;
    plane_ = make_cuda_plane(*sharing_, options);
  }

  /// `bytes` of the peer's memory as a request names it, written by it just now.
  JobRequest request_of(PeerProcess& peer, const std::string& handle, std::int64_t bytes,
                        const std::string& write) {
    VaeDecodeRequest request;
    request.latent.spec = {DType::kU8, {bytes}};
    const std::string event = peer.ask(write);
    EXPECT_NE(event, "");
    request.latent.place =
        CudaHandle{*backend_->device_uuid(0), from_hex(handle), 0, 0, from_hex(event)};
    return request;
  }
  at::Tensor tensor_of(const JobRequest& request) {
    auto tensor = tensor_in_place(std::get<VaeDecodeRequest>(request).latent, "latent");
    EXPECT_TRUE(tensor.ok()) << tensor.status().to_string();
    return tensor.ok() ? *tensor : at::Tensor();
  }
  bool all_are(const at::Tensor& tensor, int byte) { return tensor.eq(byte).all().item<bool>(); }

  CudaBackend* backend_ = nullptr;
  CudaSharing* sharing_ = nullptr;
  std::unique_ptr<DevicePlane> plane_;
};

TEST_F(CudaPlaneGpu, MemoryOfAnotherProcessIsReadWhereItLies) {
  PeerProcess peer;
  ASSERT_TRUE(peer.alive());
  for (const std::int64_t bytes : {kLatentBytes, kPictureBytes}) {
    const std::string handle = peer.ask("alloc " + std::to_string(bytes));
    for (const int byte : {17, 42}) {
      JobRequest request = request_of(peer, handle, bytes, "write " + std::to_string(byte));
      ASSERT_TRUE(plane_->bring_in(request, "s").ok());
      const at::Tensor tensor = tensor_of(request);
      EXPECT_EQ(tensor.device().type(), at::kCUDA);
      EXPECT_TRUE(all_are(tensor, byte));
    }
  }
}

TEST_F(CudaPlaneGpu, AResultIsReadByAnotherProcessWhereItLies) {
  PeerProcess peer;
  ASSERT_TRUE(peer.alive());
  for (const std::int64_t bytes : {kLatentBytes, kPictureBytes}) {
    const at::Tensor result =
        at::full({bytes}, 99, at::TensorOptions().dtype(at::kByte).device(at::kCUDA, 0));
    const auto sent = plane_->send_out(result, "s");
    ASSERT_TRUE(sent.ok()) << sent.status().to_string();
    const auto& handle = std::get<CudaHandle>(sent->place);
    EXPECT_EQ(peer.ask("open " + to_hex(handle.handle) + " " + std::to_string(handle.offset) + " " +
                       std::to_string(bytes) + " " + to_hex(handle.event_handle)),
              "99");
  }
}

TEST_F(CudaPlaneGpu, AReaderSeesWhatWasWrittenBeforeTheEventAndNothingLater) {
  PeerProcess peer;
  ASSERT_TRUE(peer.alive());
  const std::string handle = peer.ask("alloc " + std::to_string(kPictureBytes));
  const auto done = sharing_->make_event();
  ASSERT_TRUE(done.ok());
  for (int round = 1; round <= 20; ++round) {
    // The writer is busy for a while with other content; nobody waits on the host.
    JobRequest request =
        request_of(peer, handle, kPictureBytes, "write " + std::to_string(round) + " 50");
    ASSERT_TRUE(plane_->bring_in(request, "s").ok());
    const at::Tensor copy = tensor_of(request).clone();
    ASSERT_TRUE(sharing_->record_event(done->object).ok());
    // It may write again only after the event behind our copy, and is told so before that has run.
    ASSERT_EQ(peer.ask("after " + to_hex(done->handle) + " 255"), "ok");
    EXPECT_TRUE(all_are(copy, round)) << "round " << round;
    EXPECT_EQ(peer.ask("read"), "255");
  }
}

TEST_F(CudaPlaneGpu, FourProcessesAtOnceDoNotMixUpTheirMemory) {
  std::vector<std::unique_ptr<PeerProcess>> peers;
  std::vector<JobRequest> requests;
  for (int i = 0; i < 4; ++i) {
    peers.push_back(std::make_unique<PeerProcess>());
    ASSERT_TRUE(peers.back()->alive());
    const std::string handle = peers.back()->ask("alloc " + std::to_string(kPictureBytes));
    requests.push_back(
        request_of(*peers.back(), handle, kPictureBytes, "write " + std::to_string(i + 1)));
  }
  for (JobRequest& request : requests) ASSERT_TRUE(plane_->bring_in(request, "s").ok());
  for (int i = 0; i < 4; ++i)
    EXPECT_TRUE(all_are(tensor_of(requests[static_cast<std::size_t>(i)]), i + 1));
}

TEST_F(CudaPlaneGpu, AClientThatIsKilledDisturbsNobody) {
  auto doomed = std::make_unique<PeerProcess>();
  PeerProcess other;
  ASSERT_TRUE(doomed->alive() && other.alive());
  const std::string handle = doomed->ask("alloc " + std::to_string(kPictureBytes));
  JobRequest request = request_of(*doomed, handle, kPictureBytes, "write 7");
  ASSERT_TRUE(plane_->bring_in(request, "doomed").ok());
  doomed->kill();
  request = JobRequest();
  plane_->end_session("doomed");
  ASSERT_TRUE(backend_->synchronize(0).ok());
  const std::string its = other.ask("alloc " + std::to_string(kLatentBytes));
  JobRequest next = request_of(other, its, kLatentBytes, "write 8");
  ASSERT_TRUE(plane_->bring_in(next, "other").ok());
  EXPECT_TRUE(all_are(tensor_of(next), 8));
}

TEST_F(CudaPlaneGpu, AHandleOfNobodyAndOneOfThisProcessAreRefusedAndTheDeviceLives) {
  VaeDecodeRequest forged;
  forged.latent.spec = {DType::kU8, {16}};
  forged.latent.place = CudaHandle{*backend_->device_uuid(0), std::string(64, '\x5a')};
  JobRequest request = forged;
  EXPECT_EQ(plane_->bring_in(request, "s").code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(backend_->synchronize(0).ok());
}

TEST_F(CudaPlaneGpu, TheDriversWordOnTheSizeOfAnAllocationCounts) {
  PeerProcess peer;
  ASSERT_TRUE(peer.alive());
  const std::string handle = peer.ask("alloc " + std::to_string(kPictureBytes));
  JobRequest request = request_of(peer, handle, kPictureBytes * 4, "write 1");
  EXPECT_EQ(plane_->bring_in(request, "s").code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace luna::worker
