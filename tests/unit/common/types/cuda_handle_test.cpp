#include "common/types/cuda_handle.h"

#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace luna {
namespace {

using ::testing::HasSubstr;

const std::string kHandle(64, 'h');

TEST(PlainIpcHandle, TheDriversOwnAndPyTorchsForCudaMallocAreTaken) {
  EXPECT_EQ(*plain_ipc_handle(kHandle), kHandle);
  EXPECT_EQ(*plain_ipc_handle(std::string("\2c") + kHandle), kHandle);
  EXPECT_EQ(*plain_ipc_handle(std::string("\3c") + kHandle), kHandle);
}

TEST(PlainIpcHandle, ExpandableSegmentsAreRefusedWithTheTwoWaysOut) {
  const Status refused = plain_ipc_handle(std::string("\2e") + std::string(200, 's')).status();
  EXPECT_EQ(refused.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(refused.message(), HasSubstr("Tensors.Allocate"));
  EXPECT_THAT(refused.message(), HasSubstr("PYTORCH_CUDA_ALLOC_CONF=expandable_segments:False"));
}

TEST(PlainIpcHandle, AnyOtherLengthOrKindNamesBothSides) {
  EXPECT_THAT(plain_ipc_handle("short").status().message(),
              HasSubstr("64 bytes (with PyTorch's prefix 66), found 5"));
  EXPECT_EQ(plain_ipc_handle("").status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(plain_ipc_handle(std::string("\2x") + kHandle).status().code(),
            StatusCode::kInvalidArgument);
}

TEST(CudaHandleRules, ATensorMustLieWithinTheAllocation) {
  const TensorSpec spec{DType::kF32, {4, 64, 64}};  // 65,536 bytes
  const auto refusal = [&](CudaHandle handle) { return check_cuda_handle(handle, spec).message(); };
  EXPECT_EQ(refusal({"GPU-a", kHandle, 65536, 0}), "");
  EXPECT_EQ(refusal({"GPU-a", kHandle, 131072, 65536}), "");
  EXPECT_THAT(refusal({"GPU-a", kHandle, 65535, 0}), HasSubstr("an allocation of 65535 bytes"));
  EXPECT_THAT(refusal({"GPU-a", kHandle, 131072, 65540}), HasSubstr("from offset 65540"));
}

TEST(CudaHandleRules, AnOffsetThatWouldWrapAroundIsRefused) {
  const std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  const TensorSpec spec{DType::kU8, {16}};
  EXPECT_EQ(check_cuda_handle({"GPU-a", kHandle, 4096, most}, spec).code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(check_cuda_handle({"GPU-a", kHandle, 4096, most - 7}, spec).code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(check_cuda_extent({"GPU-a", kHandle, 0, most - 7}, 16, 4096).code(),
            StatusCode::kInvalidArgument);
}

TEST(CudaHandleRules, OffsetsAreMultiplesOfTheElement) {
  const CudaHandle odd{"GPU-a", kHandle, 4096, 6};
  EXPECT_TRUE(check_cuda_handle(odd, {DType::kF16, {4}}).ok());
  EXPECT_THAT(check_cuda_handle(odd, {DType::kF32, {4}}).message(),
              HasSubstr("offset 6 is no multiple of 4, the size of an element of f32[4]"));
}

TEST(CudaHandleRules, HandlesAndEventsHaveTheirLengthAndDescriptorsStandAlone) {
  const TensorSpec spec{DType::kU8, {16}};
  EXPECT_THAT(check_cuda_handle({"GPU-a", "short", 16, 0}, spec).message(), HasSubstr("found 5"));
  EXPECT_THAT(check_cuda_handle({"GPU-a", kHandle, 16, 0, "event"}, spec).message(),
              HasSubstr("cudaIpcEventHandle_t of 64 bytes or none, found 5"));
  CudaHandle region{"GPU-a", "", 16, 0};
  EXPECT_THAT(check_cuda_handle(region, spec).message(), HasSubstr("neither"));
  region.descriptor = bytes_from("");
  EXPECT_TRUE(check_cuda_handle(region, spec).ok());
  region.handle = kHandle;
  EXPECT_THAT(check_cuda_handle(region, spec).message(), HasSubstr("both"));
}

TEST(CudaHandleRules, WhatTheDriverSaysOfTheAllocationCounts) {
  EXPECT_TRUE(check_cuda_extent({"GPU-a", kHandle, 0, 2048}, 2048, 4096).ok());
  EXPECT_THAT(check_cuda_extent({"GPU-a", kHandle, 8192, 0}, 16, 4096).message(),
              HasSubstr("the handle says an allocation of 8192 bytes, the driver says 4096"));
}

}  // namespace
}  // namespace luna
