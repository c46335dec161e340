#include "client/cli/completion.h"

#include <map>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "common/types/sampling_names.h"

namespace luna::client {
namespace {

struct Flag {
  std::string name;
  std::string what;
  bool takes_value = false;
};

/// One command: its words ("models list"), its subcommands and its flags.
struct Entry {
  std::string path;
  std::vector<Flag> commands;
  std::vector<Flag> flags;
};

const std::map<std::string, std::string>& known_values() {
  static const std::map<std::string, std::string> values = {
      {"--sampler", fmt::format("{}", fmt::join(served_samplers(), " "))},
      {"--scheduler", fmt::format("{}", fmt::join(served_schedulers(), " "))},
      {"--precision", "f32 bf16 fp16"},
      {"--clip-precision", "f32 bf16 fp16"},
      {"--vae-precision", "f32 bf16 fp16"},
      {"--slot", "unet vae clip_l clip_g"},
  };
  return values;
}

void collect(const CLI::App& app, const std::string& path, std::vector<Entry>* entries) {
  Entry entry;
  entry.path = path;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      entry.flags.push_back(
          {"--" + name, option->get_description(), option->get_items_expected_max() > 0});
    }
  }
  const auto subcommands = app.get_subcommands([](const CLI::App*) { return true; });
  for (const CLI::App* sub : subcommands)
    entry.commands.push_back({sub->get_name(), sub->get_description(), false});
  entries->push_back(std::move(entry));
  for (const CLI::App* sub : subcommands) {
    collect(*sub, path.empty() ? sub->get_name() : path + " " + sub->get_name(), entries);
  }
}

std::string names_of(const std::vector<Flag>& flags) {
  std::vector<std::string> names;
  for (const Flag& flag : flags) names.push_back(flag.name);
  return fmt::format("{}", fmt::join(names, " "));
}

/// For single quotes of a shell.
std::string shell_quoted(const std::string& text) {
  std::string safe;
  for (const char c : text) safe += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return "'" + safe + "'";
}

std::string value_cases(std::string_view indent) {
  std::string cases;
  for (const auto& [flag, values] : known_values()) {
    cases += fmt::format("{}{}) COMPREPLY=($(compgen -W \"{}\" -- \"$word\")); return ;;\n", indent,
                         flag, values);
  }
  return cases;
}

std::string bash_script(const std::vector<Entry>& entries) {
  std::string script =
      "# bash completion for luna\n"
      "_luna() {\n"
      "  local word=\"${COMP_WORDS[COMP_CWORD]}\" before=\"${COMP_WORDS[COMP_CWORD-1]}\" path=\"\" "
      "i\n"
      "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
      "    case \"$path ${COMP_WORDS[i]}\" in\n";
  std::vector<std::string> paths;
  for (const Entry& entry : entries) {
    if (!entry.path.empty()) paths.push_back(fmt::format("\" {}\"", entry.path));
  }
  script += fmt::format("      {}) path=\"$path ${{COMP_WORDS[i]}}\" ;;\n", fmt::join(paths, "|"));
  script += "    esac\n  done\n  case \"$before\" in\n" + value_cases("    ") + "  esac\n";
  script +=
      "  if [[ $word != -* && $before == --* && $before != --json && $before != --preload "
      "&& $before != --once && $before != --host ]]; "
      "then\n"
      "    COMPREPLY=($(compgen -f -- \"$word\")); return\n  fi\n  case \"$path\" in\n";
  for (const Entry& entry : entries) {
    const std::string key = entry.path.empty() ? "" : " " + entry.path;
    const std::string words = entry.commands.empty()
                                  ? names_of(entry.flags)
                                  : names_of(entry.commands) + " " + names_of(entry.flags);
    script +=
        fmt::format("    \"{}\") COMPREPLY=($(compgen -W \"{}\" -- \"$word\")) ;;\n", key, words);
  }
  return script + "  esac\n}\ncomplete -o bashdefault -o default -F _luna luna\n";
}

std::string zsh_script(const std::vector<Entry>& entries) {
  // zsh runs bash's completion functions; its own compdef then offers them.
  return "#compdef luna\nautoload -U +X bashcompinit && bashcompinit\n" + bash_script(entries);
}

std::string fish_script(const std::vector<Entry>& entries) {
  std::string script = "# fish completion for luna\ncomplete -c luna -f\n";
  for (const Entry& entry : entries) {
    std::string condition;
    if (entry.path.empty()) {
      condition = "__fish_use_subcommand";
    } else {
      const std::size_t space = entry.path.find(' ');
      condition = "__fish_seen_subcommand_from " + entry.path.substr(0, space);
      if (space != std::string::npos) {
        condition += "; and __fish_seen_subcommand_from " + entry.path.substr(space + 1);
      } else if (!entry.commands.empty()) {
        condition += "; and not __fish_seen_subcommand_from " + names_of(entry.commands);
      }
    }
    for (const Flag& command : entry.commands) {
      script += fmt::format("complete -c luna -n {} -a {} -d {}\n", shell_quoted(condition),
                            command.name, shell_quoted(command.what));
    }
    for (const Flag& flag : entry.flags) {
      const auto values = known_values().find(flag.name);
      const std::string value = !flag.takes_value ? ""
                                : values == known_values().end()
                                    ? " -r -F"
                                    : " -x -a " + shell_quoted(values->second);
      script += fmt::format("complete -c luna -n {} -l {}{} -d {}\n", shell_quoted(condition),
                            flag.name.substr(2), value, shell_quoted(flag.what));
    }
  }
  return script;
}

}  // namespace

std::string completion_script(const CLI::App& app, const std::string& shell) {
  std::vector<Entry> entries;
  collect(app, "", &entries);
  if (shell == "fish") return fish_script(entries);
  return shell == "zsh" ? zsh_script(entries) : bash_script(entries);
}

}  // namespace luna::client
