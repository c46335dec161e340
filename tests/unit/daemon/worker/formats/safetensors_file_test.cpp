#include "daemon/worker/formats/safetensors_file.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "tests/support/deterministic.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/temp_dir.h"
#include "tests/support/wait_until.h"

namespace luna::worker {
namespace {

using support::raw_safetensors;
using ::testing::AllOf;
using ::testing::HasSubstr;

class SafetensorsFileTest : public ::testing::Test {
 protected:
  std::string sound() const {
    support::SafetensorsWriter writer;
    writer.set_metadata("format", "pt");
    writer.add("a", {2, 3}, support::uniform_values("a", 6));
    writer.add("b", {4}, support::uniform_values("b", 4));
    writer.write(dir.file("sound"));
    return dir.file("sound");
  }
  Status open_bytes(const std::string& bytes) const {
    return SafetensorsFile::open(dir.write("file", bytes)).status();
  }
  support::TempDir dir;
};

std::vector<float> floats(const SafetensorsFile& file, const SafetensorsEntry& entry) {
  std::vector<float> out(entry.spec.byte_size() / 4);
  EXPECT_TRUE(file.read(entry, 0, std::as_writable_bytes(std::span(out))).ok());
  return out;
}

TEST_F(SafetensorsFileTest, ReadsWhatWasWritten) {
  const auto file = SafetensorsFile::open(sound());
  ASSERT_TRUE(file.ok()) << file.status().to_string();
  EXPECT_EQ(file->header().metadata.at("format"), "pt");
  ASSERT_EQ(file->header().entries.size(), 2u);
  EXPECT_EQ(floats(*file, file->header().entries[0]), support::uniform_values("a", 6));
  EXPECT_EQ(floats(*file, file->header().entries[1]), support::uniform_values("b", 4));
  EXPECT_TRUE(file->check_unchanged().ok());
}

TEST_F(SafetensorsFileTest, ReadsPartsOfATensorAndNothingBeyond) {
  const auto file = SafetensorsFile::open(sound());
  ASSERT_TRUE(file.ok());
  const SafetensorsEntry& entry = file->header().entries[0];
  float value = 0;
  const auto bytes = std::as_writable_bytes(std::span(&value, 1));
  EXPECT_TRUE(file->read(entry, 20, bytes).ok());
  EXPECT_EQ(value, support::uniform_values("a", 6)[5]);
  EXPECT_EQ(file->read(entry, 21, bytes).code(), StatusCode::kInternal);
  EXPECT_EQ(file->read(entry, ~std::uint64_t{0}, bytes).code(), StatusCode::kInternal);
}

TEST_F(SafetensorsFileTest, ATruncationAtAnyByteIsAnErrorThatNamesTheFile) {
  const std::string bytes = support::read_file(sound());
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    const Status status = open_bytes(bytes.substr(0, length));
    EXPECT_EQ(status.code(), length < 8 ? StatusCode::kInvalidArgument : StatusCode::kDataLoss)
        << length;
    EXPECT_THAT(status.message(), HasSubstr(dir.file("file")));
  }
  EXPECT_EQ(open_bytes(bytes + "x").code(), StatusCode::kDataLoss);
}

TEST_F(SafetensorsFileTest, AHugeHeaderLengthIsRefusedBeforeAnythingIsAllocated) {
  EXPECT_EQ(open_bytes(std::string(8, '\xff') + "{}").code(), StatusCode::kInvalidArgument);
  const Status status = open_bytes(std::string("\x01\xe1\xf5\x05\0\0\0\0{}", 10));  // 100,000,001
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("100000001 bytes, expected at most 100000000"));
  EXPECT_EQ(open_bytes(std::string("\0\xe1\xf5\x05\0\0\0\0{}", 10)).code(), StatusCode::kDataLoss);
}

TEST_F(SafetensorsFileTest, OtherFilesAreToldApart) {
  EXPECT_THAT(open_bytes(std::string(100, 'x')).message(), HasSubstr("not a safetensors file"));
  EXPECT_EQ(open_bytes(raw_safetensors("[]", "")).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(SafetensorsFile::open(dir.file("absent")).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(SafetensorsFile::open("").status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(SafetensorsFile::open(std::string("a\0b", 3)).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_THAT(SafetensorsFile::open(dir.path()).status().message(), HasSubstr("found a folder"));
}

TEST_F(SafetensorsFileTest, APipeIsRefusedAndNotWaitedFor) {
  ASSERT_EQ(mkfifo(dir.file("pipe").c_str(), 0600), 0);
  EXPECT_EQ(SafetensorsFile::open(dir.file("pipe")).status().code(), StatusCode::kInvalidArgument);
}

TEST_F(SafetensorsFileTest, TruncationAfterOpeningIsDataLoss) {
  const auto file = SafetensorsFile::open(sound());
  ASSERT_TRUE(file.ok());
  const auto before = file->identity().size;
  std::filesystem::resize_file(file->path(), before - 5);
  std::vector<std::byte> out(16);
  const Status read = file->read(file->header().entries[1], 0, out);
  EXPECT_EQ(read.code(), StatusCode::kDataLoss);
  EXPECT_THAT(read.message(),
              AllOf(HasSubstr(file->path()), HasSubstr("'b'"), HasSubstr("truncated")));
  const Status changed = file->check_unchanged();
  EXPECT_EQ(changed.code(), StatusCode::kDataLoss);
  EXPECT_THAT(changed.message(),
              HasSubstr(fmt::format("expected {} bytes, found {}", before, before - 5)));
}

TEST_F(SafetensorsFileTest, GrowthAfterOpeningIsDataLoss) {
  const auto file = SafetensorsFile::open(sound());
  ASSERT_TRUE(file.ok());
  std::ofstream(file->path(), std::ios::app) << "more";
  EXPECT_EQ(file->check_unchanged().code(), StatusCode::kDataLoss);
}

TEST_F(SafetensorsFileTest, OverwritingInPlaceIsDataLoss) {
  const auto file = SafetensorsFile::open(sound());
  ASSERT_TRUE(file.ok());
  // File times move in steps of a few milliseconds, so the same bytes are written until the step
  // shows.
  EXPECT_TRUE(support::wait_until([&] {
    std::fstream out(file->path(), std::ios::in | std::ios::out | std::ios::binary);
    out.seekp(-4, std::ios::end);
    out << "abcd";
    out.close();
    return file->check_unchanged().code() == StatusCode::kDataLoss;
  }));
}

TEST_F(SafetensorsFileTest, AMovedFromFileLetsGoOfItsDescriptor) {
  auto file = SafetensorsFile::open(sound());
  ASSERT_TRUE(file.ok());
  SafetensorsFile second = std::move(*file);
  EXPECT_TRUE(second.check_unchanged().ok());
  auto third = SafetensorsFile::open(sound());
  ASSERT_TRUE(third.ok());
  second = std::move(*third);
  EXPECT_TRUE(second.check_unchanged().ok());
}

}  // namespace
}  // namespace luna::worker
