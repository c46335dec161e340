#include "daemon/worker/ops/cpu_packing.h"

#include <gtest/gtest.h>

#include "daemon/worker/ops/conv2d.h"
#include "daemon/worker/ops/linear.h"

namespace luna::worker::ops {
namespace {

std::uint64_t bound_in_bytes(const at::Tensor& weight) {
  return packed_elements_bound(weight.sizes()) * weight.element_size();
}

TEST(CpuPacking, APlainWeightCountsItsElements) {
  const at::Tensor weight = at::zeros({3, 5});
  EXPECT_EQ(weight_bytes(weight), 60u);
}

TEST(CpuPacking, TheBoundRoundsTheFirstTwoExtentsOfAMatrixOrAKernelUp) {
  EXPECT_EQ(packed_elements_bound({320, 4, 3, 3}), 320u * 64 * 9);
  EXPECT_EQ(packed_elements_bound({1, 65}), 64u * 128);
  EXPECT_EQ(packed_elements_bound({7}), 7u) << "a bias is never packed";
  EXPECT_EQ(packed_elements_bound({}), 1u);
}

TEST(CpuPacking, APackedWeightCountsItsPaddingAndStaysWithinTheBound) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    if (!can_pack(at::kCPU, type)) continue;
    for (const std::int64_t in : {3, 4, 8, 32, 320}) {
      for (const std::int64_t out : {3, 8, 32, 128}) {
        const at::Tensor kernel = at::randn({out, in, 3, 3}).to(type);
        const at::Tensor packed = pack_conv2d_weight(kernel, {1, 1}, {2, in, 64, 64});
        ASSERT_TRUE(is_packed(packed));
        EXPECT_GE(weight_bytes(packed), kernel.nbytes()) << out << " from " << in;
        EXPECT_LE(weight_bytes(packed), bound_in_bytes(kernel)) << out << " from " << in;
        const at::Tensor matrix = at::randn({out, in}).to(type);
        const at::Tensor packed_matrix = pack_linear_weight(matrix, 4096);
        EXPECT_LE(weight_bytes(packed_matrix), bound_in_bytes(matrix)) << out << " from " << in;
      }
    }
  }
}

}  // namespace
}  // namespace luna::worker::ops
