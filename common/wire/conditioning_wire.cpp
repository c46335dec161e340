#include "common/wire/conditioning_wire.h"

namespace luna::wire {
namespace {

Status read_area(const v1::ConditioningArea& message, const FieldPath& path,
                 ConditioningArea* area) {
  LUNA_RETURN_IF_ERROR(path.field("height").check_finite(message.height()));
  LUNA_RETURN_IF_ERROR(path.field("width").check_finite(message.width()));
  LUNA_RETURN_IF_ERROR(path.field("y").check_finite(message.y()));
  LUNA_RETURN_IF_ERROR(path.field("x").check_finite(message.x()));
  if (message.height() < 0 || message.width() < 0 || message.y() < 0 || message.x() < 0) {
    return path.invalid("expected no negative number, found height {}, width {}, y {}, x {}",
                        message.height(), message.width(), message.y(), message.x());
  }
  *area = {message.fractional(), message.height(), message.width(), message.y(), message.x()};
  return {};
}

/// Leaves `out` as it is where the field is absent.
Status read_number(bool present, double value, std::string_view name, const FieldPath& parent,
                   double* out) {
  if (!present) return {};
  LUNA_RETURN_IF_ERROR(parent.field(name).check_finite(value));
  *out = value;
  return {};
}

/// A null message is an absent field.
Status read_tensor(v1::TensorRef* message, std::string_view name, const FieldPath& parent,
                   std::optional<TensorRef>* out) {
  if (!message) return {};
  LUNA_ASSIGN_OR_RETURN(*out, from_wire(*message, parent.field(name)));
  return {};
}

}  // namespace

void to_wire(const ConditioningEntry& entry, v1::ConditioningEntry* out) {
  to_wire(entry.cross_attn, out->mutable_cross_attn());
  if (entry.pooled) to_wire(*entry.pooled, out->mutable_pooled());
  if (entry.attention_mask) to_wire(*entry.attention_mask, out->mutable_attention_mask());
  out->set_strength(entry.strength);
  if (entry.area) {
    v1::ConditioningArea* area = out->mutable_area();
    area->set_fractional(entry.area->fractional);
    area->set_height(entry.area->height);
    area->set_width(entry.area->width);
    area->set_y(entry.area->y);
    area->set_x(entry.area->x);
  }
  if (entry.mask) to_wire(*entry.mask, out->mutable_mask());
  out->set_mask_strength(entry.mask_strength);
  out->set_set_area_to_bounds(entry.set_area_to_bounds);
  out->set_start_percent(entry.start_percent);
  out->set_end_percent(entry.end_percent);
  out->set_is_default(entry.is_default);
  if (entry.guidance) out->set_guidance(*entry.guidance);
  for (const auto& [name, value] : entry.numbers) (*out->mutable_numbers())[name] = value;
  tensors_to_wire(entry.extras, out->mutable_extras());
}

Result<ConditioningEntry> from_wire(v1::ConditioningEntry& message, const FieldPath& path) {
  const FieldPath context_path = path.field("cross_attn");
  if (!message.has_cross_attn()) return context_path.invalid("missing");
  ConditioningEntry entry;
  LUNA_ASSIGN_OR_RETURN(entry.cross_attn, from_wire(*message.mutable_cross_attn(), context_path));
  LUNA_RETURN_IF_ERROR(read_tensor(message.has_pooled() ? message.mutable_pooled() : nullptr,
                                   "pooled", path, &entry.pooled));
  LUNA_RETURN_IF_ERROR(
      read_tensor(message.has_attention_mask() ? message.mutable_attention_mask() : nullptr,
                  "attention_mask", path, &entry.attention_mask));
  LUNA_RETURN_IF_ERROR(
      read_number(message.has_strength(), message.strength(), "strength", path, &entry.strength));
  if (message.has_area()) {
    LUNA_RETURN_IF_ERROR(read_area(message.area(), path.field("area"), &entry.area.emplace()));
  }
  LUNA_RETURN_IF_ERROR(read_tensor(message.has_mask() ? message.mutable_mask() : nullptr, "mask",
                                   path, &entry.mask));
  LUNA_RETURN_IF_ERROR(read_number(message.has_mask_strength(), message.mask_strength(),
                                   "mask_strength", path, &entry.mask_strength));
  entry.set_area_to_bounds = message.set_area_to_bounds();
  LUNA_RETURN_IF_ERROR(read_number(message.has_start_percent(), message.start_percent(),
                                   "start_percent", path, &entry.start_percent));
  LUNA_RETURN_IF_ERROR(read_number(message.has_end_percent(), message.end_percent(), "end_percent",
                                   path, &entry.end_percent));
  entry.is_default = message.is_default();
  if (message.has_guidance()) {
    LUNA_RETURN_IF_ERROR(
        read_number(true, message.guidance(), "guidance", path, &entry.guidance.emplace()));
  }
  LUNA_ASSIGN_OR_RETURN(entry.numbers, numbers_from_wire(message.numbers(), "numbers", path));
  LUNA_ASSIGN_OR_RETURN(entry.extras, tensors_from_wire(*message.mutable_extras(), "extras", path));
  return entry;
}

void to_wire(const LoraRef& lora, v1::LoraRef* out) {
  out->set_file(lora.path);
  out->set_model_strength(lora.model_strength);
  out->set_clip_strength(lora.clip_strength);
  out->mutable_block_strengths()->insert(lora.block_strengths.begin(), lora.block_strengths.end());
}

Result<LoraRef> from_wire(v1::LoraRef& message, const FieldPath& path) {
  if (message.file().empty()) return path.field("file").invalid("missing");
  LoraRef lora;
  lora.path = std::move(*message.mutable_file());
  LUNA_RETURN_IF_ERROR(read_number(message.has_model_strength(), message.model_strength(),
                                   "model_strength", path, &lora.model_strength));
  lora.clip_strength = lora.model_strength;
  LUNA_RETURN_IF_ERROR(read_number(message.has_clip_strength(), message.clip_strength(),
                                   "clip_strength", path, &lora.clip_strength));
  LUNA_ASSIGN_OR_RETURN(lora.block_strengths,
                        numbers_from_wire(message.block_strengths(), "block_strengths", path));
  return lora;
}

Result<LoraApplication> lora_application_from_wire(v1::LoraApplication application,
                                                   const FieldPath& path) {
  if (!v1::LoraApplication_IsValid(application)) {
    return path.invalid("unknown lora_application {}", static_cast<int>(application));
  }
  return static_cast<LoraApplication>(application);
}

void to_wire(const AppliedLoras& applied, v1::AppliedLoras* out) {
  out->set_application(static_cast<v1::LoraApplication>(applied.application));
  out->set_reason(applied.reason);
}

Result<AppliedLoras> from_wire(v1::AppliedLoras& message, const FieldPath& path) {
  AppliedLoras applied;
  LUNA_ASSIGN_OR_RETURN(applied.application,
                        lora_application_from_wire(message.application(), path));
  applied.reason = std::move(*message.mutable_reason());
  return applied;
}

void loras_to_wire(const std::vector<LoraRef>& loras,
                   google::protobuf::RepeatedPtrField<v1::LoraRef>* out) {
  for (const LoraRef& lora : loras) to_wire(lora, out->Add());
}

Result<std::vector<LoraRef>> loras_from_wire(google::protobuf::RepeatedPtrField<v1::LoraRef>& field,
                                             const FieldPath& parent) {
  std::vector<LoraRef> loras;
  loras.reserve(static_cast<std::size_t>(field.size()));
  for (int i = 0; i < field.size(); ++i) {
    const FieldPath path = parent.item("loras", static_cast<std::size_t>(i));
    LUNA_ASSIGN_OR_RETURN(loras.emplace_back(), from_wire(field[i], path));
  }
  return loras;
}

}  // namespace luna::wire
