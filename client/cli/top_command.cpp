#include <cmath>
#include <ctime>
#include <optional>
#include <sstream>

#include "client/cli/command.h"
#include "client/cli/info_json.h"
#include "client/cli/live_screen.h"
#include "client/cli/status_view.h"

namespace luna::client {
namespace {

struct TopFlags {
  CommonFlags common;
  double interval_seconds = 1.0;
  bool once = false;

  std::chrono::milliseconds interval() const {
    return std::chrono::milliseconds(std::llround(interval_seconds * 1000));
  }
};

/// What one look at the daemon found.
struct Look {
  StatusInfo status;
  std::optional<StatusRates> rates;
};

class Top {
 public:
  Top(const Console& console, const TopFlags& flags, Client& client)
      : console_(console), flags_(flags), client_(client) {}

  /// The first look that has rates, an interval later; a stop ends it.
  Status once() {
    LUNA_ASSIGN_OR_RETURN(const std::optional<Look> found, look_with_rates());
    if (!found) return stopped();
    if (flags_.common.json) {
      print_json_line(*found);
    } else {
      print_status(*console_.out, found->status, address(), &*found->rates);
    }
    return {};
  }

  /// A line for each look.
  Status lines() {
    while (true) {
      LUNA_ASSIGN_OR_RETURN(const std::optional<Look> found, look_with_rates());
      if (!found) return stopped();
      if (flags_.common.json) {
        print_json_line(*found);
      } else {
        *console_.out << status_line(found->status, *found->rates,
                                     static_cast<double>(std::time(nullptr)))
                      << std::endl;
      }
      if (!console_.out->good()) return {};  // nobody reads on
    }
  }

  Status live() {
    console_.on_stoppable();
    LiveScreen screen(console_.terminal, console_.out);
    while (true) {
      LUNA_ASSIGN_OR_RETURN(const Look found, look());
      std::ostringstream text;
      print_status(text, found.status, address(), found.rates ? &*found.rates : nullptr);
      screen.show(text.str());
      if (screen.wait(flags_.interval(), console_.stop) == LiveScreen::End::kQuit) {
        return console_.stop.stop_requested() ? stopped() : Status();
      }
    }
  }

 private:
  const std::string& address() const { return client_.connection().address; }
  static Status stopped() { return error(StatusCode::kCancelled, "interrupted"); }

  Result<Look> look() {
    LUNA_ASSIGN_OR_RETURN(StatusInfo status, client_.admin().status());
    std::optional<StatusRates> rates = meter_.update(status);
    return Look{std::move(status), std::move(rates)};
  }

  /// nullopt: stopped.
  Result<std::optional<Look>> look_with_rates() {
    if (!begun_) LUNA_RETURN_IF_ERROR(look().status());
    begun_ = true;
    while (sleep_unless_stopped(flags_.interval(), console_.stop)) {
      LUNA_ASSIGN_OR_RETURN(Look found, look());
      if (found.rates) return std::optional(std::move(found));
    }
    return std::optional<Look>();
  }

  void print_json_line(const Look& found) {
    nlohmann::json object = to_json(found.status);
    object["address"] = address();
    object["rates"] = to_json(*found.rates);
    *console_.out << object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)
                  << std::endl;
  }

  const Console& console_;
  const TopFlags& flags_;
  Client& client_;
  RateMeter meter_;
  bool begun_ = false;
};

}  // namespace

void add_top_command(CLI::App* app, const Console& console, Action* action) {
  CLI::App* command = app->add_subcommand("top", "The status again and again, with rates");
  const auto flags = std::make_shared<TopFlags>();
  command
      ->add_option("--interval", flags->interval_seconds,
                   "Seconds between two looks, 0.1 to 3600 (default: 1)")
      ->check(CLI::Range(0.1, 3600.0));
  command->add_flag("--once", flags->once, "One look, an interval after the start, and end");
  add_common_flags(command, &flags->common);
  command->footer(
      "On a terminal the view is drawn anew each time; q or Ctrl-C ends it. Elsewhere it is a "
      "line\n"
      "each time, with --json an object a line. Rates are those since the look before. Starts no\n"
      "daemon.\nExamples:\n  luna top\n  luna top --interval 10 >> luna.log\n"
      "  luna top --once --json | jq .rates");
  command->callback([flags, &console, action] {
    *action = [flags, &console] {
      return with_client(console, flags->common, false, [&](Client& client) -> Status {
        Top top(console, *flags, client);
        if (flags->once) return top.once();
        const bool live = console.out_is_terminal && console.terminal >= 0 && !flags->common.json;
        return live ? top.live() : top.lines();
      });
    };
  });
}

}  // namespace luna::client
