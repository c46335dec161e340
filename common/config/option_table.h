#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/config/config.h"

namespace luna {

/// One option of a section: its key in the file, the field that it fills, and what values are
/// taken.
template <class Section>
struct Option {
  /// What a string stands for decides how it is treated after parsing.
  enum class Text { kPlain, kPath };

  std::string_view name;
  std::variant<std::string Section::*, bool Section::*, std::uint32_t Section::*,
               std::uint64_t Section::*, std::vector<std::string> Section::*>
      field;
  std::uint64_t min = 0;                           ///< of numbers
  std::uint64_t max = 0;                           ///< of numbers, inclusive
  Text text = Text::kPlain;                        ///< of strings and lists
  std::span<const std::string_view> choices = {};  ///< of strings; empty: any
};

/// The only list of options: parsing, checking, printing and path expansion all walk it.
const std::vector<Option<Config::Server>>& server_options();
const std::vector<Option<Config::Models>>& models_options();
const std::vector<Option<Config::Pool>>& pool_options();
const std::vector<Option<Config::Memory>>& memory_options();
const std::vector<Option<Config::Supervision>>& supervision_options();
const std::vector<Option<Config::Limits>>& limits_options();
const std::vector<Option<Config::Metrics>>& metrics_options();
const std::vector<Option<Config::Log>>& log_options();

/// Calls visit(name, section, options) for every table of the file that stands alone ([server]
/// ...);
/// [[pool]] is a list of tables and comes apart. ConfigT: Config or const Config.
template <class ConfigT, class Visit>
void for_each_section(ConfigT& config, Visit&& visit) {
  visit(std::string_view("server"), config.server, server_options());
  visit(std::string_view("models"), config.models, models_options());
  visit(std::string_view("memory"), config.memory, memory_options());
  visit(std::string_view("supervision"), config.supervision, supervision_options());
  visit(std::string_view("limits"), config.limits, limits_options());
  visit(std::string_view("metrics"), config.metrics, metrics_options());
  visit(std::string_view("log"), config.log, log_options());
}
inline constexpr std::string_view kPoolSection = "pool";

}  // namespace luna
