#include "daemon/worker/exchange/cuda_plane.h"

#include <cstring>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/worker/ops/tensor_ref.h"
#include "tests/unit/daemon/worker/cuda/scripted_sharing.h"

namespace luna::worker {
namespace {

using ::testing::HasSubstr;

class CudaPlaneTest : public testing::Test {
 protected:
  static CudaPlaneOptions options() {
    CudaPlaneOptions options;
    options.device = -1;
    options.device_uuid = "GPU-a";
    options.outbox_bytes = 1 << 16;
    return options;
  }
  CudaHandle exported(const std::string& name, const std::vector<float>& values) {
    const auto* bytes = reinterpret_cast<const char*>(values.data());
    return {"GPU-a", sharing_.export_memory(name, {bytes, values.size() * sizeof(float)})};
  }
  static JobRequest decode(CudaHandle handle, std::vector<std::int64_t> shape) {
    VaeDecodeRequest request;
    request.latent = {{DType::kF32, std::move(shape)}, std::move(handle)};
    return request;
  }
  static const TensorRef& latent_of(const JobRequest& request) {
    return std::get<VaeDecodeRequest>(request).latent;
  }

  ScriptedSharing sharing_;
  std::unique_ptr<DevicePlane> plane_ = make_cuda_plane(sharing_, options());
};

TEST_F(CudaPlaneTest, ATensorOverImportedMemoryIsTheMemoryItself) {
  JobRequest request = decode(exported("a", {1, 2, 3, 4, 5, 6}), {2, 2});
  std::get<CudaHandle>(std::get<VaeDecodeRequest>(request).latent.place).offset = 8;
  ASSERT_TRUE(plane_->bring_in(request, "s").ok());
  const auto tensor = tensor_in_place(latent_of(request), "latent");
  ASSERT_TRUE(tensor.ok()) << tensor.status().to_string();
  EXPECT_EQ(tensor->const_data_ptr(), sharing_.memory("a").data() + 8);
  EXPECT_TRUE(at::equal(*tensor, at::tensor({3.f, 4.f, 5.f, 6.f}).reshape({2, 2})));
}

TEST_F(CudaPlaneTest, TheLastTensorOverItHoldsTheMapping) {
  JobRequest request = decode(exported("a", {1, 2, 3, 4}), {2, 2});
  ASSERT_TRUE(plane_->bring_in(request, "s").ok());
  at::Tensor view = tensor_in_place(latent_of(request), "latent")->narrow(0, 1, 1);
  request = JobRequest();
  plane_->end_session("s");
  EXPECT_EQ(sharing_.open(), 1u);
  EXPECT_EQ(view[0][1].item<float>(), 4);
  view = at::Tensor();
  EXPECT_EQ(sharing_.open(), 0u);
  EXPECT_EQ(sharing_.broken_rules, 0);
}

TEST_F(CudaPlaneTest, WhereTheHostIsNeededACopyIsMade) {
  JobRequest request = decode(exported("a", {1, 2}), {2});
  ASSERT_TRUE(plane_->bring_in(request, "s").ok());
  const auto host = host_tensor(latent_of(request), "latent");
  ASSERT_TRUE(host.ok());
  EXPECT_TRUE(at::equal(*host, at::tensor({1.f, 2.f})));
}

TEST_F(CudaPlaneTest, TheWrongDeviceNamesBoth) {
  CudaHandle handle = exported("a", {1, 2});
  handle.device_uuid = "GPU-b";
  JobRequest request = decode(handle, {2});
  const Status refused = plane_->bring_in(request, "s");
  EXPECT_EQ(refused.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(refused.message(), HasSubstr("latent: expected memory of GPU-a"));
  EXPECT_THAT(refused.message(), HasSubstr("found memory of GPU-b"));
  EXPECT_EQ(sharing_.open(), 0u);
}

TEST_F(CudaPlaneTest, AResultIsCopiedOnceAndItsEventRecordedAfterTheCopy) {
  const at::Tensor result = at::arange(6, at::kFloat).reshape({2, 3});
  const auto sent = plane_->send_out(result.t(), "s");  // not contiguous
  ASSERT_TRUE(sent.ok()) << sent.status().to_string();
  EXPECT_EQ(sent->spec, (TensorSpec{DType::kF32, {3, 2}}));
  EXPECT_THAT(sharing_.log, testing::ElementsAre("allocate 65536", "copy 24", "record own1"));
  const auto& handle = std::get<CudaHandle>(sent->place);
  EXPECT_EQ(handle.event_handle, ScriptedSharing::handle_of("own1"));
  EXPECT_NE(handle.lease_id, "");
}

TEST_F(CudaPlaneTest, AResultThatGoesInAgainIsReadWhereItLies) {
  const auto sent = plane_->send_out(at::arange(4, at::kFloat), "s");
  ASSERT_TRUE(sent.ok());
  JobRequest request = decode(std::get<CudaHandle>(sent->place), {4});
  ASSERT_TRUE(plane_->bring_in(request, "s").ok());
  EXPECT_TRUE(at::equal(*tensor_in_place(latent_of(request), "latent"), at::arange(4, at::kFloat)));
  EXPECT_EQ(sharing_.open(), 0u) << "a process cannot open its own handle";
  JobRequest others = decode(std::get<CudaHandle>(sent->place), {4});
  EXPECT_EQ(plane_->bring_in(others, "t").code(), StatusCode::kPermissionDenied);
}

TEST_F(CudaPlaneTest, AnOutboxThatIsFullRefusesAndLeavesNothing) {
  EXPECT_EQ(plane_->send_out(at::zeros({1 << 15}), "s").status().code(),
            StatusCode::kResourceExhausted);
  EXPECT_TRUE(plane_->send_out(at::zeros({1 << 14}), "s").ok());
}

TEST_F(CudaPlaneTest, AProofReadsTheClientsNumberAndWritesItsOwn) {
  const std::string number = "sixteen letters.";
  ProveCudaRequest proof;
  proof.memory.spec = {DType::kU8, {16}};
  proof.memory.place = CudaHandle{"GPU-a", sharing_.export_memory("a", number)};
  JobRequest request = std::move(proof);
  ASSERT_TRUE(plane_->bring_in(request, "s").ok());
  const auto proved = plane_->prove(std::get<ProveCudaRequest>(request), "s");
  ASSERT_TRUE(proved.ok()) << proved.status().to_string();
  EXPECT_EQ(proved->nonce, number);
  JobRequest back = decode(std::get<CudaHandle>(proved->memory.place), {4});
  ASSERT_TRUE(plane_->bring_in(back, "s").ok());
  const auto& mapping = std::get<CudaHandle>(latent_of(back).place).mapping;
  EXPECT_EQ(std::string(static_cast<const char*>(mapping->data()), 16), proved->expected);
  const auto again = plane_->prove(std::get<ProveCudaRequest>(request), "s");
  EXPECT_NE(again->expected, proved->expected);
}

TEST_F(CudaPlaneTest, TheEndOfASessionLeavesNothingOfIt) {
  ASSERT_TRUE(plane_->lease({"GPU-a", 1 << 16}, "s").ok());
  JobRequest request = decode(exported("a", {1, 2}), {2});
  ASSERT_TRUE(plane_->bring_in(request, "s").ok());
  request = JobRequest();
  EXPECT_FALSE(plane_->lease({"GPU-a", 1}, "t").ok());
  plane_->end_session("s");
  EXPECT_EQ(sharing_.open(), 0u);
  EXPECT_TRUE(plane_->lease({"GPU-a", 1 << 16}, "t").ok());
}

}  // namespace
}  // namespace luna::worker
