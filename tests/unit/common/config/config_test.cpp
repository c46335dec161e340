#include "common/config/config.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "common/config/config_paths.h"

namespace luna {
namespace {

using testing::AllOf;
using testing::HasSubstr;
namespace fs = std::filesystem;

std::string refusal_of(const std::string& text) {
  const Result<Config> config = parse_config(text, "/etc/luna/c.toml");
  if (config.ok()) return "accepted";
  EXPECT_EQ(config.status().code(), StatusCode::kInvalidArgument);
  return config.status().message();
}

TEST(Config, TheFileAtTheTopOfTheTreeHoldsExactlyTheDefaults) {
  const Result<Config> config = load_config(std::string(LUNA_SOURCE_DIR) + "/config.toml");
  ASSERT_TRUE(config.ok()) << config.status().to_string();
  EXPECT_EQ(to_toml(*config), to_toml(Config{}));
}

TEST(Config, TheFileAtTheTopOfTheTreeNamesEveryOption) {
  std::ifstream file(std::string(LUNA_SOURCE_DIR) + "/config.toml");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  std::istringstream lines(to_toml(Config{}));
  for (std::string line; std::getline(lines, line);) EXPECT_THAT(text, HasSubstr(line + "\n"));
}

TEST(Config, WhatIsPrintedReadsBackToTheSame) {
  Config config;
  config.server.listen = "a\"b\\c\n";
  config.models.roots = {"/x", "/y z"};
  config.limits.max_reruns = 7;
  config.pools.push_back({.name = "two", .devices = {"cpu", "cuda:3"}});
  const Result<Config> again = parse_config(to_toml(config), "c.toml");
  ASSERT_TRUE(again.ok()) << again.status().to_string();
  EXPECT_EQ(to_toml(*again), to_toml(config));
}

TEST(Config, AnEmptyFileGivesTheDefaults) {
  const Result<Config> config = parse_config("", "c.toml");
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(to_toml(*config), to_toml(Config{}));
  EXPECT_EQ(config->source, "c.toml");
}

TEST(Config, AnUnknownKeyIsRefusedWithFileLineAndTheNearestName) {
  EXPECT_THAT(refusal_of("[server]\n\nlisten_ = \"\"\n"),
              AllOf(HasSubstr("/etc/luna/c.toml:3"), HasSubstr("did you mean 'listen'")));
  EXPECT_THAT(refusal_of("[[pool]]\ndevice = []\n"), HasSubstr("did you mean 'devices'"));
}

TEST(Config, AnUnknownSectionIsRefusedWithTheNearestName) {
  EXPECT_THAT(refusal_of("\n[serve]\n"),
              AllOf(HasSubstr("c.toml:2"), HasSubstr("did you mean 'server'")));
}

TEST(Config, AWrongTypeIsRefusedWithWhatWasExpectedAndFound) {
  EXPECT_THAT(refusal_of("[server]\nlisten = 5"),
              AllOf(HasSubstr(":2"), HasSubstr("must be a string"), HasSubstr("an integer")));
  EXPECT_THAT(refusal_of("[server]\nreflection = 1"), HasSubstr("must be true or false"));
  EXPECT_THAT(refusal_of("[limits]\nmax_steps = \"5\""), HasSubstr("must be an integer"));
  EXPECT_THAT(refusal_of("[limits]\nmax_steps = 5.5"), HasSubstr("a number with a fraction"));
  EXPECT_THAT(refusal_of("[models]\nroots = \"x\""), HasSubstr("must be a list of strings"));
  EXPECT_THAT(refusal_of("[models]\nroots = [1]"), HasSubstr("must be a string"));
  EXPECT_THAT(refusal_of("server = 1"), HasSubstr("must be a table"));
  EXPECT_THAT(refusal_of("[pool]\nname = 'x'"), HasSubstr("[[pool]]"));
  EXPECT_THAT(refusal_of("[log]\nlevel = 'inof'"), HasSubstr("did you mean 'info'"));
}

TEST(Config, ANumberOutOfItsRangeIsRefusedWithTheRange) {
  EXPECT_THAT(refusal_of("[limits]\nmax_reruns = 101"), HasSubstr("from 0 to 100, found 101"));
  EXPECT_THAT(refusal_of("[limits]\nmax_reruns = -1"), HasSubstr("found -1"));
  EXPECT_THAT(refusal_of("[limits]\nqueue_total = 4294967297"), HasSubstr("found 4294967297"));
}

TEST(Config, OptionsThatContradictEachOtherAreRefused) {
  EXPECT_THAT(refusal_of("[supervision]\nheartbeat_ms = 5000\nheartbeat_timeout_ms = 6000"),
              HasSubstr("at least twice"));
  EXPECT_THAT(refusal_of("[[pool]]\nname='a'\n[[pool]]\nname='a'"), HasSubstr("two pools"));
  EXPECT_THAT(refusal_of("[[pool]]\ndevices=['gpu']"), HasSubstr("found 'gpu'"));
  EXPECT_THAT(refusal_of("[[pool]]\nmin_workers=3\nmax_workers=2"),
              HasSubstr("max_workers (2) must not be below min_workers (3)"));
  EXPECT_THAT(refusal_of("[[pool]]\nroles=[]"), HasSubstr("at least one role"));
  EXPECT_THAT(refusal_of("[[pool]]\nroles=['clips']"),
              AllOf(HasSubstr("clip, vae, unet"), HasSubstr("did you mean 'clip'")));
}

TEST(Config, ASplitPoolIsTwoThatShareTheRolesAndTheDevices) {
  const Result<Config> config =
      parse_config("[[pool]]\npreset = 'split'\ndevices = ['cpu', 'cuda:0', 'cuda:1']", "c.toml");
  ASSERT_TRUE(config.ok()) << config.status().to_string();
  ASSERT_EQ(config->pools.size(), 2u);
  EXPECT_EQ(config->pools[0].name, "default-text");
  EXPECT_THAT(config->pools[0].roles, testing::ElementsAre("clip"));
  EXPECT_THAT(config->pools[0].devices, testing::ElementsAre("cpu"));
  EXPECT_EQ(config->pools[1].name, "default-image");
  EXPECT_THAT(config->pools[1].roles, testing::ElementsAre("vae", "unet"));
  EXPECT_THAT(config->pools[1].devices, testing::ElementsAre("cuda:0", "cuda:1"));
}

TEST(Config, ASplitPoolWithoutASecondDeviceSaysWhatItNeeds) {
  EXPECT_THAT(refusal_of("[[pool]]\npreset = 'split'\n"),
              AllOf(HasSubstr("two devices or more"), HasSubstr("found [\"auto\"]")));
  EXPECT_THAT(refusal_of("[[pool]]\npreset = 'split'\ndevices = ['cpu', 'cpu']\nroles = ['vae']"),
              HasSubstr("leave out roles"));
}

TEST(Config, TextThatIsNoTomlIsRefusedWithItsLine) {
  EXPECT_THAT(refusal_of("[server]\nlisten = \n"),
              AllOf(HasSubstr("c.toml:2"), HasSubstr("not valid TOML")));
}

TEST(Config, PathsExpandHomeAndVariablesAndStartFromTheFile) {
  ::setenv("HOME", "/home/someone", 1);
  ::setenv("LUNA_TEST_DISK", "/disk", 1);
  const Result<Config> config = parse_config(
      "[models]\nroots = ['~/m', '${LUNA_TEST_DISK}/m', 'beside', '/a']", "/etc/luna/c.toml");
  ASSERT_TRUE(config.ok()) << config.status().to_string();
  EXPECT_THAT(config->models.roots,
              testing::ElementsAre("/home/someone/m", "/disk/m", "/etc/luna/beside", "/a"));
}

TEST(Config, AVariableThatIsNotSetIsRefusedByName) {
  EXPECT_THAT(refusal_of("[models]\nroots = ['${LUNA_TEST_NO_SUCH}/m']"),
              AllOf(HasSubstr(":2"), HasSubstr("LUNA_TEST_NO_SUCH")));
  EXPECT_THAT(refusal_of("[models]\nroots = ['${HOME']"), HasSubstr("without its '}'"));
}

class ConfigSearch : public testing::Test {
 protected:
  void SetUp() override {
    old_ = fs::current_path();
    folder_ = fs::temp_directory_path() / fmt::format("luna_config_{}", ::getpid());
    fs::create_directories(folder_ / ".config/luna");
    fs::create_directories(folder_ / "here");
    fs::current_path(folder_ / "here");
    ::setenv("HOME", folder_.c_str(), 1);
    ::unsetenv("LUNA_CONFIG");
  }
  void TearDown() override {
    fs::current_path(old_);
    fs::remove_all(folder_);
  }
  std::string write(const std::string& name) {
    std::ofstream(folder_ / name) << "[server]\n";
    return (folder_ / name).string();
  }
  std::string found(const std::string& named = "") {
    const Result<std::optional<std::string>> path = find_config(named);
    if (!path.ok()) return path.status().to_string();
    return path->value_or("none");
  }

  fs::path old_, folder_;
};

TEST_F(ConfigSearch, TakesTheOptionThenTheVariableThenTheFolderThenTheHome) {
  const std::string home = write(".config/luna/config.toml");
  EXPECT_EQ(found(), home);
  write("here/config.toml");
  EXPECT_EQ(found(), "config.toml");
  const std::string variable = write("v.toml");
  ::setenv("LUNA_CONFIG", variable.c_str(), 1);
  EXPECT_EQ(found(), variable);
  const std::string option = write("o.toml");
  EXPECT_EQ(found(option), option);
}

TEST_F(ConfigSearch, AFileThatWasNamedAndIsNotThereIsNotFound) {
  EXPECT_THAT(found("/nowhere.toml"), AllOf(HasSubstr("NOT_FOUND"), HasSubstr("--config")));
  ::setenv("LUNA_CONFIG", "/nowhere.toml", 1);
  EXPECT_THAT(found(), HasSubstr("$LUNA_CONFIG"));
}

TEST_F(ConfigSearch, AFileThatCannotBeReadIsAnError) {
  EXPECT_EQ(load_config("/nowhere.toml").status().code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace luna
