#include "common/wire/models_wire.h"

#include "common/wire/tensor_wire.h"

namespace luna::wire {
namespace {

using SlotModels = google::protobuf::RepeatedPtrField<v1::SlotModel>;
using LoadedModels = google::protobuf::RepeatedPtrField<v1::LoadedModel>;
using Components = google::protobuf::RepeatedPtrField<v1::ComponentInfo>;

void slots_to_wire(const std::map<Slot, ModelRef>& slots, SlotModels* out) {
  for (const auto& [slot, model] : slots) {
    v1::SlotModel* message = out->Add();
    message->set_slot(static_cast<v1::Slot>(slot));
    to_wire(model, message->mutable_model());
  }
}

Result<std::map<Slot, ModelRef>> slots_from_wire(SlotModels& field, std::string_view name,
                                                 const FieldPath& parent) {
  std::map<Slot, ModelRef> slots;
  for (int i = 0; i < field.size(); ++i) {
    const FieldPath path = parent.item(name, static_cast<std::size_t>(i));
    LUNA_ASSIGN_OR_RETURN(const Slot slot, slot_from_wire(field[i].slot(), path.field("slot")));
    if (slots.contains(slot)) {
      return path.field("slot").invalid("{} is named twice", slot_name(slot));
    }
    LUNA_ASSIGN_OR_RETURN(slots[slot], from_wire(*field[i].mutable_model(), path.field("model")));
  }
  return slots;
}

Result<std::vector<ComponentInfo>> components_from_wire(Components& field,
                                                        const FieldPath& parent) {
  std::vector<ComponentInfo> components;
  components.reserve(static_cast<std::size_t>(field.size()));
  for (int i = 0; i < field.size(); ++i) {
    const FieldPath path = parent.item("components", static_cast<std::size_t>(i));
    LUNA_ASSIGN_OR_RETURN(components.emplace_back(), from_wire(field[i], path));
  }
  return components;
}

/// Of all workers together.
void models_to_wire(const std::vector<LoadedModel>& models, LoadedModels* out) {
  for (const LoadedModel& model : models) to_wire(model, WorkerId{}, out->Add());
}

Result<std::vector<LoadedModel>> models_from_wire(LoadedModels& field, std::string_view name,
                                                  const FieldPath& parent) {
  std::vector<LoadedModel> models;
  for (int i = 0; i < field.size(); ++i) {
    const FieldPath path = parent.item(name, static_cast<std::size_t>(i));
    LUNA_ASSIGN_OR_RETURN(models.emplace_back(), from_wire(field[i], path));
  }
  return models;
}

Result<Tier> tier_from_wire(v1::Tier tier, const FieldPath& path) {
  if (tier == v1::TIER_UNSPECIFIED) return path.invalid("missing");
  if (!v1::Tier_IsValid(tier)) return path.invalid("unknown tier {}", static_cast<int>(tier));
  return static_cast<Tier>(tier);
}

}  // namespace

Result<Slot> slot_from_wire(v1::Slot slot, const FieldPath& path) {
  if (slot == v1::SLOT_UNSPECIFIED) return path.invalid("missing");
  if (!v1::Slot_IsValid(slot)) return path.invalid("unknown slot {}", static_cast<int>(slot));
  return static_cast<Slot>(slot);
}

Result<Precision> precision_from_wire(v1::Precision precision, const FieldPath& path) {
  if (!v1::Precision_IsValid(precision)) {
    return path.invalid("unknown precision {}", static_cast<int>(precision));
  }
  return static_cast<Precision>(precision);
}

void to_wire(const ModelRef& model, v1::ModelRef* out) {
  out->set_file(model.path);
  out->set_precision(static_cast<v1::Precision>(model.precision));
}

Result<ModelRef> from_wire(v1::ModelRef& message, const FieldPath& path) {
  if (message.file().empty()) return path.field("file").invalid("missing");
  ModelRef model;
  LUNA_ASSIGN_OR_RETURN(model.precision,
                        precision_from_wire(message.precision(), path.field("precision")));
  model.path = std::move(*message.mutable_file());
  return model;
}

void to_wire(const RequestedModels& models, v1::ModelSet* out) {
  if (models.checkpoint) to_wire(*models.checkpoint, out->mutable_checkpoint());
  slots_to_wire(models.slots, out->mutable_slots());
  for (const auto& [slot, precision] : models.slot_precision) {
    (*out->mutable_slot_precision())[std::string(slot_name(slot))] =
        static_cast<v1::Precision>(precision);
  }
}

Result<RequestedModels> from_wire(v1::ModelSet& message, const FieldPath& path) {
  RequestedModels models;
  if (message.has_checkpoint()) {
    LUNA_ASSIGN_OR_RETURN(models.checkpoint,
                          from_wire(*message.mutable_checkpoint(), path.field("checkpoint")));
  }
  LUNA_ASSIGN_OR_RETURN(models.slots, slots_from_wire(*message.mutable_slots(), "slots", path));
  for (const auto& [name, precision] : message.slot_precision()) {
    const FieldPath entry = path.entry("slot_precision", name);
    const std::optional<Slot> slot = slot_from_name(name);
    if (!slot) {
      return entry.invalid(
          "no such slot; there are unet, vae, clip_l, clip_g, t5, llm, vision, upscale, preview");
    }
    LUNA_ASSIGN_OR_RETURN(models.slot_precision[*slot], precision_from_wire(precision, entry));
  }
  return models;
}

void to_wire(const ComponentInfo& info, v1::ComponentInfo* out) {
  out->set_slot(static_cast<v1::Slot>(info.slot));
  out->set_family(info.family);
  out->set_description(info.description);
  out->set_parameters(info.parameters);
  out->set_file_bytes(info.file_bytes);
  out->set_content_hash(info.content_hash);
  out->set_native_width(info.native_width);
  out->set_native_height(info.native_height);
  out->set_prediction(info.prediction);
  out->set_inpaint(info.inpaint);
}

Result<ComponentInfo> from_wire(v1::ComponentInfo& message, const FieldPath& path) {
  ComponentInfo info;
  LUNA_ASSIGN_OR_RETURN(info.slot, slot_from_wire(message.slot(), path.field("slot")));
  info.family = std::move(*message.mutable_family());
  info.description = std::move(*message.mutable_description());
  info.parameters = message.parameters();
  info.file_bytes = message.file_bytes();
  info.content_hash = std::move(*message.mutable_content_hash());
  info.native_width = message.native_width();
  info.native_height = message.native_height();
  info.prediction = std::move(*message.mutable_prediction());
  info.inpaint = message.inpaint();
  return info;
}

void to_wire(const LoadedModel& model, WorkerId worker, v1::LoadedModel* out) {
  to_wire(model.info, out->mutable_info());
  out->mutable_paths()->Add(model.paths.begin(), model.paths.end());
  out->set_precision(static_cast<v1::Precision>(model.precision));
  out->set_device(model.device);
  out->set_resident_bytes(model.resident_bytes);
  out->set_uses(model.uses);
  out->set_worker_id(worker.value);
  out->set_tier(static_cast<v1::Tier>(model.tier));
  out->set_jobs(model.jobs);
  out->set_pinned(model.pinned);
}

Result<LoadedModel> from_wire(v1::LoadedModel& message, const FieldPath& path) {
  LoadedModel model;
  LUNA_ASSIGN_OR_RETURN(model.info, from_wire(*message.mutable_info(), path.field("info")));
  model.paths.assign(message.paths().begin(), message.paths().end());
  LUNA_ASSIGN_OR_RETURN(model.precision,
                        precision_from_wire(message.precision(), path.field("precision")));
  model.device = std::move(*message.mutable_device());
  model.resident_bytes = message.resident_bytes();
  model.uses = message.uses();
  LUNA_ASSIGN_OR_RETURN(model.tier, tier_from_wire(message.tier(), path.field("tier")));
  model.jobs = message.jobs();
  model.pinned = message.pinned();
  return model;
}

void to_wire(const UnloadModelReply& reply, v1::UnloadModelResponse* out) {
  out->set_freed_bytes(reply.freed_bytes);
  out->set_host_freed_bytes(reply.host_freed_bytes);
  models_to_wire(reply.unloaded, out->mutable_unloaded());
  models_to_wire(reply.held, out->mutable_held());
}

Result<UnloadModelReply> from_wire(v1::UnloadModelResponse& message, const FieldPath& path) {
  UnloadModelReply reply;
  reply.freed_bytes = message.freed_bytes();
  reply.host_freed_bytes = message.host_freed_bytes();
  LUNA_ASSIGN_OR_RETURN(reply.unloaded,
                        models_from_wire(*message.mutable_unloaded(), "unloaded", path));
  LUNA_ASSIGN_OR_RETURN(reply.held, models_from_wire(*message.mutable_held(), "held", path));
  return reply;
}

void to_wire(const UnloadModelRequest& request, v1::OffloadModelRequest* out) {
  out->set_file(request.path);
  if (request.slot) out->set_slot(static_cast<v1::Slot>(*request.slot));
}

Result<UnloadModelRequest> from_wire(v1::OffloadModelRequest& message, const FieldPath& path) {
  UnloadModelRequest request;
  request.restorable = true;
  if (message.file().empty()) return path.field("file").invalid("missing");
  if (message.slot() != v1::SLOT_UNSPECIFIED) {
    LUNA_ASSIGN_OR_RETURN(request.slot, slot_from_wire(message.slot(), path.field("slot")));
  }
  request.path = std::move(*message.mutable_file());
  return request;
}

void to_wire(const UnloadModelReply& reply, v1::OffloadModelResponse* out) {
  out->set_freed_bytes(reply.freed_bytes);
  models_to_wire(reply.unloaded, out->mutable_offloaded());
  models_to_wire(reply.held, out->mutable_held());
}

Result<UnloadModelReply> from_wire(v1::OffloadModelResponse& message, const FieldPath& path) {
  UnloadModelReply reply;
  reply.freed_bytes = message.freed_bytes();
  LUNA_ASSIGN_OR_RETURN(reply.unloaded,
                        models_from_wire(*message.mutable_offloaded(), "offloaded", path));
  LUNA_ASSIGN_OR_RETURN(reply.held, models_from_wire(*message.mutable_held(), "held", path));
  return reply;
}

void to_wire(const RestoreModelReply& reply, v1::RestoreModelResponse* out) {
  models_to_wire(reply.restored, out->mutable_restored());
}

Result<RestoreModelReply> from_wire(v1::RestoreModelResponse& message, const FieldPath& path) {
  RestoreModelReply reply;
  LUNA_ASSIGN_OR_RETURN(reply.restored,
                        models_from_wire(*message.mutable_restored(), "restored", path));
  return reply;
}

void to_wire(const ModelFileInfo& file, v1::ModelFile* out) {
  out->set_folder(file.folder);
  out->set_file(file.file);
  out->set_bytes(file.bytes);
}

ModelFileInfo from_wire(v1::ModelFile& message) {
  return {std::move(*message.mutable_folder()), std::move(*message.mutable_file()),
          message.bytes()};
}

void to_wire(const LoadModelRequest& request, v1::LoadModelRequest* out) {
  out->set_slot(static_cast<v1::Slot>(request.slot));
  to_wire(request.model, out->mutable_model());
}

Result<LoadModelRequest> from_wire(v1::LoadModelRequest& message, const FieldPath& path) {
  LoadModelRequest request;
  LUNA_ASSIGN_OR_RETURN(request.slot, slot_from_wire(message.slot(), path.field("slot")));
  LUNA_ASSIGN_OR_RETURN(request.model, from_wire(*message.mutable_model(), path.field("model")));
  return request;
}

void to_wire(const InspectModelReply& reply, v1::InspectModelResponse* out) {
  for (const ComponentInfo& info : reply.components) to_wire(info, out->add_components());
  for (const NamedTensor& tensor : reply.tensors) {
    v1::NamedTensor* named = out->add_tensors();
    named->set_name(tensor.name);
    to_wire(tensor.spec, named->mutable_spec());
  }
}

Result<InspectModelReply> from_wire(v1::InspectModelResponse& message, const FieldPath& path) {
  InspectModelReply reply;
  LUNA_ASSIGN_OR_RETURN(reply.components,
                        components_from_wire(*message.mutable_components(), path));
  for (int i = 0; i < message.tensors_size(); ++i) {
    v1::NamedTensor& named = *message.mutable_tensors(i);
    const FieldPath at = path.item("tensors", static_cast<std::size_t>(i));
    LUNA_ASSIGN_OR_RETURN(TensorSpec spec, from_wire(named.spec(), at.field("spec")));
    reply.tensors.push_back({std::move(*named.mutable_name()), std::move(spec)});
  }
  return reply;
}

void to_wire(const WorkflowInfo& workflow, v1::Workflow* out) {
  out->set_workflow_id(workflow.id);
  to_wire(workflow.requested, out->mutable_models());
  for (const ComponentInfo& info : workflow.components) to_wire(info, out->add_components());
  out->set_ttl_seconds(workflow.ttl_seconds);
  out->set_seconds_left(workflow.seconds_left);
  out->set_calls(workflow.calls);
  out->set_calls_running(workflow.calls_running);
  slots_to_wire(workflow.models.slots, out->mutable_resolved());
  out->set_model_bytes(workflow.model_bytes);
  out->set_tensor_bytes(workflow.tensor_bytes);
}

Result<WorkflowInfo> from_wire(v1::Workflow& message, const FieldPath& path) {
  WorkflowInfo workflow;
  workflow.id = std::move(*message.mutable_workflow_id());
  LUNA_ASSIGN_OR_RETURN(workflow.requested,
                        from_wire(*message.mutable_models(), path.field("models")));
  LUNA_ASSIGN_OR_RETURN(workflow.components,
                        components_from_wire(*message.mutable_components(), path));
  workflow.ttl_seconds = message.ttl_seconds();
  workflow.seconds_left = message.seconds_left();
  workflow.calls = message.calls();
  workflow.calls_running = message.calls_running();
  LUNA_ASSIGN_OR_RETURN(workflow.models.slots,
                        slots_from_wire(*message.mutable_resolved(), "resolved", path));
  workflow.model_bytes = message.model_bytes();
  workflow.tensor_bytes = message.tensor_bytes();
  return workflow;
}

}  // namespace luna::wire
