#include "daemon/front/command_line.h"

#include <iostream>
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include "common/config/version.h"
#include "tests/unit/daemon/front/own_environment.h"

namespace luna::front {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class CommandLine : public OwnEnvironment {
 protected:
  /// What lunad makes of these arguments; what it wrote is in out_ and err_.
  std::variant<Config, ExitCode> read(const std::vector<std::string>& arguments) {
    std::vector<const char*> argv = {"lunad"};
    for (const std::string& argument : arguments) argv.push_back(argument.c_str());
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    std::variant<Config, ExitCode> asked =
        read_command_line(static_cast<int>(argv.size()), argv.data());
    std::cout.flush();
    out_ = testing::internal::GetCapturedStdout();
    err_ = testing::internal::GetCapturedStderr();
    return asked;
  }

  Config config_of(const std::vector<std::string>& arguments) {
    std::variant<Config, ExitCode> asked = read(arguments);
    if (Config* config = std::get_if<Config>(&asked)) return *std::move(config);
    ADD_FAILURE() << "ended with " << static_cast<int>(std::get<ExitCode>(asked)) << ": " << err_;
    return {};
  }

  /// The message with which these arguments are refused as wrong use.
  std::string refusal_of(const std::vector<std::string>& arguments) {
    const std::variant<Config, ExitCode> asked = read(arguments);
    if (!std::holds_alternative<ExitCode>(asked)) return "accepted";
    EXPECT_EQ(std::get<ExitCode>(asked), ExitCode::kWrongUse);
    EXPECT_EQ(out_, "");
    return err_;
  }

  /// What is printed by arguments that ask for nothing more.
  std::string printed_by(const std::vector<std::string>& arguments) {
    const std::variant<Config, ExitCode> asked = read(arguments);
    if (!std::holds_alternative<ExitCode>(asked)) return "accepted";
    EXPECT_EQ(std::get<ExitCode>(asked), ExitCode::kEnded) << err_;
    EXPECT_EQ(err_, "");
    return out_;
  }

