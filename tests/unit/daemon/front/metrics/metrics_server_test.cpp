#include "daemon/front/metrics/metrics_server.h"

#include <atomic>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/http_get.h"

namespace luna::front {
namespace {

using support::http_get;
using support::HttpReply;
using testing::AllOf;
using testing::HasSubstr;

MetricsServer::StatusSource counting_source(std::atomic<int>& asked) {
  return [&asked] {
    StatusInfo status;
    status.sessions = static_cast<std::uint32_t>(++asked);
    return status;
  };
}

TEST(MetricsServer, AsksForTheStatusAtEveryScrapeAndNeverElse) {
  std::atomic<int> asked = 0;
  const auto server = MetricsServer::start("127.0.0.1:0", counting_source(asked));
  ASSERT_TRUE(server.ok()) << server.status().to_string();
  EXPECT_EQ(asked, 0);
  for (const char* sessions : {"luna_sessions 1\n", "luna_sessions 2\n"}) {
    const HttpReply reply = http_get((*server)->port(), "/metrics");
    EXPECT_EQ(reply.status, 200);
    EXPECT_THAT(reply.body, HasSubstr(sessions));
  }
}

TEST(MetricsServer, ServesNothingElse) {
  std::atomic<int> asked = 0;
  const auto server = MetricsServer::start("127.0.0.1:0", counting_source(asked));
  ASSERT_TRUE(server.ok());
  EXPECT_EQ(http_get((*server)->port(), "/").status, 404);
  EXPECT_EQ(http_get((*server)->port(), "/etc/passwd").status, 404);
  EXPECT_EQ(asked, 0);
}

TEST(MetricsServer, ItsEndFreesTheAddress) {
  std::atomic<int> asked = 0;
  auto first = MetricsServer::start("127.0.0.1:0", counting_source(asked));
  ASSERT_TRUE(first.ok());
  const int port = (*first)->port();
  first->reset();
  EXPECT_EQ(http_get(port, "/metrics").status, 0);
  EXPECT_TRUE(MetricsServer::start(fmt::format("127.0.0.1:{}", port), counting_source(asked)).ok());
}

TEST(MetricsServer, ATakenAddressIsNamed) {
  std::atomic<int> asked = 0;
  const auto first = MetricsServer::start("127.0.0.1:0", counting_source(asked));
  ASSERT_TRUE(first.ok());
  const std::string taken = fmt::format("127.0.0.1:{}", (*first)->port());
  const auto second = MetricsServer::start(taken, counting_source(asked));
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(second.status().message(), AllOf(HasSubstr(taken), HasSubstr("[metrics] listen")));
}

TEST(MetricsServer, TakesOneHostAndOnePortAndNothingElse) {
  std::atomic<int> asked = 0;
  for (const char* listen : {"50552", ":50552", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:65536",
                             "127.0.0.1:-1", "127.0.0.1:0,127.0.0.1:0", "127.0.0.1:50552s"}) {
    const auto server = MetricsServer::start(listen, counting_source(asked));
    ASSERT_FALSE(server.ok()) << listen;
    EXPECT_EQ(server.status().code(), StatusCode::kInvalidArgument) << listen;
    EXPECT_THAT(server.status().message(), HasSubstr(listen));
  }
}

}  // namespace
}  // namespace luna::front
