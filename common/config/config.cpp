#include "common/config/config.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <fmt/ranges.h>
#include <toml++/toml.h>

#include "common/base/nearest_name.h"
#include "common/config/config_paths.h"
#include "common/config/option_table.h"
#include "common/config/pool_preset.h"

namespace luna {
namespace {

namespace fs = std::filesystem;
constexpr std::uintmax_t kMaxFileBytes = 4u << 20;

/// What a message needs to point into the file, and what relative paths start from.
struct Source {
  std::string name;
  fs::path folder;

  template <class... Args>
  Status refuse(const toml::source_region& where, fmt::format_string<Args...> format,
                Args&&... args) const {
    return error(StatusCode::kInvalidArgument, "{}:{}: {}", name, where.begin.line,
                 fmt::format(format, std::forward<Args>(args)...));
  }
};

std::string_view type_in_words(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "a list";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::floating_point:
      return "a number with a fraction";
    case toml::node_type::boolean:
      return "a boolean";
    default:
      return "a date or time";
  }
}

/// The absolute form of a path option; an empty one stays empty.
Result<std::string> resolved_path(const std::string& text, const Source& source) {
  LUNA_ASSIGN_OR_RETURN(std::string path, expand_path(text));
  if (path.empty() || path.front() == '/') return path;
  return (source.folder / path).lexically_normal().string();
}

/// Reads one node into one field; `key` is "server.listen".
template <class Section>
class FieldReader {
 public:
  FieldReader(const Source& source, const std::string& key, const Option<Section>& option,
              const toml::node& node, Section& section)
      : source_(source), key_(key), option_(option), node_(node), section_(section) {}

  Status operator()(std::string Section::* field) const {
    LUNA_ASSIGN_OR_RETURN(section_.*field, text_of(node_));
    return {};
  }

  Status operator()(bool Section::* field) const {
    const auto* value = node_.as_boolean();
    if (!value) return wrong_type("true or false");
    section_.*field = value->get();
    return {};
  }

  Status operator()(std::uint32_t Section::* field) const { return read_number(field); }
  Status operator()(std::uint64_t Section::* field) const { return read_number(field); }

  Status operator()(std::vector<std::string> Section::* field) const {
    const toml::array* list = node_.as_array();
    if (!list) return wrong_type("a list of strings");
    std::vector<std::string> values;
    for (const toml::node& element : *list) {
      LUNA_ASSIGN_OR_RETURN(std::string text, text_of(element));
      values.push_back(std::move(text));
    }
    section_.*field = std::move(values);
    return {};
  }

 private:
  Status wrong_type(std::string_view expected) const {
    return source_.refuse(node_.source(), "{} must be {}, found {}", key_, expected,
                          type_in_words(node_));
  }

  Result<std::string> text_of(const toml::node& node) const {
    const auto* value = node.as_string();
    if (!value) {
      return source_.refuse(node.source(), "{} must be a string, found {}", key_,
                            type_in_words(node));
    }
    if (value->get().find('\0') != std::string::npos) {
      return source_.refuse(node.source(), "{} must not contain a zero byte", key_);
    }
    if (!option_.choices.empty() &&
        std::ranges::find(option_.choices, value->get()) == option_.choices.end()) {
      return source_.refuse(
          node.source(), "{} must be one of {}, found '{}'{}", key_,
          fmt::join(option_.choices, ", "), value->get(),
          did_you_mean(value->get(), {option_.choices.begin(), option_.choices.end()}));
    }
    if (option_.text != Option<Section>::Text::kPath) return value->get();
    Result<std::string> path = resolved_path(value->get(), source_);
    if (!path.ok()) return source_.refuse(node.source(), "{}: {}", key_, path.status().message());
    return path;
  }

  template <class Number>
  Status read_number(Number Section::* field) const {
    const auto* value = node_.as_integer();
    if (!value) return wrong_type("an integer");
    const std::int64_t number = value->get();
    if (number < 0 || static_cast<std::uint64_t>(number) < option_.min ||
        static_cast<std::uint64_t>(number) > option_.max) {
      return source_.refuse(node_.source(), "{} must be from {} to {}, found {}", key_, option_.min,
                            option_.max, number);
    }
    section_.*field = static_cast<Number>(number);
    return {};
  }

