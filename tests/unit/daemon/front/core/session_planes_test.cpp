#include "daemon/front/core/session_planes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace luna::front {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Planes : public testing::Test {
 protected:
  Planes() { planes_.serve("/run/lunad.sock.local"); }
  std::string token_of(const std::string& session) {
    planes_.begin(session, "client " + session, "this host", now_);
    const auto offer = planes_.offer(session);
    EXPECT_TRUE(offer);
    return offer ? offer->token : "";
  }

  TimePoint now_ = TimePoint(std::chrono::hours(1));
  SessionPlanes planes_{"this host"};
};

TEST_F(Planes, OneThatProvesThatItSharesMemoryHasThePlane) {
  const std::string token = token_of("a");
  EXPECT_THAT(planes_.planes("a"), ElementsAre("inline"));
  EXPECT_EQ(*planes_.claim(token, {}), "a");
  EXPECT_FALSE(planes_.has_shm("a")) << "to come is not enough";
  ASSERT_TRUE(planes_.prove("a").ok());
  EXPECT_THAT(planes_.planes("a"), ElementsAre("shm", "inline"));
  EXPECT_EQ(planes_.reason("a"), "");
}

TEST_F(Planes, OnlyClientsOfThisHostAreOfferedTheSocket) {
  planes_.begin("far", "", "another host", now_);
  planes_.begin("mute", "", "", now_);
  EXPECT_FALSE(planes_.offer("far"));
  EXPECT_FALSE(planes_.offer("mute"));
  EXPECT_THAT(planes_.reason("far"), HasSubstr("another host"));
  EXPECT_THAT(planes_.reason("mute"), HasSubstr("does not say"));
}

TEST_F(Planes, AHostWithoutAnIdOffersNothing) {
  SessionPlanes planes("");
  planes.serve("/run/x");
  planes.begin("a", "", "", now_);
  EXPECT_FALSE(planes.offer("a"));
}

TEST_F(Planes, ATokenIsGoodForOneConnectionAndDiesWithItsSession) {
  const std::string token = token_of("a");
  ASSERT_TRUE(planes_.claim(token, {}).ok());
  EXPECT_EQ(planes_.claim(token, {}).status().code(), StatusCode::kPermissionDenied);
  const std::string unused = token_of("b");
  planes_.end("b");
  EXPECT_EQ(planes_.claim(unused, {}).status().code(), StatusCode::kPermissionDenied);
  EXPECT_EQ(planes_.claim("", {}).status().code(), StatusCode::kPermissionDenied);
}

TEST_F(Planes, TheSocketIsToldOfTheSessionsEnd) {
  bool told = false;
  ASSERT_TRUE(planes_.claim(token_of("a"), [&] { told = true; }).ok());
  planes_.end("a").on_end();
  EXPECT_TRUE(told);
  EXPECT_EQ(planes_.prove("a").code(), StatusCode::kNotFound);
}

TEST_F(Planes, AFallbackIsToldOnceAndWithItsReason) {
  planes_.begin("far", "remote", "another host", now_);
  token_of("late");
  EXPECT_THAT(planes_.fallbacks(now_),
              ElementsAre(HasSubstr("'remote' sends its tensors inside the calls: the client is")));
  EXPECT_THAT(planes_.fallbacks(now_), IsEmpty());
  now_ += SessionPlanes::kTimeToCome;
  EXPECT_THAT(planes_.fallbacks(now_), ElementsAre(HasSubstr("not come to the local socket")));
  EXPECT_THAT(planes_.fallbacks(now_), IsEmpty());
}

TEST_F(Planes, AFallbackOfAShortSessionIsToldAtItsEnd) {
  token_of("a");
  EXPECT_THAT(planes_.end("a").fallback, HasSubstr("'client a'"));
  ASSERT_TRUE(planes_.claim(token_of("b"), {}).ok());
  ASSERT_TRUE(planes_.prove("b").ok());
  EXPECT_EQ(planes_.end("b").fallback, "");
}

TEST_F(Planes, OnceThePlaneIsLostItIsGoneForThisSession) {
  ASSERT_TRUE(planes_.claim(token_of("a"), {}).ok());
  ASSERT_TRUE(planes_.prove("a").ok());
  planes_.lose("a", "its local socket has ended");
  EXPECT_FALSE(planes_.has_shm("a"));
  EXPECT_THAT(planes_.fallbacks(now_), ElementsAre(HasSubstr("local socket has ended")));
}

TEST_F(Planes, ADaemonWithoutTheSocketSaysSo) {
  planes_.stop("no room for the socket");
  planes_.begin("a", "", "this host", now_);
  EXPECT_FALSE(planes_.offer("a"));
  EXPECT_EQ(planes_.reason("a"), "no room for the socket");
}

}  // namespace
}  // namespace luna::front