  std::string out_, err_;
};

TEST_F(CommandLine, NothingAtAllIsTheDefaults) {
  EXPECT_EQ(to_toml(config_of({})), to_toml(Config{}));
  EXPECT_EQ(out_ + err_, "");
}

TEST_F(CommandLine, WithoutConfigTheFileOfTheSearchPathIsRead) {
  dir_.write(".config/luna/config.toml", "[server]\ndrain_seconds = 7\n");
  EXPECT_EQ(config_of({}).server.drain_seconds, 7u);
}

TEST_F(CommandLine, OptionsWinOverTheFileAndLeaveItsOthersAlone) {
  const std::string file = dir_.write("c.toml", R"(
[server]
unix_socket = "/file.sock"
listen = "127.0.0.1:1"
idle_exit_seconds = 5
drain_seconds = 6
[log]
level = "warn"
file = "/file.log"
)");
  const Config config = config_of({"--config", file, "--address", "unix:/option.sock", "--listen",
                                   "127.0.0.1:2", "--idle-exit", "0", "--log-level", "debug"});
  EXPECT_EQ(config.server.unix_socket, "/option.sock");
  EXPECT_EQ(config.server.listen, "127.0.0.1:2");
  EXPECT_EQ(config.server.idle_exit_seconds, 0u);
  EXPECT_EQ(config.log.level, "debug");
  EXPECT_EQ(config.server.drain_seconds, 6u);
  EXPECT_EQ(config.log.file, "/file.log");
  EXPECT_EQ(config.source, file);

  EXPECT_EQ(to_toml(config_of({"--config", file})), to_toml(*load_config(file)));
}

TEST_F(CommandLine, TheAddressIsAUnixSocketsPathMadeAbsolute) {
  EXPECT_EQ(config_of({"--address", "unix:luna.sock"}).server.unix_socket, dir_.file("luna.sock"));
  EXPECT_THAT(refusal_of({"--address", "127.0.0.1:50551"}),
              AllOf(HasSubstr("unix:PATH"), HasSubstr("'127.0.0.1:50551'"), HasSubstr("--listen")));
  EXPECT_THAT(refusal_of({"--address", "/run/luna.sock"}), HasSubstr("unix:PATH"));
  EXPECT_THAT(refusal_of({"--address", "unix:"}), HasSubstr("'unix:'"));
  EXPECT_THAT(refusal_of({"--address", ""}), HasSubstr("unix:PATH"));
}

TEST_F(CommandLine, ListenNoneIsNoTcp) {
  const std::string file = dir_.write("c.toml", "[server]\nlisten = \"127.0.0.1:1\"\n");
  EXPECT_EQ(config_of({"--config", file, "--listen", "none"}).server.listen, "");
  EXPECT_EQ(config_of({"--listen", "0.0.0.0:80"}).server.listen, "0.0.0.0:80");
}

TEST_F(CommandLine, MetricsNoneIsNoHttp) {
  const std::string file = dir_.write("c.toml", "[metrics]\nlisten = \"127.0.0.1:1\"\n");
  EXPECT_EQ(config_of({"--config", file}).metrics.listen, "127.0.0.1:1");
  EXPECT_EQ(config_of({"--config", file, "--metrics", "none"}).metrics.listen, "");
  EXPECT_EQ(config_of({"--metrics", "127.0.0.1:2"}).metrics.listen, "127.0.0.1:2");
}

TEST_F(CommandLine, ModelRootsAddToThoseOfTheFileInOrderAndAreMadeAbsolute) {
  const std::string file = dir_.write("c.toml", "[models]\nroots = [\"/file\"]\n");
  EXPECT_THAT(config_of({"--config", file, "--model-root", "models", "--model-root", "/a/./b/../c",
                         "--model-root=other"})
                  .models.roots,
              ElementsAre("/file", dir_.file("models"), "/a/c", dir_.file("other")));
}

TEST_F(CommandLine, AModelRootTakesOneFolderOnly) {
  EXPECT_THAT(refusal_of({"--model-root", "/a", "/b"}), HasSubstr("/b"));
}

TEST_F(CommandLine, AnEmptyModelRootIsRefused) {
  EXPECT_THAT(refusal_of({"--model-root", ""}), HasSubstr("--model-root"));
}

TEST_F(CommandLine, WhatIsNoOptionIsWrongUse) {
  EXPECT_THAT(refusal_of({"--adress", "unix:/x"}), HasSubstr("--adress"));
  EXPECT_THAT(refusal_of({"serve"}), HasSubstr("serve"));
  EXPECT_THAT(refusal_of({"--config"}), HasSubstr("--config"));
}

TEST_F(CommandLine, AValueOutOfRangeIsWrongUse) {
  EXPECT_THAT(refusal_of({"--log-level", "loud"}),
              AllOf(HasSubstr("--log-level"), HasSubstr("loud")));
  EXPECT_THAT(refusal_of({"--idle-exit", "soon"}), HasSubstr("--idle-exit"));
  EXPECT_THAT(refusal_of({"--idle-exit", "-1"}), HasSubstr("--idle-exit"));
  EXPECT_THAT(refusal_of({"--idle-exit", "4000000000"}), HasSubstr("--idle-exit"))
      << "more than a file may hold";
}

TEST_F(CommandLine, AWrongFileIsWrongUseAndIsNamed) {
  EXPECT_THAT(refusal_of({"--config", "/nowhere.toml"}),
              AllOf(HasSubstr("lunad: "), HasSubstr("--config"), HasSubstr("/nowhere.toml")));
  const std::string file = dir_.write("c.toml", "[server]\nlissten = \"x\"\n");
  EXPECT_THAT(refusal_of({"--config", file}), AllOf(HasSubstr(file + ":2"), HasSubstr("lissten")));
  EXPECT_THAT(refusal_of({"--config", file, "--print-config"}), HasSubstr(file + ":2"));
  set("LUNA_CONFIG", file);
  EXPECT_THAT(refusal_of({}), HasSubstr(file + ":2"));
}

TEST_F(CommandLine, WhatPrintConfigPrintsReadsBackToTheSame) {
  const std::vector<std::string> arguments = {"--address",    "unix:a \"quoted\".sock",
                                              "--listen",     "none",
                                              "--model-root", "some\\models",
                                              "--model-root", "/more",
                                              "--idle-exit",  "31536000",
                                              "--log-level",  "off"};
  const Config direct = config_of(arguments);
  std::vector<std::string> printing = arguments;
  printing.push_back("--print-config");
  const std::string text = printed_by(printing);
  EXPECT_EQ(text, to_toml(direct));

  const std::string file = dir_.write("printed.toml", text);
  EXPECT_EQ(to_toml(config_of({"--config", file})), text);
  EXPECT_EQ(printed_by({"--config", file, "--print-config"}), text);
}

TEST_F(CommandLine, VersionAndHelpEndWithoutReadingAConfiguration) {
  set("LUNA_CONFIG", "/nowhere.toml");
  EXPECT_EQ(printed_by({"--version"}), std::string(kVersion) + "\n");
  const std::string help = printed_by({"--help"});
  for (const char* option :
       {"--config", "--address", "--listen", "--metrics", "--model-root", "--idle-exit",
        "--log-level", "--print-config", "--version", "Exit codes"}) {
    EXPECT_THAT(help, HasSubstr(option));
  }
}

}  // namespace
}  // namespace luna::front
