#include "common/base/bytes.h"

#include <cstring>

#include <gtest/gtest.h>

#include "common/base/strong_id.h"

namespace luna {
namespace {

TEST(Bytes, OfAStringAreItsContentWithoutADescriptor) {
  const BytesPtr bytes = bytes_from("abc");
  EXPECT_EQ(std::memcmp(bytes->view().data(), "abc", bytes->view().size()), 0);
  EXPECT_EQ(bytes->fd(), -1);
  EXPECT_EQ(bytes->fd_offset(), 0u);
}

TEST(Bytes, ACopyDoesNotFollowItsSource) {
  char source[] = "abc";
  const BytesPtr bytes = bytes_copy_of(std::as_bytes(std::span(source, 3)));
  source[0] = 'x';
  EXPECT_EQ(bytes->view()[0], std::byte{'a'});
}

TEST(StrongId, EqualNumbersAreEqualIdsAndHashAlike) {
  EXPECT_EQ(JobId{4}, JobId{4});
  EXPECT_LT(JobId{4}, JobId{5});
  EXPECT_EQ(std::hash<JobId>()(JobId{4}), std::hash<JobId>()(JobId{4}));
  static_assert(!std::is_convertible_v<JobId, WorkerId>);
}

}  // namespace
}  // namespace luna