  const Source& source_;
  const std::string& key_;
  const Option<Section>& option_;
  const toml::node& node_;
  Section& section_;
};

template <class Section>
Status read_section(const Source& source, std::string_view section_name, const toml::table& table,
                    const std::vector<Option<Section>>& options, Section& section) {
  for (const auto& [key, node] : table) {
    const auto option = std::ranges::find(options, key.str(), &Option<Section>::name);
    if (option == options.end()) {
      std::vector<std::string> names;
      for (const Option<Section>& known : options) names.emplace_back(known.name);
      return source.refuse(key.source(), "[{}] has no option '{}'{}", section_name, key.str(),
                           did_you_mean(key.str(), names));
    }
    const std::string full = fmt::format("{}.{}", section_name, key.str());
    LUNA_RETURN_IF_ERROR(
        std::visit(FieldReader<Section>(source, full, *option, node, section), option->field));
  }
  return {};
}

Status read_pools(const Source& source, const toml::node& node, std::vector<Config::Pool>& pools) {
  const toml::array* list = node.as_array();
  if (!list || list->empty() || !list->is_homogeneous<toml::table>()) {
    return source.refuse(node.source(), "pool must be a list of tables, written [[pool]], found {}",
                         type_in_words(node));
  }
  pools.clear();
  for (const toml::node& element : *list) {
    Config::Pool pool;
    LUNA_RETURN_IF_ERROR(
        read_section(source, kPoolSection, *element.as_table(), pool_options(), pool));
    const auto refuse = [&](std::string why) { return source.refuse(element.source(), "{}", why); };
    if (pool.name.empty()) return refuse("pool.name must not be empty");
    if (pool.roles.empty()) return refuse("pool.roles must name at least one role");
    if (pool.max_workers != 0 && pool.max_workers < pool.min_workers) {
      return refuse(fmt::format("pool.max_workers ({}) must not be below min_workers ({})",
                                pool.max_workers, pool.min_workers));
    }
    if (pool.devices.empty()) return refuse("pool.devices must name at least one device");
    for (const std::string& device : pool.devices) {
      const bool cuda = device.starts_with("cuda:") && device.size() > 5 && device.size() <= 8 &&
                        device.find_first_not_of("0123456789", 5) == std::string::npos;
      if (device != "auto" && device != "cpu" && !cuda) {
        return refuse(fmt::format(
            "pool.devices must hold \"auto\", \"cpu\" or \"cuda:<number>\", found '{}'", device));
      }
    }
    Result<std::vector<Config::Pool>> expanded = expand_preset(pool);
    if (!expanded.ok()) return refuse(expanded.status().message());
    for (Config::Pool& part : *expanded) {
      if (std::ranges::find(pools, part.name, &Config::Pool::name) != pools.end()) {
        return refuse(fmt::format("two pools are called '{}'", part.name));
      }
      pools.push_back(std::move(part));
    }
  }
  return {};
}

/// Rules between options, which no single option can state.
Status check_together(const std::string& name, const Config& config) {
  const auto refuse = [&](std::string why) {
    return error(StatusCode::kInvalidArgument, "{}: {}", name, why);
  };
  const Config::Supervision& s = config.supervision;
  if (s.heartbeat_timeout_ms < 2 * s.heartbeat_ms) {
    return refuse(fmt::format(
        "supervision.heartbeat_timeout_ms ({}) must be at least twice heartbeat_ms ({})",
        s.heartbeat_timeout_ms, s.heartbeat_ms));
  }
  if (s.backoff_max_ms < s.backoff_first_ms) {
    return refuse(
        fmt::format("supervision.backoff_max_ms ({}) must not be below backoff_first_ms ({})",
                    s.backoff_max_ms, s.backoff_first_ms));
  }
  if (config.limits.message_bytes < config.limits.inline_bytes) {
    return refuse(fmt::format("limits.message_bytes ({}) must not be below inline_bytes ({})",
                              config.limits.message_bytes, config.limits.inline_bytes));
  }
  return {};
}

Result<Config> read_document(const toml::table& document, const Source& source) {
  Config config;
  config.source = source.name;
  for (const auto& [key, node] : document) {
    Status status;
    bool known = false;
    std::vector<std::string> names = {std::string(kPoolSection)};
    if (key.str() == kPoolSection) {
      status = read_pools(source, node, config.pools);
      known = true;
    }
    for_each_section(config, [&](std::string_view name, auto& section, const auto& options) {
      names.emplace_back(name);
      if (key.str() != name) return;
      known = true;
      const toml::table* table = node.as_table();
      status = table ? read_section(source, name, *table, options, section)
                     : source.refuse(node.source(), "{} must be a table, written [{}], found {}",
                                     name, name, type_in_words(node));
    });
    if (!known) {
      return source.refuse(key.source(), "there is no section [{}]{}", key.str(),
                           did_you_mean(key.str(), names));
    }
    LUNA_RETURN_IF_ERROR(status);
  }
  LUNA_RETURN_IF_ERROR(check_together(source.name, config));
  return config;
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string in_toml(const std::string& value) { return quoted(value); }
std::string in_toml(bool value) { return value ? "true" : "false"; }
std::string in_toml(std::uint64_t value) { return std::to_string(value); }
std::string in_toml(std::uint32_t value) { return std::to_string(value); }
std::string in_toml(const std::vector<std::string>& values) {
  std::vector<std::string> texts;
  for (const std::string& value : values) texts.push_back(quoted(value));
  return fmt::format("[{}]", fmt::join(texts, ", "));
}

template <class Section>
std::string section_to_toml(const Section& section, const std::vector<Option<Section>>& options) {
  std::string out;
  for (const Option<Section>& option : options) {
    out +=
        fmt::format("{} = {}\n", option.name,
                    std::visit([&](auto field) { return in_toml(section.*field); }, option.field));
  }
  return out;
}

}  // namespace

Result<Config> parse_config(std::string_view text, const std::string& name) {
  std::error_code ignored;
  const fs::path absolute = fs::absolute(name, ignored);
  const Source source{name, absolute.parent_path()};
  try {
    return read_document(toml::parse(text, std::string_view(name)), source);
  } catch (const toml::parse_error& e) {
    return source.refuse(e.source(), "not valid TOML: {}", e.description());
  }
}

Result<Config> load_config(const std::string& path) {
  std::error_code failure;
  const std::uintmax_t size = fs::file_size(path, failure);
  if (failure) {
    return error(StatusCode::kNotFound, "cannot read the configuration '{}': {}", path,
                 failure.message());
  }
  if (size > kMaxFileBytes) {
    return error(StatusCode::kInvalidArgument, "'{}' is {} bytes; a configuration has at most {}",
                 path, size, kMaxFileBytes);
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) return error(StatusCode::kNotFound, "cannot open the configuration '{}'", path);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  return parse_config(text, path);
}

std::string to_toml(const Config& config) {
  std::string out;
  for_each_section(config, [&](std::string_view name, const auto& section, const auto& options) {
    out += fmt::format("[{}]\n{}\n", name, section_to_toml(section, options));
  });
  for (const Config::Pool& pool : config.pools) {
    out += fmt::format("[[{}]]\n{}\n", kPoolSection, section_to_toml(pool, pool_options()));
  }
  return out;
}

}  // namespace luna
