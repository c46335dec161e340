#pragma once

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"

namespace luna::front {

/// Every test starts in an empty folder of its own, which is $HOME too, and without the variables
/// that lunad reads. The process's own are back afterwards.
class OwnEnvironment : public testing::Test {
 protected:
  OwnEnvironment() {
    std::filesystem::current_path(dir_.path());
    for (Variable& variable : variables_) {
      if (const char* value = std::getenv(variable.name)) variable.before = value;
      ::unsetenv(variable.name);
    }
    set("HOME", dir_.path());
  }
  ~OwnEnvironment() override {
    std::filesystem::current_path(before_);
    for (const Variable& variable : variables_) {
      if (variable.before) {
        set(variable.name, *variable.before);
      } else {
        ::unsetenv(variable.name);
      }
    }
  }

  static void set(const char* name, const std::string& value) { ::setenv(name, value.c_str(), 1); }

  support::TempDir dir_;

 private:
  struct Variable {
    const char* name;
    std::optional<std::string> before = {};
  };

  const std::filesystem::path before_ = std::filesystem::current_path();
  std::vector<Variable> variables_ = {
      {"HOME"},          {"LUNA_CONFIG"}, {"LUNA_SHARE"}, {"STATE_DIRECTORY"}, {"XDG_RUNTIME_DIR"},
      {"XDG_STATE_HOME"}};
};

}  // namespace luna::front
