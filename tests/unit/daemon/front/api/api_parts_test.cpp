#include <cstring>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/front/api/api_context.h"
#include "daemon/front/api/call_metadata.h"
#include "daemon/front/api/grpc_status.h"
#include "daemon/front/api/unix_listener.h"
#include "tests/support/temp_dir.h"

namespace luna::front {
namespace {

using testing::HasSubstr;

TEST(Gate, RefusesNewCallsOnceItIsClosed) {
  Gate gate;
  EXPECT_TRUE(gate.enter().ok());
  gate.close();
  EXPECT_TRUE(gate.closed());
  EXPECT_EQ(gate.enter().status().code(), StatusCode::kUnavailable);
}

TEST(Gate, WaitsForCallsThatRunAndForLateOnes) {
  Gate gate;
  auto running = std::move(*gate.enter());
  gate.close();
  EXPECT_FALSE(gate.wait_idle(Deadline::after(std::chrono::milliseconds(1))));
  auto late = gate.enter_late();
  running.release();
  EXPECT_FALSE(gate.wait_idle(Deadline::after(std::chrono::milliseconds(1))));
  std::thread other([ticket = std::move(late)]() mutable { ticket.release(); });
  EXPECT_TRUE(gate.wait_idle(Deadline()));
  other.join();
}

TEST(Gate, ATicketThatWasMovedCountsOnce) {
  Gate gate;
  {
    auto first = std::move(*gate.enter());
    Gate::Ticket second = std::move(first);
    first = std::move(second);
  }
  EXPECT_TRUE(gate.wait_idle(Deadline::after(std::chrono::nanoseconds(0))));
}

TEST(CallMetadata, IdsAreShortAndPlain) {
  EXPECT_TRUE(check_id("luna-workflow-id", "").ok());
  EXPECT_TRUE(check_id("luna-workflow-id", "My.flow_1:a-b").ok());
  EXPECT_TRUE(check_id("luna-workflow-id", std::string(128, 'a')).ok());
  EXPECT_THAT(check_id("luna-workflow-id", std::string(129, 'a')).message(),
              HasSubstr("luna-workflow-id has 129 characters; at most 128"));
  EXPECT_THAT(check_id("luna-session-id", "ab c").message(), HasSubstr("byte 0x20 at position 2"));
}

TEST(CallMetadata, PrioritiesHaveNames) {
  EXPECT_EQ(*priority_of(""), Priority::kNormal);
  EXPECT_EQ(*priority_of("interactive"), Priority::kInteractive);
  EXPECT_EQ(*priority_of("bulk"), Priority::kBulk);
  EXPECT_EQ(priority_of("Bulk").status().code(), StatusCode::kInvalidArgument);
}

TEST(CallMetadata, ResultsStayOnTheGpuOnlyWhereTheCallSaysSo) {
  EXPECT_FALSE(*cuda_results_of(""));
  EXPECT_FALSE(*cuda_results_of("host"));
  EXPECT_TRUE(*cuda_results_of("cuda"));
  EXPECT_EQ(cuda_results_of("gpu").status().message(),
            "metadata luna-results: expected host or cuda, found 'gpu'");
}

TEST(GrpcStatus, KeepsCodeAndSentenceAndFitsATrailer) {
  const grpc::Status status = to_grpc(Status(StatusCode::kDataLoss, "tensor t1 is gone"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DATA_LOSS);
  EXPECT_EQ(status.error_message(), "tensor t1 is gone");
  EXPECT_TRUE(to_grpc(Status()).ok());
  const grpc::Status vast = to_grpc(Status(StatusCode::kInternal, std::string(1 << 20, 'x')));
  EXPECT_LE(vast.error_message().size(), 2048u);
}

TEST(InlineSize, IsCountedForEachTensorAndForAll) {
  Config::Limits limits;
  limits.inline_bytes = 16;
  limits.message_bytes = 40;
  const TensorRef four = tensor_of({4}, std::vector<float>(4));
  const TensorRef five = tensor_of({5}, std::vector<float>(5));
  JobReply fits = DenoiseReply{{four, four}};
  EXPECT_TRUE(check_inline_size(fits, limits).ok());
  JobReply one_too_large = DenoiseReply{{four, five}};
  EXPECT_EQ(check_inline_size(one_too_large, limits).code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(check_inline_size(one_too_large, limits).message(), HasSubstr("denoised[1]"));
  JobReply too_many = DenoiseReply{{four, four, four}};
  EXPECT_THAT(check_inline_size(too_many, limits).message(), HasSubstr("48 bytes together"));
}

/// A socket bound at a path, listening or not.
class BoundSocket {
 public:
  BoundSocket(const std::string& path, bool listening) : fd_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
    EXPECT_EQ(::bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    if (listening) {
      EXPECT_EQ(::listen(fd_, 1), 0);
    }
  }
  ~BoundSocket() { ::close(fd_); }

 private:
  int fd_;
};

TEST(SocketPath, ASocketThatSomebodyServesIsLeftAlone) {
  const support::TempDir folder;
  const BoundSocket socket(folder.file("s"), true);
  const Status status = prepare_socket_path(folder.file("s"));
  EXPECT_EQ(status.code(), StatusCode::kAlreadyExists);
  EXPECT_THAT(status.message(), HasSubstr("another lunad listens"));
}

TEST(SocketPath, AStaleSocketIsRemoved) {
  const support::TempDir folder;
  {
    const BoundSocket socket(folder.file("s"), true);
  }
  EXPECT_TRUE(prepare_socket_path(folder.file("s")).ok());
  EXPECT_NE(::access(folder.file("s").c_str(), F_OK), 0);
}

TEST(SocketPath, AFileThatIsNoSocketIsNeverRemoved) {
  const support::TempDir folder;
  const std::string path = folder.write("s", "precious");
  EXPECT_EQ(prepare_socket_path(path).code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(support::read_file(path), "precious");
}

TEST(SocketPath, ItsFolderIsMadeForTheUserAlone) {
  const support::TempDir folder;
  ASSERT_TRUE(prepare_socket_path(folder.file("run/luna/s")).ok());
  struct stat info{};
  ASSERT_EQ(::stat(folder.file("run/luna").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
}

TEST(SocketPath, OneThatIsTooLongIsRefused) {
  const Status status = prepare_socket_path("/tmp/" + std::string(200, 'x'));
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("1 to 107 bytes, found 205"));
}

}  // namespace
}  // namespace luna::front
