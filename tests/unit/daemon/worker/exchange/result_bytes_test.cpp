#include "daemon/worker/exchange/result_bytes.h"

#include <limits>

#include <fcntl.h>
#include <gmock/gmock.h>

namespace luna::worker {
namespace {

TensorRef tensor_at(DType dtype, std::vector<std::int64_t> shape,
                    decltype(TensorRef::place) place) {
  TensorRef tensor;
  tensor.spec.dtype = dtype;
  tensor.spec.shape = std::move(shape);
  tensor.place = std::move(place);
  return tensor;
}

TEST(ResultBytes, LargeResultsLieInASealedDescriptorAndSmallOnesDoNot) {
  const at::Tensor large = at::arange(100'000, at::kFloat), small = at::arange(10, at::kFloat);
  const auto by_descriptor = tensor_ref_of(large, make_result_bytes);
  ASSERT_TRUE(by_descriptor.ok()) << by_descriptor.status().to_string();
  const int fd = by_descriptor->host_bytes()->fd();
  ASSERT_GE(fd, 0);
  EXPECT_TRUE(fcntl(fd, F_GET_SEALS) & F_SEAL_SHRINK);
  EXPECT_TRUE(fcntl(fd, F_GET_SEALS) & F_SEAL_WRITE);
  EXPECT_TRUE(host_tensor(*by_descriptor, "x")->equal(large));
  const auto inline_bytes = tensor_ref_of(small, make_result_bytes);
  EXPECT_EQ(inline_bytes->host_bytes()->fd(), -1);
  EXPECT_TRUE(host_tensor(*inline_bytes, "x")->equal(small));
}

TEST(TensorRefs, ComeInWithoutACopyAndKeepTheirBytesAlive) {
  const std::byte* bytes = nullptr;
  const at::Tensor tensor = [&] {
    const std::vector<float> values = {1, 2, 3, 4};
    const BytesPtr owner = bytes_copy_of(std::as_bytes(std::span(values)));
    bytes = owner->view().data();
    return host_tensor(tensor_at(DType::kF32, {2, 2}, owner), "x").value();
  }();
  EXPECT_EQ(tensor.const_data_ptr(), bytes);
  EXPECT_EQ(tensor.sum().item<float>(), 10);
}

TEST(TensorRefs, MisalignedBytesAreCopied) {
  class Misaligned final : public Bytes {
   public:
    std::span<const std::byte> view() const override {
      return std::as_bytes(std::span(data_)).subspan(1, 4);
    }
    alignas(8) char data_[8] = {0, 0, 0, static_cast<char>(0x80), 0x3f, 0, 0, 0};
  };
  const BytesPtr bytes = std::make_shared<const Misaligned>();
  EXPECT_EQ(host_tensor(tensor_at(DType::kF32, {1}, bytes), "x")->item<float>(), 1.0f);
}

TEST(TensorRefs, WithoutBytesAreZerosAndWrongOnesAreRefused) {
  EXPECT_TRUE(
      host_tensor(tensor_at(DType::kBF16, {3}, {}), "x")->equal(at::zeros({3}, at::kBFloat16)));
  const auto refused = [](const TensorRef& tensor) {
    return host_tensor(tensor, "latent").status();
  };
  EXPECT_EQ(refused(tensor_at(DType::kF32, {3}, bytes_from("12345"))).code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(refused(tensor_at(DType::kF32, {-1}, {})).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(refused(tensor_at(DType::kF32, {1 << 30, 1 << 30}, {})).code(),
            StatusCode::kInvalidArgument);
  const Status elsewhere = refused(tensor_at(DType::kF32, {3}, CudaHandle{}));
  EXPECT_EQ(elsewhere.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(elsewhere.message(), testing::HasSubstr("a GPU handle"));
}

TEST(TensorRefs, KeepTypeShapeAndValuesOfStridedTensors) {
  const at::Tensor strided = at::arange(12, at::kInt).view({3, 4}).t();
  const auto reference = tensor_ref_of(strided, make_result_bytes);
  EXPECT_EQ(reference->spec.to_string(), "i32[4,3]");
  EXPECT_TRUE(host_tensor(*reference, "x")->equal(strided.contiguous()));
}

}  // namespace
}  // namespace luna::worker
