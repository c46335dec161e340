#include "common/base/status.h"

#include <memory>

#include <gtest/gtest.h>

namespace luna {
namespace {

TEST(Status, DefaultIsOkAndContextLeavesItSo) {
  EXPECT_TRUE(Status().ok());
  EXPECT_TRUE(Status().with_context("reading").ok());
  EXPECT_EQ(Status().to_string(), "OK");
}

TEST(Status, ContextIsPutBeforeTheMessageAndTheCodeStays) {
  const Status status =
      error(StatusCode::kNotFound, "no file '{}'", "a.pt").with_context("slot vae");
  EXPECT_EQ(status.to_string(), "NOT_FOUND: slot vae: no file 'a.pt'");
}

TEST(Status, EveryCodeHasGrpcsNumberAndSpelling) {
  EXPECT_EQ(static_cast<int>(StatusCode::kDataLoss), 15);
  EXPECT_EQ(status_code_name(StatusCode::kResourceExhausted), "RESOURCE_EXHAUSTED");
  EXPECT_EQ(status_code_name(static_cast<StatusCode>(99)), "UNKNOWN");
}

TEST(Result, HoldsEitherAValueOrWhyThereIsNone) {
  const Result<int> value = 7;
  EXPECT_EQ(*value, 7);
  const Result<int> none = Status(StatusCode::kInternal, "why");
  EXPECT_FALSE(none.ok());
  EXPECT_EQ(none.status().message(), "why");
}

TEST(Result, AnOkStatusIsNoReasonForAMissingValue) {
  const Result<int> wrong = Status();
  EXPECT_EQ(wrong.status().code(), StatusCode::kInternal);
}

TEST(ResultDeathTest, ReadingTheValueOfAFailureAborts) {
  const Result<int> none = Status(StatusCode::kInternal, "why");
  EXPECT_DEATH((void)none.value(), "bug: INTERNAL: why");
}

Result<std::unique_ptr<int>> half(int number) {
  if (number % 2 != 0) return error(StatusCode::kInvalidArgument, "{} is odd", number);
  return std::make_unique<int>(number / 2);
}

Result<int> quarter(int number) {
  LUNA_ASSIGN_OR_RETURN(const std::unique_ptr<int> once, half(number));
  LUNA_ASSIGN_OR_RETURN(const std::unique_ptr<int> twice, half(*once));
  return *twice;
}

TEST(AssignOrReturn, PassesMoveOnlyValuesOnAndFailuresUp) {
  EXPECT_EQ(*quarter(12), 3);
  EXPECT_EQ(quarter(6).status().message(), "3 is odd");
}

}  // namespace
}  // namespace luna
