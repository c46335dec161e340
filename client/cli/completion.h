#pragma once

#include <string>

#include <CLI/CLI.hpp>

namespace luna::client {

/// A script for "bash", "zsh" or "fish" that completes the commands and flags of `app`, one and two
/// levels deep, and names of files after flags that take a value.
std::string completion_script(const CLI::App& app, const std::string& shell);

}  // namespace luna::client
