#include <gtest/gtest.h>

#include "daemon/worker/precision/component_types.h"

namespace luna::worker {
namespace {

const at::Device kCpu(at::kCPU);
const at::Device kGpu(at::kCUDA, 0);

TEST(ComponentTypes, AutoIsF32OnTheCpuWhateverTheFileHolds) {
  for (const DType file : {DType::kF32, DType::kF16, DType::kBF16, DType::kF8E4M3})
    EXPECT_EQ(component_types(Precision::kAuto, file, Slot::kUNet, kCpu),
              (ComponentTypes{at::kFloat, at::kFloat}));
}

TEST(ComponentTypes, AutoOnAGpuKeepsA16BitTypeAndElseTakesBf16) {
  EXPECT_EQ(component_types(Precision::kAuto, DType::kF16, Slot::kUNet, kGpu),
            (ComponentTypes{at::kHalf, at::kHalf}));
  for (const DType file : {DType::kBF16, DType::kF32, DType::kF8E4M3})
    EXPECT_EQ(component_types(Precision::kAuto, file, Slot::kVae, kGpu),
              (ComponentTypes{at::kBFloat16, at::kBFloat16}));
}

TEST(ComponentTypes, AWrittenPrecisionIsKept) {
  EXPECT_EQ(component_types(Precision::kF32, DType::kF16, Slot::kUNet, kGpu),
            (ComponentTypes{at::kFloat, at::kFloat}));
  EXPECT_EQ(component_types(Precision::kBF16, DType::kF32, Slot::kUNet, kCpu),
            (ComponentTypes{at::kBFloat16, at::kBFloat16}));
  EXPECT_EQ(component_types(Precision::kF16, DType::kF32, Slot::kUNet, kGpu),
            (ComponentTypes{at::kHalf, at::kHalf}));
}

TEST(ComponentTypes, HalfOnTheCpuIsForStorageOnly) {
  EXPECT_EQ(component_types(Precision::kF16, DType::kF16, Slot::kVae, kCpu),
            (ComponentTypes{at::kHalf, at::kFloat}));
}

TEST(ComponentTypes, AVaeNeverComputesInHalfWhereItWouldOverflow) {
  EXPECT_EQ(component_types(Precision::kAuto, DType::kF16, Slot::kVae, kGpu),
            (ComponentTypes{at::kBFloat16, at::kBFloat16}));
  EXPECT_EQ(component_types(Precision::kF16, DType::kF32, Slot::kVae, kGpu),
            (ComponentTypes{at::kHalf, at::kFloat}));
}

TEST(ComponentTypes, TextEncodersComputeInF32OverRoundedWeights) {
  for (const Slot slot : {Slot::kClipL, Slot::kClipG, Slot::kT5, Slot::kLlm}) {
    EXPECT_EQ(component_types(Precision::kBF16, DType::kF32, slot, kCpu),
              (ComponentTypes{at::kBFloat16, at::kFloat}));
    EXPECT_EQ(component_types(Precision::kAuto, DType::kF16, slot, kGpu),
              (ComponentTypes{at::kHalf, at::kFloat}));
  }
}

}  // namespace
}  // namespace luna::worker
