#include "common/hash/sha256.h"

#include <gtest/gtest.h>

namespace luna {
namespace {

std::string hash_of(std::initializer_list<std::string_view> pieces) {
  Sha256 hash;
  for (const std::string_view piece : pieces) hash.update(piece);
  return hash.finish();
}

// FIPS 180-4's examples.
TEST(Sha256, IsTheStandardsFunction) {
  EXPECT_EQ(hash_of({}), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hash_of({"abc"}), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Sha256, PiecesHashAsTheirWhole) {
  EXPECT_EQ(hash_of({"a", "", "bc"}), hash_of({"abc"}));
  EXPECT_NE(hash_of({"abc"}), hash_of({"acb"}));
}

}  // namespace
}  // namespace luna
