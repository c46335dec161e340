#include "common/wire/status_mapping.h"

#include <gtest/gtest.h>

namespace luna::wire {
namespace {

TEST(StatusMapping, EveryCodeOfOursComesBackAsItself) {
  for (int number = 0; number <= 16; ++number) {
    const auto code = static_cast<StatusCode>(number);
    if (status_code_name(code) == "UNKNOWN") continue;
    EXPECT_EQ(status_code_of_grpc(grpc_code(code)), code) << number;
  }
}

TEST(StatusMapping, CodesThatLunaNeverSendsBecomeTheNearest) {
  EXPECT_EQ(status_code_of_grpc(2), StatusCode::kInternal);
  EXPECT_EQ(status_code_of_grpc(10), StatusCode::kUnavailable);
  EXPECT_EQ(status_code_of_grpc(11), StatusCode::kInvalidArgument);
  EXPECT_EQ(status_code_of_grpc(16), StatusCode::kPermissionDenied);
  EXPECT_EQ(status_code_of_grpc(99), StatusCode::kInternal);
  EXPECT_EQ(status_code_of_grpc(-1), StatusCode::kInternal);
}

TEST(TrailerMessage, LeavesAShortSentenceAsItIs) {
  EXPECT_EQ(trailer_message("a sentence, \xC3\xA4 too"), "a sentence, \xC3\xA4 too");
  EXPECT_EQ(trailer_message(""), "");
}

TEST(TrailerMessage, CutsALongOneBetweenCharacters) {
  std::string umlauts;
  for (int i = 0; i < 100; ++i) umlauts += "\xC3\xA4";
  const std::string cut = trailer_message(umlauts, 20);
  EXPECT_LE(cut.size(), 20u);
  EXPECT_EQ(cut, umlauts.substr(0, 16) + "...");
}

TEST(TrailerMessage, ReplacesBytesThatAreNoUtf8) {
  EXPECT_EQ(trailer_message("a\xFFz"), "a?z");
  EXPECT_EQ(trailer_message("a\xC3"), "a?");
  EXPECT_EQ(trailer_message("\xED\xA0\x80"), "???");  // a surrogate
  EXPECT_EQ(trailer_message("\xC0\x80"), "??");       // overlong
}

}  // namespace
}  // namespace luna::wire
