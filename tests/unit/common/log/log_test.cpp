#include "common/log/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"

namespace luna::log {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(Log, LinesNameProcessModuleAndFields) {
  const support::TempDir folder;
  spdlog::logger& early = logger("made_before_init");
  ASSERT_TRUE(init("info", folder.file("log"), "luna-worker").ok());
  early.info("{} {}: began", field(JobId{17}), field(WorkerId{2}));
  early.flush();
  EXPECT_THAT(
      support::read_file(folder.file("log")),
      AllOf(HasSubstr("luna-worker["), HasSubstr("made_before_init: job=17 worker=2: began")));
}

TEST(Log, LinesBelowTheLevelAreDroppedInEveryModule) {
  const support::TempDir folder;
  spdlog::logger& one = logger("one");
  ASSERT_TRUE(init("warn", folder.file("log"), "lunad").ok());
  one.info("quiet");
  logger("two").info("quiet");
  one.warn("loud");
  EXPECT_THAT(support::read_file(folder.file("log")),
              AllOf(HasSubstr("loud"), Not(HasSubstr("quiet"))));
}

TEST(Log, AModuleHasOneLogger) { EXPECT_EQ(&logger("ipc"), &logger("ipc")); }

TEST(Log, AnUnknownLevelAndAFileThatCannotBeMadeAreRefused) {
  EXPECT_EQ(init("loud", "", "lunad").code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(init("loud", "", "lunad").message(), HasSubstr("'loud'"));
  EXPECT_EQ(init("info", "/proc/no/such/folder/log", "lunad").code(),
            StatusCode::kPermissionDenied);
}

}  // namespace
}  // namespace luna::log
