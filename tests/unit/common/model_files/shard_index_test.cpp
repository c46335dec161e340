#include "common/model_files/shard_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace luna {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

std::string refusal(std::string_view json) {
  const auto index = parse_shard_index(json);
  EXPECT_EQ(index.status().code(), StatusCode::kInvalidArgument) << json.substr(0, 200);
  return index.status().message();
}

TEST(ShardIndexJson, SaysWhichFileEachTensorLiesIn) {
  const auto index = parse_shard_index(
      R"({"metadata": {"total_size": 12, "more": [1, {"a": [null, 2.5, true]}]},
          "weight_map": {"b": "m-2.safetensors", "a": "m-1.safetensors", "c": "m-2.safetensors"}})");
  ASSERT_TRUE(index.ok()) << index.status().to_string();
  EXPECT_EQ(index->shard_of.size(), 3u);
  EXPECT_EQ(index->shard_of.at("c"), "m-2.safetensors");
  EXPECT_THAT(index->shards(), ElementsAre("m-1.safetensors", "m-2.safetensors"));
}

TEST(ShardIndexJson, WhatIsNotJsonIsRefusedWithThePlace) {
  EXPECT_THAT(refusal(""), HasSubstr("not JSON"));
  EXPECT_THAT(refusal(R"({"weight_map": {"a": "m.safetensors")"), HasSubstr("not JSON at byte"));
  EXPECT_THAT(refusal("PK\x03\x04"), HasSubstr("not JSON"));
}

TEST(ShardIndexJson, AnotherShapeThanAMapOfNamesIsRefused) {
  EXPECT_THAT(refusal("[]"), HasSubstr("an object was expected, found a list"));
  EXPECT_THAT(refusal("7"), HasSubstr("an object was expected"));
  EXPECT_THAT(refusal("{}"), HasSubstr("'weight_map'"));
  EXPECT_THAT(refusal(R"({"weight_map": []})"), HasSubstr("found a list"));
  EXPECT_THAT(refusal(R"({"weight_map": "x"})"), HasSubstr("found a string"));
  EXPECT_THAT(refusal(R"({"weight_map": {}})"), HasSubstr("names no tensor"));
  EXPECT_THAT(refusal(R"({"weight_map": {"a": 1}})"), AllOf(HasSubstr("'a'"), HasSubstr("number")));
  EXPECT_THAT(refusal(R"({"weight_map": {"a": {"b": "c"}}})"), HasSubstr("found an object"));
  EXPECT_THAT(refusal(R"({"weight_map": {"a": ["b"]}})"), HasSubstr("found a list"));
  EXPECT_THAT(refusal(R"({"weight_map": {"": "m.safetensors"}})"), HasSubstr("empty"));
}

TEST(ShardIndexJson, ATensorOrAMapThatStandsThereTwiceIsRefused) {
  EXPECT_THAT(refusal(R"({"weight_map": {"a": "x.safetensors", "a": "y.safetensors"}})"),
              HasSubstr("'a' stands there twice"));
  EXPECT_THAT(
      refusal(R"({"weight_map": {"a": "x.safetensors"}, "weight_map": {"b": "y.safetensors"}})"),
      HasSubstr("'weight_map' stands there twice"));
}

TEST(ShardIndexJson, AShardStaysBelowTheFolderOfItsIndex) {
  const auto shard = [](const std::string& name) {
    return refusal(R"({"weight_map": {"a": ")" + name + R"("}})");
  };
  EXPECT_THAT(shard("/etc/passwd.safetensors"), AllOf(HasSubstr("absolute"), HasSubstr("'a'")));
  EXPECT_THAT(shard("../x.safetensors"), HasSubstr("leads out of the index's folder"));
  EXPECT_THAT(shard("a/../../x.safetensors"), HasSubstr("leads out"));
  EXPECT_THAT(shard("x.bin"), HasSubstr("does not end in .safetensors"));
  EXPECT_THAT(shard(""), HasSubstr("is empty"));
  EXPECT_THAT(shard("x\\u0000.safetensors"), HasSubstr("NUL"));
  EXPECT_THAT(shard(std::string(5000, 'x') + ".safetensors"), HasSubstr("too long"));
  EXPECT_TRUE(parse_shard_index(R"({"weight_map": {"a": "sub/x..y.safetensors"}})").ok());
}

TEST(ShardIndexJson, AbsurdSizesAreRefusedBeforeTheyCostMuch) {
  EXPECT_THAT(refusal(std::string(kMaxShardIndexBytes + 1, ' ')), HasSubstr("at most"));
  EXPECT_THAT(refusal(R"({"metadata": )" + std::string(100'000, '[')), HasSubstr("nested deeper"));
  std::string many = R"({"weight_map": {)";
  for (std::size_t i = 0; i <= kMaxShards; ++i)
    many += fmt::format(R"({}"t{}": "s{}.safetensors")", i == 0 ? "" : ", ", i, i);
  EXPECT_THAT(refusal(many + "}}"), HasSubstr("more than 256 shards"));
}

TEST(ShardIndexJson, IsToldByItsName) {
  for (const char* name : {"x.safetensors.index.json", "a/model.fp16.safetensors.index.json",
                           "diffusion_pytorch_model.safetensors.index.fp16.json"})
    EXPECT_TRUE(names_shard_index(name)) << name;
  for (const char* name : {"", "x.safetensors", "model.bin.index.json", "index.json",
                           ".safetensors.index.json", "x.safetensors.index.json/config"})
    EXPECT_FALSE(names_shard_index(name)) << name;
}

}  // namespace
}  // namespace luna
