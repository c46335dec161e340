#include <fcntl.h>
#include <gmock/gmock.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "client/cli/live_screen.h"
#include "common/base/unique_fd.h"
#include "tests/unit/client/cli/command_fixture.h"

namespace luna::client {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

/// Each status that is asked for is a second and ten forwards after the one before.
class AgeingService : public FakeService {
 public:
  Result<StatusInfo> status() override {
    if (++asked > answers) return error(StatusCode::kUnavailable, "the daemon is gone");
    if (on_status) on_status(asked);
    StatusInfo status;
    status.version = "0.1.0";
    status.uptime_seconds = 100 + asked;
    status.jobs.done = static_cast<std::uint64_t>(2 * asked);
    WorkerInfo& worker = status.workers.emplace_back();
    worker.id = WorkerId{1};
    worker.pid = 7;
    worker.state = "ready";
    ForwardCounters& unet = worker.report.forwards["unet"];
    unet.forwards = static_cast<std::uint64_t>(10 * asked);
    unet.rows = static_cast<std::uint64_t>(40 * asked);
    unet.seconds_on_device = 0.5 * asked;
    return status;
  }
  int asked = 0;
  int answers = 1000;
  std::function<void(int)> on_status;
};

class TopCommand : public CommandFixture {
 protected:
  TopCommand() {
    fake_ = ageing_;
    console_.stop = stop_.get_token();
  }
  std::shared_ptr<AgeingService> ageing_ = std::make_shared<AgeingService>();
  std::stop_source stop_;
};

TEST_F(TopCommand, OnceAsJsonIsOneLineWithTheStatusAndItsRates) {
  ASSERT_EQ(luna({"top", "--once", "--json", "--interval", "0.1"}), 0);
  EXPECT_EQ(std::ranges::count(out_.str(), '\n'), 1);
  const auto object = json_out();
  EXPECT_EQ(object["version"], "0.1.0");
  EXPECT_EQ(object["address"], "unix:/run/luna.sock");
  EXPECT_DOUBLE_EQ(object["rates"]["forwards_per_second"], 10);
  EXPECT_DOUBLE_EQ(object["rates"]["rows_per_second"], 40);
  EXPECT_DOUBLE_EQ(object["rates"]["jobs_per_second"], 2);
  EXPECT_DOUBLE_EQ(object["rates"]["busy"], 0.5);
  EXPECT_EQ(object["rates"]["workers"][0]["id"], 1);
  EXPECT_FALSE(options_.start_daemon);
}

TEST_F(TopCommand, OnceShowsWhatStatusShowsAndTheRates) {
  ASSERT_EQ(luna({"top", "--once", "--interval", "0.1"}), 0);
  EXPECT_TRUE(out_has("lunad 0.1.0 at unix:/run/luna.sock"));
  EXPECT_TRUE(out_has("now: 2.0 jobs/s, 10.0 forwards/s, 40.0 rows/s, devices 50 % busy"));
  EXPECT_TRUE(out_has("BUSY"));
  EXPECT_THAT(out_.str(), Not(HasSubstr("\x1b")));
}

TEST_F(TopCommand, WithoutATerminalItIsALineEachTimeUntilTheDaemonIsGone) {
  ageing_->answers = 3;
  EXPECT_EQ(luna({"top", "--interval", "0.1"}), kExitUnreachable);
  EXPECT_EQ(std::ranges::count(out_.str(), '\n'), 2);
  EXPECT_TRUE(out_has("2.0 jobs/s, 10.0 forwards/s, 40.0 rows/s, 50 % busy, 1 of 1 workers ready"));
  EXPECT_THAT(out_.str(), Not(HasSubstr("\x1b")));
  EXPECT_TRUE(err_has("the daemon is gone"));
}

TEST_F(TopCommand, AsJsonEveryLineIsAnObject) {
  ageing_->answers = 4;
  EXPECT_EQ(luna({"top", "--json", "--interval", "0.1"}), kExitUnreachable);
  std::istringstream lines(out_.str());
  std::string line;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(std::getline(lines, line));
    EXPECT_EQ(nlohmann::json::parse(line)["jobs"]["done"], 2 * (i + 2));
  }
}

TEST_F(TopCommand, AStopEndsItAsInterrupted) {
  ageing_->on_status = [this](int) { stop_.request_stop(); };
  EXPECT_EQ(luna({"top", "--interval", "3600"}), kExitInterrupted) << "the first wait is cut short";
}

TEST_F(TopCommand, AnIntervalOutOfRangeIsWrongUse) {
  EXPECT_EQ(luna({"top", "--interval", "0"}), 2);
  EXPECT_EQ(luna({"top", "--interval", "4000"}), 2);
}

