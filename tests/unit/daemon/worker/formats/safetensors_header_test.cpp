#include "daemon/worker/formats/safetensors_header.h"

#include <limits>

#include <gmock/gmock.h>

namespace luna::worker {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();

struct Failure {
  StatusCode code;
  std::string message;
};
Failure failure(std::string_view json, std::uint64_t data = 8) {
  const auto result = parse_safetensors_header(json, data);
  EXPECT_FALSE(result.ok()) << json;
  return {result.status().code(), result.status().message()};
}

std::string tensor(std::string_view dtype, std::string_view shape, std::string_view offsets) {
  return fmt::format(R"({{"a":{{"dtype":"{}","shape":[{}],"data_offsets":[{}]}}}})", dtype, shape,
                     offsets);
}

TEST(SafetensorsHeader, GivesTensorsInTheOrderOfTheirBytes) {
  const auto header = parse_safetensors_header(
      R"({"__metadata__":{"k":"v"},"b":{"dtype":"F16","shape":[2,1],"data_offsets":[4,8]},)"
      R"("a":{"shape":[],"data_offsets":[0,4],"dtype":"F32"}}   )",
      8);
  ASSERT_TRUE(header.ok()) << header.status().to_string();
  EXPECT_EQ(header->metadata, (std::map<std::string, std::string>{{"k", "v"}}));
  ASSERT_EQ(header->entries.size(), 2u);
  EXPECT_EQ(header->entries[0].name, "a");
  EXPECT_EQ(header->entries[0].spec, (TensorSpec{DType::kF32, {}}));
  EXPECT_EQ(header->entries[1].spec, (TensorSpec{DType::kF16, {2, 1}}));
  EXPECT_EQ(header->entries[1].begin, 4u);
  EXPECT_EQ(header->entries[1].end, 8u);
}

TEST(SafetensorsHeader, NoTensorsAndEmptyTensorsAreFine) {
  EXPECT_TRUE(parse_safetensors_header("{}", 0).ok());
  EXPECT_TRUE(parse_safetensors_header(tensor("F32", "3,0", "0,0"), 0).ok());
}

TEST(SafetensorsHeader, KnowsEveryServedType) {
  for (const char* dtype :
       {"F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2"})
    EXPECT_EQ(failure(tensor(dtype, "1", "0,99"), 99).code, StatusCode::kDataLoss) << dtype;
}

TEST(SafetensorsHeader, TypesThatAreNotServedAreToldFromUnknownOnes) {
  EXPECT_EQ(failure(tensor("U32", "2", "0,8")).code, StatusCode::kUnimplemented);
  const Failure unknown = failure(tensor("F33", "2", "0,8"));
  EXPECT_EQ(unknown.code, StatusCode::kInvalidArgument);
  EXPECT_THAT(unknown.message, HasSubstr("tensor 'a': unknown dtype 'F33'; expected F32"));
}

TEST(SafetensorsHeader, OffsetsMustLieInTheData) {
  EXPECT_EQ(failure(tensor("F32", "2", "0,12")).code, StatusCode::kDataLoss);
  EXPECT_EQ(failure(tensor("F32", "2", "8,0")).code, StatusCode::kDataLoss);
  EXPECT_EQ(failure(tensor("F32", "2", fmt::format("0,{}", kMax))).code, StatusCode::kDataLoss);
  EXPECT_THAT(failure(tensor("F32", "2", "8,16")).message,
              HasSubstr("bytes 8 to 16; the data part has 8"));
}

TEST(SafetensorsHeader, OffsetsMustSpanWhatTheShapeNeeds) {
  const Failure lying = failure(tensor("F32", "3", "0,8"));
  EXPECT_EQ(lying.code, StatusCode::kDataLoss);
  EXPECT_THAT(lying.message, HasSubstr("'a': f32[3] needs 12 bytes, its data_offsets span 8"));
}

TEST(SafetensorsHeader, ShapesThatOverflowAreRefused) {
  for (const char* shape :
       {"4611686018427387904,4", "9223372036854775807", "9223372036854775808",
        "4294967296,4294967296,0", "0,4294967296,4294967296", "18446744073709551616"})
    EXPECT_EQ(failure(tensor("F32", shape, "0,8")).code, StatusCode::kInvalidArgument) << shape;
  EXPECT_EQ(failure(tensor("U8", "1,1,1,1,1,1,1,1,8", "0,8")).code, StatusCode::kInvalidArgument);
}

TEST(SafetensorsHeader, NumbersAreWholeAndNotNegative) {
  EXPECT_THAT(failure(tensor("F32", "-2", "0,8")).message, HasSubstr("negative number -2"));
  EXPECT_EQ(failure(tensor("F32", "2.0", "0,8")).code, StatusCode::kInvalidArgument);
  EXPECT_EQ(failure(tensor("F32", "2", "-8,0")).code, StatusCode::kInvalidArgument);
  EXPECT_EQ(failure(tensor("F32", "2", "0,8e0")).code, StatusCode::kInvalidArgument);
}

TEST(SafetensorsHeader, OverlapsAndHolesAreRefused) {
  const auto two = [](std::string_view first, std::string_view second) {
    return fmt::format(R"({{"a":{{"dtype":"F32","shape":[1],"data_offsets":[{}]}},)"
                       R"("b":{{"dtype":"F32","shape":[1],"data_offsets":[{}]}}}})",
                       first, second);
  };
  EXPECT_TRUE(parse_safetensors_header(two("0,4", "4,8"), 8).ok());
  EXPECT_THAT(failure(two("0,4", "0,4"), 4).message, HasSubstr("they overlap"));
  EXPECT_THAT(failure(two("0,4", "2,6"), 6).message, HasSubstr("they overlap"));
  EXPECT_THAT(failure(two("0,4", "6,10"), 10).message, HasSubstr("there is a hole"));
  EXPECT_THAT(failure(two("4,8", "8,12"), 12).message,
              HasSubstr("'a' begins at byte 4; expected 0"));
  EXPECT_THAT(failure(two("0,4", "4,8"), 9).message,
              HasSubstr("end at byte 8 of the data part, which has 9"));
}

TEST(SafetensorsHeader, NamesAreUniqueNotEmptyAndWithoutNul) {
  EXPECT_THAT(failure(R"({"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},)"
                      R"("a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}})",
                      0)
                  .message,
              HasSubstr("'a' stands there twice"));
  for (const char* name : {"", "x\\u0000y"})
    EXPECT_EQ(
        failure(fmt::format(R"({{"{}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}}})", name),
                0)
            .code,
        StatusCode::kInvalidArgument)
        << name;
  EXPECT_EQ(failure(R"({"__metadata__":{},"__metadata__":{}})", 0).code,
            StatusCode::kInvalidArgument);
  EXPECT_EQ(failure("{\"" + std::string(kMaxSafetensorsName + 1, 'n') + "\":1}").code,
            StatusCode::kInvalidArgument);
}

