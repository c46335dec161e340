#include "client/cli/command.h"
#include "client/cli/generate_request.h"
#include "client/cli/info_json.h"
#include "client/cli/table.h"

namespace luna::client {
namespace {

struct WorkflowFlags {
  CommonFlags common;
  std::string id;
  Settings models;
  std::uint32_t ttl_seconds = 0;
  bool preload = false;
};

void print_workflows(std::ostream& out, const std::vector<WorkflowInfo>& workflows) {
  Table table({"WORKFLOW", "CALLS", "RUNNING", "ENDS IN", "MODELS"});
  for (const WorkflowInfo& workflow : workflows) {
    std::string models;
    for (const auto& [slot, model] : workflow.models.slots) {
      models += fmt::format("{}{}={}", models.empty() ? "" : " ", slot_name(slot), model.path);
    }
    table.add({workflow.id, std::to_string(workflow.calls), std::to_string(workflow.calls_running),
               human_seconds(workflow.seconds_left), models});
  }
  table.print(out);
}

Status list(const Console& console, const WorkflowFlags& flags, Client& client) {
  LUNA_ASSIGN_OR_RETURN(const std::vector<WorkflowInfo> workflows, client.admin().list_workflows());
  if (flags.common.json) {
    print_json(console, {{"workflows", to_json_list(workflows)}});
  } else {
    print_workflows(*console.out, workflows);
    if (workflows.empty()) *console.err << "no workflows are registered\n";
  }
  return {};
}

Status register_one(const Console& console, const WorkflowFlags& flags, Client& client) {
  LUNA_RETURN_IF_ERROR(check(flags.models));
  const bool local = client.connection().address.starts_with("unix:");
  LUNA_ASSIGN_OR_RETURN(const GenerateRequest request, generate_request(flags.models, local));
  if (!request.models.checkpoint && request.models.slots.empty()) {
    return error(StatusCode::kInvalidArgument,
                 "a workflow needs models: --checkpoint, --unet, --vae, --clip or --clip-g");
  }
  LUNA_ASSIGN_OR_RETURN(
      const WorkflowInfo workflow,
      client.admin().register_workflow(flags.id, request.models, flags.ttl_seconds, flags.preload));
  if (flags.common.json) {
    print_json(console, to_json(workflow));
  } else {
    print_workflows(*console.out, {workflow});
  }
  return {};
}

Status release(const Console& console, const WorkflowFlags& flags, Client& client) {
  LUNA_RETURN_IF_ERROR(client.admin().release_workflow(flags.id));
  if (flags.common.json) {
    print_json(console, {{"released", flags.id}});
  } else {
    *console.out << "released " << flags.id << '\n';
  }
  return {};
}

using Work = Status (*)(const Console&, const WorkflowFlags&, Client&);

CLI::App* add(CLI::App* parent, const char* name, const char* what, const Console& console,
              Action* action, const std::shared_ptr<WorkflowFlags>& flags, Work work) {
  CLI::App* command = parent->add_subcommand(name, what);
  add_common_flags(command, &flags->common);
  command->callback([=, &console] {
    *action = [=, &console] {
      return with_client(console, flags->common, false,
                         [&](Client& client) { return work(console, *flags, client); });
    };
  });
  return command;
}

}  // namespace

void add_workflow_command(CLI::App* app, const Console& console, Action* action) {
  CLI::App* workflow = app->add_subcommand("workflow", "Registered sets of models");
  workflow->require_subcommand(1);
  workflow->footer(
      "Starts no daemon.\nExamples:\n  luna workflow list\n"
      "  luna workflow register studio --checkpoint v1-5.safetensors --preload\n"
      "  luna workflow release studio");
  const auto flags = std::make_shared<WorkflowFlags>();
  add(workflow, "list", "Who is registered, with which models", console, action, flags, list);
  CLI::App* command = add(workflow, "register", "Register a set of models, or replace it", console,
                          action, flags, register_one);
  command->add_option("id", flags->id, "1 to 128 of A-Z a-z 0-9 . _ : -")->required();
  command->add_option("--checkpoint", flags->models.checkpoint,
                      "Fills every slot it has a component for: a file, an index of shards or a "
                      "diffusers folder");
  command->add_option("--unet", flags->models.unet, "Another UNet than the checkpoint's");
  command->add_option("--vae", flags->models.vae, "Another VAE than the checkpoint's");
  command->add_option("--clip,--clip-l", flags->models.clip,
                      "Another text encoder than the checkpoint's");
  command->add_option("--clip-g", flags->models.clip_g, "Another second text encoder, of an SDXL");
  command->add_option("--precision", flags->models.precision, "f32, bf16 or fp16");
  command->add_option("--clip-precision", flags->models.clip_precision,
                      "Of the text encoder alone");
  command->add_option("--vae-precision", flags->models.vae_precision, "Of the VAE alone");
  command->add_option("--ttl", flags->ttl_seconds,
                      "Seconds without use until it ends (default: the daemon's)");
  command->add_flag("--preload", flags->preload, "Load the models now");
  command = add(workflow, "release", "End a registration", console, action, flags, release);
  command->add_option("id", flags->id, "As registered")->required();
}

}  // namespace luna::client
