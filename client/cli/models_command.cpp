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
  std::string only_slot;
  bool host = false;
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
  Table loaded({"LOADED", "FAMILY", "DEVICE", "PRECISION", "SIZE", "JOBS", "PIN", "FILE"});
  for (const LoadedModel& model : models.loaded) {
    loaded.add({std::string(slot_name(model.info.slot)), model.info.family, model.device,
                std::string(precision_name(model.precision)), human_bytes(model.resident_bytes),
                std::to_string(model.jobs), model.pinned ? "pinned" : "",
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
    return error(StatusCode::kInvalidArgument, "--slot '{}': expected unet, vae, clip_l or clip_g",
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

/// "  unet sd1 stays: 2 jobs use it"
void print_held(const Console& console, const std::vector<LoadedModel>& held) {
  for (const LoadedModel& model : held) {
    std::string why;
    if (model.jobs == 1) why = "1 job uses it";
    if (model.jobs > 1) why = fmt::format("{} jobs use it", model.jobs);
    if (model.pinned) why += why.empty() ? "it is pinned" : ", and it is pinned";
    *console.out << fmt::format("  {} {} stays: {}\n", slot_name(model.info.slot),
                                model.info.family, why.empty() ? "it is in use" : why);
  }
}

Status unload(const Console& console, const ModelsFlags& flags, Client& client) {
  LUNA_ASSIGN_OR_RETURN(
      const UnloadModelReply reply,
      client.admin().unload_model(model_file(flags.file, is_local(client)), flags.host));
  if (flags.common.json) {
    print_json(console, {{"freed_bytes", reply.freed_bytes},
                         {"host_freed_bytes", reply.host_freed_bytes},
                         {"unloaded", to_json_list(reply.unloaded)},
                         {"held", to_json_list(reply.held)}});
    return {};
  }
  *console.out << "freed " << human_bytes(reply.freed_bytes);
  if (flags.host) *console.out << " and host copies of " << human_bytes(reply.host_freed_bytes);
  *console.out << '\n';
  print_held(console, reply.held);
  return {};
}

Status offload(const Console& console, const ModelsFlags& flags, Client& client) {
  std::optional<Slot> slot;
  if (!flags.only_slot.empty()) {
    slot = slot_from_name(flags.only_slot);
    if (!slot) {
      return error(StatusCode::kInvalidArgument,
                   "--slot '{}': expected unet, vae, clip_l or clip_g", flags.only_slot);
    }
  }
  LUNA_ASSIGN_OR_RETURN(
      const UnloadModelReply reply,
      client.admin().offload_model(model_file(flags.file, is_local(client)), slot));
  if (flags.common.json) {
    print_json(console, {{"freed_bytes", reply.freed_bytes},
                         {"offloaded", to_json_list(reply.unloaded)},
                         {"held", to_json_list(reply.held)}});
    return {};
  }
  *console.out << "freed " << human_bytes(reply.freed_bytes) << '\n';
  for (const LoadedModel& model : reply.unloaded) {
    *console.out << fmt::format("  {} {} {}\n", slot_name(model.info.slot), model.info.family,
                                model.tier == Tier::kHost
                                    ? "lies in a host copy"
                                    : "has no host copy: its file is read again");
  }
  print_held(console, reply.held);
  return {};
}

Status restore(const Console& console, const ModelsFlags& flags, Client& client) {
  LUNA_ASSIGN_OR_RETURN(const RestoreModelReply reply,
                        client.admin().restore_model(model_file(flags.file, is_local(client))));
  if (flags.common.json) {
    print_json(console, {{"restored", to_json_list(reply.restored)}});
    return {};
  }
  for (const LoadedModel& model : reply.restored) {
    *console.out << fmt::format("{} {} on {} in {}, {}\n", slot_name(model.info.slot),
                                model.info.family, model.device, precision_name(model.precision),
                                human_bytes(model.resident_bytes));
  }
  if (reply.restored.empty()) *console.out << "nothing of it is offloaded\n";
  return {};
}

Status show_pin(const Console& console, const ModelsFlags& flags, const std::string& path,
                bool pinned) {
  if (flags.common.json) {
    print_json(console, {{"file", path}, {"pinned", pinned}});
  } else {
    *console.out << (pinned ? "pinned " : "no longer pinned: ") << path << '\n';
  }
  return {};
}

Status pin(const Console& console, const ModelsFlags& flags, Client& client) {
  LUNA_ASSIGN_OR_RETURN(const std::string path,
                        client.admin().pin_model(model_file(flags.file, is_local(client))));
  return show_pin(console, flags, path, true);
}

Status unpin(const Console& console, const ModelsFlags& flags, Client& client) {
  LUNA_ASSIGN_OR_RETURN(const std::string path,
                        client.admin().unpin_model(model_file(flags.file, is_local(client))));
  return show_pin(console, flags, path, false);
}

Status upload(const Console& console, const ModelsFlags& flags, Client& client) {
  LUNA_ASSIGN_OR_RETURN(const std::string name, client.admin().upload_adapter(flags.file));
  if (flags.common.json) {
    print_json(console, {{"file", name}});
  } else {
    *console.out << name << '\n';
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
      "  luna models load --slot unet v1-5.safetensors\n"
      "  luna models offload v1-5.safetensors && luna models restore v1-5.safetensors");
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
  command->add_option("--slot", flags->slot, "unet (default), vae, clip_l, clip_g");
  command->add_option("--precision", flags->precision, "auto (default), f32, bf16, fp16");
  command =
      add(models, "unload", "Take what came from a file off the devices, but for what is in use",
          console, action, flags, false, unload);
  command->add_option("file", flags->file, "Named as in ComfyUI, or by path")->required();
  command->add_flag("--host", flags->host,
                    "Drop the host copies as well: the next use reads the file");
  command = add(models, "offload",
                "Take a file's components off the devices, keep their host copies for a restore",
                console, action, flags, false, offload);
  command->add_option("file", flags->file, "Named as in ComfyUI, or by path")->required();
  command->add_option("--slot", flags->only_slot,
                      "Only this component: unet, vae, clip_l (default: all of the file)");
  command->footer(
      "Frees device memory now; the next use, or a restore, brings the model back without reading\n"
      "its file. What a job uses stays and is listed.\n"
      "Examples:\n  luna models offload v1-5.safetensors --slot unet\n"
      "  luna models restore v1-5.safetensors");
  command = add(models, "restore", "Bring back what was offloaded, from the host copies", console,
                action, flags, false, restore);
  command->add_option("file", flags->file, "Named as in ComfyUI, or by path")->required();
  command = add(models, "upload", "Put a LoRA file of this machine on the daemon's", console,
                action, flags, false, upload);
  command->add_option("file", flags->file, "A .safetensors file here")->required();
  command->footer(
      "Prints the name by which --lora takes it there: sha256: and its hash. One that is there\n"
      "already is not sent again. `luna generate` uploads by itself what --lora names here and "
      "the\n"
      "daemon of another machine cannot see.\n"
      "Example:\n  luna models upload ink.safetensors --address host:50551");
  command = add(models, "pin", "Keep what comes from a file loaded: it is never evicted", console,
                action, flags, false, pin);
  command->add_option("file", flags->file, "Named as in ComfyUI, or by path")->required();
  command->footer(
      "Holds for all workers and their restarts, until `luna models unpin` or the daemon's end;\n"
      "`luna status` lists the pinned files. Pinning loads nothing: `luna models load` does.");
  command = add(models, "unpin", "Let what comes from a file be evicted again", console, action,
                flags, false, unpin);
  command->add_option("file", flags->file, "Named as in ComfyUI, or by path")->required();
}

}  // namespace luna::client