/// A terminal whose other end the test holds.
class OnATerminal : public TopCommand {
 protected:
  void SetUp() override {
    keyboard_ = UniqueFd(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
    ASSERT_EQ(::grantpt(keyboard_.get()), 0);
    ASSERT_EQ(::unlockpt(keyboard_.get()), 0);
    terminal_ = UniqueFd(::open(::ptsname(keyboard_.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
    ASSERT_TRUE(terminal_);
    const winsize size{.ws_row = 4, .ws_col = 30, .ws_xpixel = 0, .ws_ypixel = 0};
    ASSERT_EQ(::ioctl(terminal_.get(), TIOCSWINSZ, &size), 0);
    console_.out_is_terminal = true;
    console_.terminal = terminal_.get();
    console_.on_stoppable = [this] { ++stoppable_; };
  }
  void press(char key) { ASSERT_EQ(::write(keyboard_.get(), &key, 1), 1); }
  tcflag_t local_modes() const {
    termios modes{};
    EXPECT_EQ(::tcgetattr(terminal_.get(), &modes), 0);
    return modes.c_lflag;
  }
  void press_at_look(int look, char key) {
    ageing_->on_status = [this, look, key](int asked) {
      if (asked != look) return;
      modes_meanwhile_ = local_modes();
      press(key);
    };
  }
  UniqueFd keyboard_, terminal_;
  int stoppable_ = 0;
  tcflag_t modes_meanwhile_ = 0;
};

TEST_F(OnATerminal, TheViewIsDrawnAnewUntilQAndTheTerminalIsAsBefore) {
  const tcflag_t before = local_modes();
  press_at_look(2, 'q');
  EXPECT_EQ(luna({"top", "--interval", "0.1"}), 0);
  EXPECT_EQ(ageing_->asked, 2);
  EXPECT_EQ(modes_meanwhile_ & (ICANON | ECHO | ISIG), 0u);
  EXPECT_EQ(local_modes(), before);
  EXPECT_THAT(out_.str(), StartsWith("\x1b[?1049h\x1b[?25l\x1b[H"));
  EXPECT_THAT(out_.str(), HasSubstr("now: 2.0 jobs/s, 10.0 forwards\x1b[K\r\n"));
  EXPECT_THAT(out_.str(), EndsWith("\x1b[?25h\x1b[?1049l"));
}

TEST_F(OnATerminal, CtrlCEndsItToo) {
  press_at_look(1, 3);
  EXPECT_EQ(luna({"top", "--interval", "3600"}), 0) << "a key is not waited for";
}

TEST_F(OnATerminal, OtherKeysAreIgnored) {
  ageing_->on_status = [this](int asked) {
    if (asked == 1) press('x');
    if (asked == 2) press('q');
  };
  EXPECT_EQ(luna({"top", "--interval", "0.1"}), 0);
  EXPECT_EQ(ageing_->asked, 2);
}

TEST_F(OnATerminal, ASignalOrAnErrorRestoresTheTerminal) {
  const tcflag_t before = local_modes();
  ageing_->on_status = [this](int) { stop_.request_stop(); };
  EXPECT_EQ(luna({"top"}), kExitInterrupted);
  EXPECT_EQ(stoppable_, 1);
  EXPECT_EQ(local_modes(), before);
  EXPECT_THAT(out_.str(), EndsWith("\x1b[?1049l"));

  stop_ = std::stop_source();
  console_.stop = stop_.get_token();
  ageing_->on_status = nullptr;
  ageing_->answers = ageing_->asked + 1;
  EXPECT_EQ(luna({"top", "--interval", "0.1"}), kExitUnreachable);
  EXPECT_EQ(local_modes(), before);
}

TEST_F(OnATerminal, JsonStaysJson) {
  ageing_->answers = 2;
  luna({"top", "--json", "--interval", "0.1"});
  EXPECT_THAT(out_.str(), Not(HasSubstr("\x1b")));
}

TEST(Fitted, TextKeepsWithinTheTerminal) {
  EXPECT_EQ(fitted("one\ntwo\nthree\n", 80, 24), "one\r\ntwo\r\nthree");
  EXPECT_EQ(fitted("one\ntwo\nthree\n", 80, 2), "one\r\ntwo");
  EXPECT_EQ(fitted("abcdef\nxy", 3, 24), "abc\r\nxy");
  EXPECT_EQ(fitted("äöüß", 2, 1), "äö") << "characters are counted, not bytes";
  EXPECT_EQ(fitted("a\x1b[2Jb", 80, 1), "a?[2Jb") << "names cannot steer the terminal";
}

}  // namespace
}  // namespace luna::client
