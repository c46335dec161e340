#include "common/wire/sampling_wire.h"

namespace luna::wire {
namespace {

using TensorField = google::protobuf::RepeatedPtrField<v1::TensorRef>;

Result<std::vector<TensorRef>> list_from_wire(TensorField& field, std::string_view name,
                                              const FieldPath& parent) {
  std::vector<TensorRef> tensors;
  tensors.reserve(static_cast<std::size_t>(field.size()));
  for (int i = 0; i < field.size(); ++i) {
    LUNA_ASSIGN_OR_RETURN(tensors.emplace_back(),
                          from_wire(field[i], parent.item(name, static_cast<std::size_t>(i))));
  }
  return tensors;
}

void list_to_wire(const std::vector<TensorRef>& tensors, TensorField* out) {
  for (const TensorRef& tensor : tensors) to_wire(tensor, out->Add());
}

void to_wire(const NoiseSpec& noise, v1::Noise* out) {
  out->set_seed(noise.seed);
  out->set_batch_size(noise.batch_size);
  out->set_batch_index(noise.batch_index);
  out->set_disable(!noise.add_noise);
  if (noise.tensor) wire::to_wire(*noise.tensor, out->mutable_tensor());
}

Result<NoiseSpec> from_wire(v1::Noise& message, const FieldPath& path) {
  NoiseSpec noise;
  noise.seed = message.seed();
  noise.batch_size = message.batch_size() == 0 ? 1 : message.batch_size();
  noise.batch_index = message.batch_index();
  if (noise.batch_index >= noise.batch_size) {
    return path.field("batch_index")
        .invalid("expected less than batch_size {}, found {}", noise.batch_size, noise.batch_index);
  }
  noise.add_noise = !message.disable();
  if (message.has_tensor()) {
    LUNA_ASSIGN_OR_RETURN(noise.tensor,
                          wire::from_wire(*message.mutable_tensor(), path.field("tensor")));
  }
  return noise;
}

void to_wire(const Guidance& guidance, v1::Guidance* out) {
  out->set_cfg(guidance.cfg);
  for (const auto& [name, value] : guidance.options) (*out->mutable_options())[name] = value;
}

Result<Guidance> from_wire(v1::Guidance& message, const FieldPath& path) {
  Guidance guidance;
  if (message.has_cfg()) {
    LUNA_RETURN_IF_ERROR(path.field("cfg").check_finite(message.cfg()));
    guidance.cfg = message.cfg();
  }
  LUNA_ASSIGN_OR_RETURN(guidance.options, numbers_from_wire(message.options(), "options", path));
  return guidance;
}

Result<std::vector<ConditioningEntry>> entries_from_wire(v1::ConditioningList& message,
                                                         const FieldPath& path) {
  std::vector<ConditioningEntry> entries;
  entries.reserve(static_cast<std::size_t>(message.entries_size()));
  for (int i = 0; i < message.entries_size(); ++i) {
    LUNA_ASSIGN_OR_RETURN(
        entries.emplace_back(),
        wire::from_wire(*message.mutable_entries(i), path.item("", static_cast<std::size_t>(i))));
  }
  return entries;
}

/// What SampleReply and DenoiseReply say of the rows' LoRAs.
template <class Reply, class Message>
void loras_applied_to_wire(const Reply& reply, Message* out) {
  for (const AppliedLoras& applied : reply.loras) wire::to_wire(applied, out->add_loras());
  for (const std::string& warning : reply.warnings) out->add_warnings(warning);
}

template <class Message, class Reply>
Status loras_applied_from_wire(Message& message, const FieldPath& path, Reply& reply) {
  for (int i = 0; i < message.loras_size(); ++i) {
    const FieldPath row = path.item("loras", static_cast<std::size_t>(i));
    LUNA_ASSIGN_OR_RETURN(reply.loras.emplace_back(),
                          wire::from_wire(*message.mutable_loras(i), row));
  }
  reply.warnings.assign(message.warnings().begin(), message.warnings().end());
  return {};
}

}  // namespace

void to_wire(const SamplerRun& run, v1::SamplerRun* out) {
  out->set_sampler(run.sampler);
  out->set_scheduler(run.scheduler);
  out->set_steps(static_cast<std::uint32_t>(run.steps));
  out->set_denoise(run.denoise);
  out->mutable_sigmas()->Add(run.sigmas.begin(), run.sigmas.end());
  if (run.start_step) out->set_start_step(static_cast<std::uint32_t>(*run.start_step));
  if (run.end_step) out->set_end_step(static_cast<std::uint32_t>(*run.end_step));
  out->set_force_full_denoise(run.force_full_denoise);
  for (const auto& [name, value] : run.options) (*out->mutable_options())[name] = value;
}

Result<SamplerRun> from_wire(v1::SamplerRun& message, const FieldPath& path) {
  SamplerRun run;
  if (!message.sampler().empty()) run.sampler = std::move(*message.mutable_sampler());
  if (!message.scheduler().empty()) run.scheduler = std::move(*message.mutable_scheduler());
  if (message.steps() != 0) {
    LUNA_ASSIGN_OR_RETURN(run.steps, path.field("steps").to_int(message.steps()));
  }
  if (message.has_denoise()) {
    LUNA_RETURN_IF_ERROR(path.field("denoise").check_finite(message.denoise()));
    run.denoise = message.denoise();
  }
  run.sigmas.assign(message.sigmas().begin(), message.sigmas().end());
  for (std::size_t i = 0; i < run.sigmas.size(); ++i) {
    LUNA_RETURN_IF_ERROR(path.item("sigmas", i).check_finite(run.sigmas[i]));
  }
  if (message.has_start_step()) {
    LUNA_ASSIGN_OR_RETURN(run.start_step, path.field("start_step").to_int(message.start_step()));
  }
  if (message.has_end_step()) {
    // KSamplerAdvanced's "to the end" is 10000, but any number is taken.
    LUNA_ASSIGN_OR_RETURN(run.end_step, path.field("end_step").to_int(message.end_step()));
  }
  if (message.has_force_full_denoise()) run.force_full_denoise = message.force_full_denoise();
  LUNA_ASSIGN_OR_RETURN(run.options, numbers_from_wire(message.options(), "options", path));
  return run;
}

void to_wire(const SampleRow& row, v1::SampleRow* out) {
  to_wire(row.latent, out->mutable_latent());
  if (row.noise_mask) to_wire(*row.noise_mask, out->mutable_noise_mask());
  to_wire(row.noise, out->mutable_noise());
  for (const auto& [name, entries] : row.conditioning) {
    v1::ConditioningList& list = (*out->mutable_conditioning())[name];
    for (const ConditioningEntry& entry : entries) to_wire(entry, list.add_entries());
  }
  tensors_to_wire(row.extras, out->mutable_extras());
  loras_to_wire(row.loras, out->mutable_loras());
  to_wire(row.guidance, out->mutable_guidance());
}

Result<SampleRow> from_wire(v1::SampleRow& message, const FieldPath& path) {
  SampleRow row;
  const FieldPath latent_path = path.field("latent");
  if (!message.has_latent()) {
    return latent_path.invalid("missing; an empty latent has a spec and no bytes");
  }
  LUNA_ASSIGN_OR_RETURN(row.latent, from_wire(*message.mutable_latent(), latent_path));
  if (message.has_noise_mask()) {
    LUNA_ASSIGN_OR_RETURN(row.noise_mask,
                          from_wire(*message.mutable_noise_mask(), path.field("noise_mask")));
  }
  if (message.has_noise()) {
    LUNA_ASSIGN_OR_RETURN(row.noise, from_wire(*message.mutable_noise(), path.field("noise")));
  }
  for (auto& [name, list] : *message.mutable_conditioning()) {
    LUNA_ASSIGN_OR_RETURN(row.conditioning[name],
                          entries_from_wire(list, path.entry("conditioning", name)));
  }
  LUNA_ASSIGN_OR_RETURN(row.extras, tensors_from_wire(*message.mutable_extras(), "extras", path));
  LUNA_ASSIGN_OR_RETURN(row.loras, loras_from_wire(*message.mutable_loras(), path));
  if (message.has_guidance()) {
    LUNA_ASSIGN_OR_RETURN(row.guidance,
                          from_wire(*message.mutable_guidance(), path.field("guidance")));
  }
  return row;
}

void to_wire(const SampleRequest& request, v1::SampleRequest* out) {
  to_wire(request.run, out->mutable_run());
  for (const SampleRow& row : request.rows) to_wire(row, out->add_rows());
  out->mutable_previews()->set_every_steps(
      static_cast<std::uint32_t>(request.previews.every_steps));
  out->mutable_previews()->set_max_edge(static_cast<std::uint32_t>(request.previews.max_edge));
  out->set_keep(request.keep);
  out->set_lora_application(static_cast<v1::LoraApplication>(request.lora_application));
}

Result<SampleRequest> from_wire(v1::SampleRequest& message, const FieldPath& path) {
  SampleRequest request;
  if (message.has_run()) {
    LUNA_ASSIGN_OR_RETURN(request.run, from_wire(*message.mutable_run(), path.field("run")));
  }
  request.rows.reserve(static_cast<std::size_t>(message.rows_size()));
  for (int i = 0; i < message.rows_size(); ++i) {
    const FieldPath row_path = path.item("rows", static_cast<std::size_t>(i));
    LUNA_ASSIGN_OR_RETURN(request.rows.emplace_back(),
                          from_wire(*message.mutable_rows(i), row_path));
  }
  const FieldPath previews = path.field("previews");
  LUNA_ASSIGN_OR_RETURN(request.previews.every_steps,
                        previews.field("every_steps").to_int(message.previews().every_steps()));
  if (message.previews().max_edge() != 0) {
    LUNA_ASSIGN_OR_RETURN(request.previews.max_edge,
                          previews.field("max_edge").to_int(message.previews().max_edge()));
  }
  request.keep = message.keep();
  LUNA_ASSIGN_OR_RETURN(
      request.lora_application,
      lora_application_from_wire(message.lora_application(), path.field("lora_application")));
  return request;
}

void to_wire(const SampleProgress& progress, v1::SampleProgress* out) {
  out->set_step(static_cast<std::uint32_t>(progress.step));
  out->set_steps(static_cast<std::uint32_t>(progress.steps));
  out->set_sigma(progress.sigma);
  out->set_rows_in_batch(static_cast<std::uint32_t>(progress.rows_in_batch));
  if (progress.preview) to_wire(*progress.preview, out->mutable_preview());
}

Result<SampleProgress> from_wire(v1::SampleProgress& message, const FieldPath& path) {
  SampleProgress progress;
  LUNA_ASSIGN_OR_RETURN(progress.step, path.field("step").to_int(message.step()));
  LUNA_ASSIGN_OR_RETURN(progress.steps, path.field("steps").to_int(message.steps()));
  progress.sigma = message.sigma();
  LUNA_ASSIGN_OR_RETURN(progress.rows_in_batch,
                        path.field("rows_in_batch").to_int(message.rows_in_batch()));
  if (message.has_preview()) {
    LUNA_ASSIGN_OR_RETURN(progress.preview,
                          from_wire(*message.mutable_preview(), path.field("preview")));
  }
  return progress;
}

void to_wire(const SampleReply& reply, v1::SampleResult* out) {
  list_to_wire(reply.latents, out->mutable_latents());
  out->mutable_sigmas()->Add(reply.sigmas.begin(), reply.sigmas.end());
  out->set_evaluations(reply.evaluations);
  loras_applied_to_wire(reply, out);
}

Result<SampleReply> from_wire(v1::SampleResult& message, const FieldPath& path) {
  SampleReply reply;
  LUNA_ASSIGN_OR_RETURN(reply.latents, list_from_wire(*message.mutable_latents(), "latents", path));
  reply.sigmas.assign(message.sigmas().begin(), message.sigmas().end());
  reply.evaluations = message.evaluations();
  LUNA_RETURN_IF_ERROR(loras_applied_from_wire(message, path, reply));
  return reply;
}

void to_wire(const DenoiseRequest& request, v1::DenoiseRequest* out) {
  for (const DenoiseRow& row : request.rows) {
    v1::DenoiseRow* message = out->add_rows();
    to_wire(row.x, message->mutable_x());
    message->set_sigma(row.sigma);
    to_wire(row.conditioning, message->mutable_conditioning());
    tensors_to_wire(row.extras, message->mutable_extras());
    loras_to_wire(row.loras, message->mutable_loras());
  }
  out->set_keep(request.keep);
  out->set_lora_application(static_cast<v1::LoraApplication>(request.lora_application));
}

Result<DenoiseRequest> from_wire(v1::DenoiseRequest& message, const FieldPath& path) {
  DenoiseRequest request;
  request.rows.resize(static_cast<std::size_t>(message.rows_size()));
  for (std::size_t i = 0; i < request.rows.size(); ++i) {
    const FieldPath row_path = path.item("rows", i);
    v1::DenoiseRow& from = *message.mutable_rows(static_cast<int>(i));
    DenoiseRow& row = request.rows[i];
    if (!from.has_x()) return row_path.field("x").invalid("missing");
    LUNA_ASSIGN_OR_RETURN(row.x, from_wire(*from.mutable_x(), row_path.field("x")));
    LUNA_RETURN_IF_ERROR(row_path.field("sigma").check_finite(from.sigma()));
    row.sigma = from.sigma();
    const FieldPath conditioning = row_path.field("conditioning");
    if (!from.has_conditioning()) return conditioning.invalid("missing");
    LUNA_ASSIGN_OR_RETURN(row.conditioning, from_wire(*from.mutable_conditioning(), conditioning));
    LUNA_ASSIGN_OR_RETURN(row.extras,
                          tensors_from_wire(*from.mutable_extras(), "extras", row_path));
    LUNA_ASSIGN_OR_RETURN(row.loras, loras_from_wire(*from.mutable_loras(), row_path));
  }
  request.keep = message.keep();
  LUNA_ASSIGN_OR_RETURN(
      request.lora_application,
      lora_application_from_wire(message.lora_application(), path.field("lora_application")));
  return request;
}

void to_wire(const DenoiseReply& reply, v1::DenoiseResponse* out) {
  list_to_wire(reply.denoised, out->mutable_denoised());
  loras_applied_to_wire(reply, out);
  out->set_seconds_on_device(reply.seconds_on_device);
}

Result<DenoiseReply> from_wire(v1::DenoiseResponse& message, const FieldPath& path) {
  DenoiseReply reply;
  LUNA_ASSIGN_OR_RETURN(reply.denoised,
                        list_from_wire(*message.mutable_denoised(), "denoised", path));
  LUNA_RETURN_IF_ERROR(loras_applied_from_wire(message, path, reply));
  reply.seconds_on_device = message.seconds_on_device();
  return reply;
}

}  // namespace luna::wire
