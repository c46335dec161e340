#include "daemon/worker/engine/inbox.h"

#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "common/local/socket.h"

namespace luna::worker {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

Deadline at_once() { return Deadline::after(std::chrono::nanoseconds(0)); }

class InboxTest : public testing::Test {
 protected:
  void note(const std::string& what) { seen_.push_back(what); }
  void take(Deadline until = at_once()) {
    for (Inbox::Call& call : inbox_.take(until)) call();
  }
  static void say(const UniqueFd& socket) { ASSERT_EQ(::send(socket.get(), "x", 1, 0), 1); }

  Inbox inbox_;
  std::vector<std::string> seen_;
  std::pair<UniqueFd, UniqueFd> sockets_ = socket_pair().value();
};

TEST_F(InboxTest, GivesWhatWasPostedInItsOrder) {
  inbox_.post([&] { note("first"); });
  inbox_.post([&] { note("second"); });
  take(Deadline());
  EXPECT_THAT(seen_, ElementsAre("first", "second"));
  EXPECT_THAT(inbox_.take(at_once()), IsEmpty());
}

TEST_F(InboxTest, WakesForACallThatComesWhileItWaits) {
  std::thread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    inbox_.post([&] { note("late"); });
  });
  take(Deadline());
  other.join();
  EXPECT_THAT(seen_, ElementsAre("late"));
}

TEST_F(InboxTest, ReturnsWithNothingWhenTheTimeIsOver) {
  inbox_.watch(sockets_.first.get(), POLLIN, [&] { note("never"); });
  EXPECT_THAT(inbox_.take(Deadline::after(std::chrono::milliseconds(5))), IsEmpty());
}

TEST_F(InboxTest, WakesForADescriptorThatCanBeReadUntilItIsRead) {
  inbox_.watch(sockets_.first.get(), POLLIN, [&] { note("readable"); });
  take();
  EXPECT_THAT(seen_, IsEmpty());
  say(sockets_.second);
  take(Deadline());
  take(Deadline());
  EXPECT_THAT(seen_, ElementsAre("readable", "readable")) << "as long as nobody reads";
  char byte = 0;
  ASSERT_EQ(::recv(sockets_.first.get(), &byte, 1, 0), 1);
  take();
  EXPECT_THAT(seen_, SizeIs(2));
}

TEST_F(InboxTest, WakesForAPeersEndAndLooksAtNothingThatIsNoLongerWatched) {
  inbox_.watch(sockets_.first.get(), POLLIN, [&] { note("ended"); });
  sockets_.second.reset();
  take(Deadline());
  EXPECT_THAT(seen_, ElementsAre("ended"));
  inbox_.unwatch(sockets_.first.get());
  EXPECT_THAT(inbox_.take(at_once()), IsEmpty());
}

TEST_F(InboxTest, ACallThatStopsTheWatchingIsTheLastOne) {
  inbox_.watch(sockets_.first.get(), POLLIN, [&] { note("unwatched too late"); });
  say(sockets_.second);
  inbox_.post([&] { inbox_.unwatch(sockets_.first.get()); });
  take();
  EXPECT_THAT(seen_, IsEmpty());
}

TEST_F(InboxTest, PostedCallsAloneCanBeTakenSoThatNobodyWhoTalksHoldsUpTheWork) {
  inbox_.watch(sockets_.first.get(), POLLIN, [&] { note("readable"); });
  say(sockets_.second);
  inbox_.post([&] { note("posted"); });
  for (Inbox::Call& call : inbox_.take_posted()) call();
  EXPECT_THAT(inbox_.take_posted(), IsEmpty());
  EXPECT_THAT(seen_, ElementsAre("posted"));
}

}  // namespace
}  // namespace luna::worker
