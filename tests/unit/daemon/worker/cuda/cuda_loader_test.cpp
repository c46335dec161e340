#include <filesystem>

#include <gmock/gmock.h>

#include "daemon/worker/cuda/cuda_backend.h"
#include "tests/support/temp_dir.h"

namespace luna::worker {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(CudaIndex, IsTheNumberOfTheDevice) {
  EXPECT_EQ(*cuda_index("cuda:3"), 3);
  EXPECT_EQ(*cuda_index("cuda"), 0);
  for (const char* bad : {"", "cuda:", "cuda:-1", "cuda:x", "cuda:1x", "cuda:64", "gpu:0"}) {
    EXPECT_EQ(cuda_index(bad).status().code(), StatusCode::kInvalidArgument) << bad;
  }
}

TEST(OpenCuda, SaysThatTheModuleIsAbsent) {
  const auto backend = open_cuda(0, "/nowhere/libluna_cuda.so");
  EXPECT_EQ(backend.status().code(), StatusCode::kNotFound);
  EXPECT_THAT(backend.status().message(),
              AllOf(HasSubstr("cuda:0"), HasSubstr("/nowhere/libluna_cuda.so")));
}

TEST(OpenCuda, SaysWhyAFileCannotBeLoaded) {
  const support::TempDir dir;
  const auto backend = open_cuda(0, dir.write("libluna_cuda.so", "no library"));
  EXPECT_EQ(backend.status().code(), StatusCode::kNotFound);
  EXPECT_THAT(backend.status().message(), HasSubstr("cannot be loaded"));
}

TEST(OpenCuda, WithoutADriverOrItsLibrariesTheReasonIsAStatus) {
  const std::string module = std::string(LUNA_BINARY_DIR) + "/bin/libluna_cuda.so";
  if (std::filesystem::exists("/dev/nvidiactl")) GTEST_SKIP() << "this machine has a driver";
  if (!std::filesystem::exists(module)) GTEST_SKIP() << module << " was not built";
  const Status status = open_cuda(0, module).status();
  EXPECT_THAT(status.code(),
              testing::AnyOf(StatusCode::kFailedPrecondition, StatusCode::kNotFound));
  EXPECT_FALSE(status.message().empty());
}

}  // namespace
}  // namespace luna::worker