TEST(SafetensorsHeader, EachFieldStandsOnceAndNoOtherIsThere) {
  for (const char* json : {R"({"a":{"dtype":"U8","shape":[8]}})",
                           R"({"a":{}})",
                           R"({"a":{"dtype":"U8","data_offsets":[0,8]}})",
                           R"({"a":{"dtype":"U8","dtype":"U8","shape":[8],"data_offsets":[0,8]}})",
                           R"({"a":{"dtype":"U8","shape":[8],"shape":[8],"data_offsets":[0,8]}})",
                           R"({"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8],"more":1}})",
                           R"({"a":{"dtype":"U8","shape":[8],"data_offsets":[0]}})",
                           R"({"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8,8]}})",
                           R"({"a":{"dtype":"U8","shape":8,"data_offsets":[0,8]}})",
                           R"({"a":{"dtype":8,"shape":[8],"data_offsets":[0,8]}})",
                           R"({"a":{"dtype":["U8"],"shape":[8],"data_offsets":[0,8]}})",
                           R"({"a":{"dtype":"U8","shape":[[8]],"data_offsets":[0,8]}})",
                           R"({"a":{"dtype":"U8","shape":["8"],"data_offsets":[0,8]}})",
                           R"({"a":[1]})",
                           R"({"a":"b"})",
                           R"({"a":null})",
                           R"({"a":true})",
                           R"({"__metadata__":{"k":1}})",
                           R"({"__metadata__":{"k":{}}})",
                           R"({"__metadata__":"x"})",
                           R"({"__metadata__":{"k":"1","k":"2"}})"})
    EXPECT_EQ(failure(json).code, StatusCode::kInvalidArgument) << json;
}

TEST(SafetensorsHeader, WhatIsNotAnObjectIsRefused) {
  for (const char* json :
       {"", " {}", "[]", "null", "{", "{}{}", "{} x", "{\"a\"", "{\"\xff\":{}}", "\xef\xbb\xbf{}"})
    EXPECT_EQ(failure(json).code, StatusCode::kInvalidArgument) << json;
}

TEST(SafetensorsHeader, NestingBombsEndAtTheFirstLevelThatDoesNotBelong) {
  const std::string deep(1 << 20, '[');
  EXPECT_EQ(failure("{\"a\":" + deep).code, StatusCode::kInvalidArgument);
  std::string objects = "{";
  for (int i = 0; i < 100000; ++i) objects += "\"a\":{";
  EXPECT_EQ(failure(objects).code, StatusCode::kInvalidArgument);
  EXPECT_EQ(failure("{\"__metadata__\":{\"a\":" + deep).code, StatusCode::kInvalidArgument);
}

TEST(SafetensorsHeader, MoreTensorsThanTheLimitAreRefused) {
  std::string json = "{";
  for (std::size_t i = 0; i <= kMaxSafetensorsTensors + 1; ++i)
    json += fmt::format("{}\"{}\":{{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}",
                        i ? "," : "", i);
  EXPECT_THAT(failure(json + "}", 0).message, HasSubstr("more than 200000 tensors"));
}

}  // namespace
}  // namespace luna::worker
