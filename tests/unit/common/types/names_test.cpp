#include <variant>

#include <gtest/gtest.h>

#include "common/types/dtype.h"
#include "common/types/job.h"
#include "common/types/model.h"

namespace luna {
namespace {

TEST(Names, OfElementTypesLeadBackToThem) {
  for (int number = 0; number <= 11; ++number) {
    const auto dtype = static_cast<DType>(number);
    EXPECT_EQ(dtype_from_name(dtype_name(dtype)), dtype);
    EXPECT_GT(dtype_size(dtype), 0u);
  }
  EXPECT_EQ(dtype_from_name("f80"), std::nullopt);
  EXPECT_EQ(dtype_size(static_cast<DType>(200)), 0u);
}

TEST(Names, OfSlotsLeadBackToThem) {
  for (int number = 1; number <= 9; ++number) {
    const auto slot = static_cast<Slot>(number);
    EXPECT_EQ(slot_from_name(slot_name(slot)), slot);
  }
  EXPECT_EQ(slot_from_name("unknown"), std::nullopt);
}

TEST(Names, OfPrecisionsMayBeWrittenAsPeopleDo) {
  EXPECT_EQ(precision_from_name("fp16"), Precision::kF16);
  EXPECT_EQ(precision_from_name("float16"), Precision::kF16);
  EXPECT_EQ(precision_from_name("bfloat16"), Precision::kBF16);
  EXPECT_EQ(precision_from_name("fp32"), Precision::kF32);
  EXPECT_EQ(precision_from_name("int4"), std::nullopt);
  EXPECT_EQ(precision_name(Precision::kF16), "fp16");
}

TEST(Names, OfPrioritiesLeadBackToThem) {
  for (const Priority priority : {Priority::kInteractive, Priority::kNormal, Priority::kBulk}) {
    EXPECT_EQ(priority_from_name(priority_name(priority)), priority);
  }
  EXPECT_EQ(priority_name(Priority::kBulk), "bulk");
  EXPECT_EQ(priority_from_name("urgent"), std::nullopt);
}

TEST(Names, OfTiersSayWhereWeightsLie) {
  EXPECT_EQ(tier_name(Tier::kDevice), "device");
  EXPECT_EQ(tier_name(Tier::kHost), "host");
  EXPECT_EQ(tier_name(Tier::kFile), "file");
}

TEST(Names, OfJobsFollowTheRequest) {
  EXPECT_EQ(job_kind(TokenizeRequest{}), "tokenize");
  EXPECT_EQ(job_kind(SampleRequest{}), "sample");
  EXPECT_EQ(job_kind(UnloadModelRequest{}), "unload_model");
  EXPECT_EQ(job_kind(RestoreModelRequest{}), "restore_model");
  EXPECT_EQ(job_kind(LeaseCudaRequest{}), "lease_cuda");
  EXPECT_EQ(job_kind(ProveCudaRequest{}), "prove_cuda");
}

}  // namespace
}  // namespace luna
