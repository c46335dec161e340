#include "client/cli/command.h"
#include "client/cli/generate_request.h"
#include "client/cli/info_json.h"
#include "client/cli/table.h"

namespace luna::client {
namespace {

struct ModelsFlags {
  CommonFlags common;
  std::string folder;
  std::string file;
  std::string slot = "unet";
  std::string precision = "auto";
};

bool is_local(const Client& client) { return client.connection().address.starts_with("unix:"); }

Status list(const Console& console, const ModelsFlags& flags, Client& client) {
  LUNA_ASSIGN_OR_RETURN(const AdminService::Models models,
                        client.admin().list_models(flags.folder));
  if (flags.common.json) {
    print_json(console,
               {{"files", to_json_list(models.files)}, {"loaded", to_json_list(models.loaded)}});
    return {};
  }
  Table files({"FOLDER", "SIZE", "FILE"});
  for (const ModelFileInfo& file : models.files)
    files.add({file.folder, human_bytes(file.bytes), file.file});
  Table loaded({"LOADED", "FAMILY", "DEVICE", "PRECISION", "SIZE", "FILE"});
  for (const LoadedModel& model : models.loaded) {
    loaded.add({std::string(slot_name(model.info.slot)), model.info.family, model.device,
                std::string(precision_name(model.precision)), human_bytes(model.resident_bytes),
                model.paths.empty() ? "" : model.paths.front()});
  }
  if (files.empty()) *console.err << "no model files below the daemon's roots\n";
  files.print(*console.out);
  if (!files.empty() && !loaded.empty()) *console.out << '\n';
  loaded.print(*console.out);
  return {};
}

Status inspect(const Console& console, const ModelsFlags& flags, Client& client) {
  LUNA_ASSIGN_OR_RETURN(const std::vector<ComponentInfo> components,
                        client.admin().inspect_model(model_file(flags.file, is_local(client))));
  if (flags.common.json) {
    print_json(console, {{"components", to_json_list(components)}});
    return {};
  }
  Table table({"SLOT", "FAMILY", "PARAMETERS", "SIZE", "WHAT"});
  for (const ComponentInfo& component : components) {
    table.add({std::string(slot_name(component.slot)), component.family,
               fmt::format("{:.1f} M", static_cast<double>(component.parameters) / 1e6),
               human_bytes(component.file_bytes), component.description});
  }
  table.print(*console.out);
  return {};
}

Status load(const Console& console, const ModelsFlags& flags, Client& client) {
  const auto slot = slot_from_name(flags.slot);
  const auto precision = precision_from_name(flags.precision);
  if (!slot) {
    return error(StatusCode::kInvalidArgument, "--slot '{}': expected unet, vae or clip_l",
                 flags.slot);
  }
  if (!precision) {
    return error(StatusCode::kInvalidArgument, "--precision '{}': expected auto, f32, bf16 or fp16",
                 flags.precision);
  }
  LUNA_ASSIGN_OR_RETURN(
      const LoadedModel model,
      client.admin().load_model(*slot, {model_file(flags.file, is_local(client)), *precision}));
  if (flags.common.json) {
    print_json(console, to_json(model));
  } else {
    *console.out << fmt::format("{} {} on {} in {}, {}\n", slot_name(model.info.slot),
                                model.info.family, model.device, precision_name(model.precision),
                                human_bytes(model.resident_bytes));
  }
  return {};
}

Status unload(const Console& console, const ModelsFlags& flags, Client& client) {
  LUNA_ASSIGN_OR_RETURN(const std::uint64_t freed,
                        client.admin().unload_model(model_file(flags.file, is_local(client))));
  if (flags.common.json) {
    print_json(console, {{"freed_bytes", freed}});
  } else {
    *console.out << "freed " << human_bytes(freed) << '\n';
  }
  return {};
}

using Work = Status (*)(const Console&, const ModelsFlags&, Client&);

CLI::App* add(CLI::App* parent, const char* name, const char* what, const Console& console,
              Action* action, const std::shared_ptr<ModelsFlags>& flags, bool start_daemon,
              Work work) {
  CLI::App* command = parent->add_subcommand(name, what);
  add_common_flags(command, &flags->common);
  command->callback([=, &console] {
    *action = [=, &console] {
      return with_client(console, flags->common, start_daemon,
                         [&](Client& client) { return work(console, *flags, client); });
    };
  });
  return command;
}

}  // namespace

void add_models_command(CLI::App* app, const Console& console, Action* action) {
  CLI::App* models = app->add_subcommand("models", "Model files and loaded models");
  models->require_subcommand(1);
  models->footer(
      "Examples:\n  luna models list checkpoints\n  luna models inspect v1-5.safetensors\n"
      "  luna models load --slot unet v1-5.safetensors");
  const auto flags = std::make_shared<ModelsFlags>();
  CLI::App* command = add(models, "list", "Files below the model roots, and what is loaded",
                          console, action, flags, true, list);
  command->add_option("folder", flags->folder, "checkpoints, vae, loras, ... (default: all)");
  command = add(models, "inspect", "What a file holds, by its tensors' names and shapes", console,
                action, flags, true, inspect);
  command->add_option("file", flags->file, "Named as in ComfyUI, or by path")->required();
  command = add(models, "load", "Load a component before its first use", console, action, flags,
                true, load);
  command->add_option("file", flags->file, "Named as in ComfyUI, or by path")->required();
  command->add_option("--slot", flags->slot, "unet (default), vae, clip_l");
  command->add_option("--precision", flags->precision, "auto (default), f32, bf16, fp16");
  command = add(models, "unload", "Unload what came from a file and is not in use", console, action,
                flags, false, unload);
  command->add_option("file", flags->file, "Named as in ComfyUI, or by path")->required();
}

}  // namespace luna::client
