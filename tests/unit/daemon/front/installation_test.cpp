#include "daemon/front/installation.h"

#include <filesystem>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include "tests/unit/daemon/front/own_environment.h"

namespace luna::front {
namespace {

class Installation : public OwnEnvironment {
 protected:
  Config filled(Config config = {}) const {
    return with_installed_paths(std::move(config), dir_.file("bin"));
  }
  std::string vocabulary() const { return filled().models.clip_vocabulary; }
};

TEST_F(Installation, TheSocketLiesInTheRuntimeFolderOfTheUser) {
  set("XDG_RUNTIME_DIR", "/run/user/7");
  EXPECT_EQ(default_socket(), "/run/user/7/luna/lunad.sock");
  EXPECT_EQ(filled().server.unix_socket, default_socket());
}

TEST_F(Installation, WithoutARuntimeFolderTheSocketLiesInTmpUnderTheUsersNumber) {
  const std::string expected = fmt::format("/tmp/luna-{}/lunad.sock", ::getuid());
  EXPECT_EQ(default_socket(), expected);
  set("XDG_RUNTIME_DIR", "");
  EXPECT_EQ(default_socket(), expected);
}

TEST_F(Installation, TheProgramsFolderIsThatOfTheRunningProgramAndNotTheCurrentOne) {
  EXPECT_TRUE(std::filesystem::equivalent(
      program_folder(), std::filesystem::read_symlink("/proc/self/exe").parent_path()));
  EXPECT_NE(program_folder(), std::filesystem::current_path().string());
}

TEST_F(Installation, TheWorkerProgramIsTheOneBesideThisProgram) {
  EXPECT_EQ(filled().supervision.worker_program, dir_.file("bin/luna-worker"));
}

TEST_F(Installation, TheVocabularyOfTheInstallationComesBeforeLunaShareBeforeTheCache) {
  EXPECT_EQ(vocabulary(), "");

  const std::string cached = dir_.write(".cache/luna/clip_merges.txt", "cached");
  EXPECT_EQ(vocabulary(), cached);

  set("LUNA_SHARE", dir_.file("shared"));
  EXPECT_EQ(vocabulary(), cached) << "LUNA_SHARE names a folder without one";
  const std::string shared = dir_.write("shared/clip_merges.txt", "shared");
  EXPECT_EQ(vocabulary(), shared);

  std::filesystem::create_directories(dir_.file("bin"));
  const std::string installed = dir_.write("share/luna/clip_merges.txt", "installed");
  EXPECT_EQ(vocabulary(), installed);
}

TEST_F(Installation, AFolderInTheVocabularysPlaceIsPassedOver) {
  set("LUNA_SHARE", dir_.file("shared"));
  std::filesystem::create_directories(dir_.file("shared/clip_merges.txt"));
  const std::string cached = dir_.write(".cache/luna/clip_merges.txt", "cached");
  EXPECT_EQ(vocabulary(), cached);
}

TEST_F(Installation, AnUnsetHomeIsNoFolderToSearch) {
  ::unsetenv("HOME");
  dir_.write(".cache/luna/clip_merges.txt", "cached");
  EXPECT_EQ(vocabulary(), "");
}

TEST_F(Installation, NothingThatTheConfigurationNamesIsReplaced) {
  set("XDG_RUNTIME_DIR", "/run/user/7");
  dir_.write(".cache/luna/clip_merges.txt", "cached");
  Config named;
  named.server.unix_socket = "/named.sock";
  named.server.listen = "";
  named.models.roots = {"/models"};
  named.models.clip_vocabulary = "/not/there/merges.txt";
  named.models.uploads = "/srv/uploads";
  named.supervision.worker_program = "/opt/luna-worker";
  EXPECT_EQ(to_toml(filled(named)), to_toml(named));
}

TEST_F(Installation, UploadsGoToTheServicesStateFolderBeforeTheUsers) {
  EXPECT_EQ(filled().models.uploads, dir_.file(".local/state/luna/uploads"));
  set("XDG_STATE_HOME", "/state");
  EXPECT_EQ(filled().models.uploads, "/state/luna/uploads");
  set("STATE_DIRECTORY", "/var/lib/luna");
  EXPECT_EQ(filled().models.uploads, "/var/lib/luna/uploads");
}

TEST_F(Installation, OnlyTheFourPathsAreFilled) {
  Config expected;
  expected.models.uploads = dir_.file(".local/state/luna/uploads");
  expected.server.unix_socket = default_socket();
  expected.supervision.worker_program = dir_.file("bin/luna-worker");
  EXPECT_EQ(to_toml(filled()), to_toml(expected));
}

}  // namespace
}  // namespace luna::front
