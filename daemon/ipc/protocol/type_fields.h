#pragma once

#include "common/types/host_weights.h"
#include "common/types/job.h"
#include "common/types/report.h"
#include "common/types/steps.h"
#include "common/types/worker_settings.h"
#include "daemon/ipc/protocol/archive.h"

// The fields of every type that travels inside a message, in their order on the wire. The order and
// the set of fields are part of the protocol: a change here raises kProtocolVersion.
namespace luna::ipc {

template <class Archive, Described<TensorSpec> T>
void fields(Archive& archive, T& spec) {
  archive.field("dtype", spec.dtype);
  archive.field("shape", spec.shape);
}

template <class Archive, Described<NamedTensor> T>
void fields(Archive& archive, T& tensor) {
  archive.field("name", tensor.name);
  archive.field("spec", tensor.spec);
}

template <class Archive, Described<ResidentTensor> T>
void fields(Archive& archive, T& resident) {
  archive.field("id", resident.id);
}

template <class Archive, Described<SharedRegion> T>
void fields(Archive& archive, T& region) {
  archive.field("region_id", region.region_id);
  archive.field("offset", region.offset);
}

template <class Archive, Described<CudaHandle> T>
void fields(Archive& archive, T& handle) {
  archive.field("device_uuid", handle.device_uuid);
  archive.field("handle", handle.handle);
  archive.field("allocation_size", handle.allocation_size);
  archive.field("offset", handle.offset);
  archive.field("event_handle", handle.event_handle);
  archive.field("lease_id", handle.lease_id);
  archive.field("region_id", handle.region_id);
  archive.field("descriptor", handle.descriptor);
  archive.field("mapping", handle.mapping);
}

template <class Archive, Described<TensorRef> T>
void fields(Archive& archive, T& tensor) {
  archive.field("spec", tensor.spec);
  archive.field("place", tensor.place);
}

template <class Archive, Described<ConditioningArea> T>
void fields(Archive& archive, T& area) {
  archive.field("fractional", area.fractional);
  archive.field("height", area.height);
  archive.field("width", area.width);
  archive.field("y", area.y);
  archive.field("x", area.x);
}

template <class Archive, Described<ConditioningEntry> T>
void fields(Archive& archive, T& entry) {
  archive.field("cross_attn", entry.cross_attn);
  archive.field("pooled", entry.pooled);
  archive.field("attention_mask", entry.attention_mask);
  archive.field("strength", entry.strength);
  archive.field("area", entry.area);
  archive.field("mask", entry.mask);
  archive.field("mask_strength", entry.mask_strength);
  archive.field("set_area_to_bounds", entry.set_area_to_bounds);
  archive.field("start_percent", entry.start_percent);
  archive.field("end_percent", entry.end_percent);
  archive.field("is_default", entry.is_default);
  archive.field("guidance", entry.guidance);
  archive.field("numbers", entry.numbers);
  archive.field("extras", entry.extras);
}

template <class Archive, Described<ModelRef> T>
void fields(Archive& archive, T& model) {
  archive.field("path", model.path);
  archive.field("precision", model.precision);
}

template <class Archive, Described<ModelSet> T>
void fields(Archive& archive, T& models) {
  archive.field("slots", models.slots);
}

template <class Archive, Described<LoraRef> T>
void fields(Archive& archive, T& lora) {
  archive.field("path", lora.path);
  archive.field("model_strength", lora.model_strength);
  archive.field("clip_strength", lora.clip_strength);
  archive.field("block_strengths", lora.block_strengths);
}

template <class Archive, Described<AppliedLoras> T>
void fields(Archive& archive, T& applied) {
  archive.field("application", applied.application);
  archive.field("reason", applied.reason);
}

template <class Archive, Described<ComponentInfo> T>
void fields(Archive& archive, T& info) {
  archive.field("slot", info.slot);
  archive.field("family", info.family);
  archive.field("description", info.description);
  archive.field("parameters", info.parameters);
  archive.field("file_bytes", info.file_bytes);
  archive.field("content_hash", info.content_hash);
  archive.field("native_width", info.native_width);
  archive.field("native_height", info.native_height);
  archive.field("prediction", info.prediction);
  archive.field("inpaint", info.inpaint);
}

template <class Archive, Described<LoadedModel> T>
void fields(Archive& archive, T& model) {
  archive.field("info", model.info);
  archive.field("paths", model.paths);
  archive.field("precision", model.precision);
  archive.field("device", model.device);
  archive.field("resident_bytes", model.resident_bytes);
  archive.field("uses", model.uses);
  archive.field("tier", model.tier);
  archive.field("jobs", model.jobs);
  archive.field("pinned", model.pinned);
}

template <class Archive, Described<SamplerRun> T>
void fields(Archive& archive, T& run) {
  archive.field("sampler", run.sampler);
  archive.field("scheduler", run.scheduler);
  archive.field("steps", run.steps);
  archive.field("denoise", run.denoise);
  archive.field("sigmas", run.sigmas);
  archive.field("start_step", run.start_step);
  archive.field("end_step", run.end_step);
  archive.field("force_full_denoise", run.force_full_denoise);
  archive.field("options", run.options);
}

template <class Archive, Described<NoiseSpec> T>
void fields(Archive& archive, T& noise) {
  archive.field("seed", noise.seed);
  archive.field("batch_size", noise.batch_size);
  archive.field("batch_index", noise.batch_index);
  archive.field("add_noise", noise.add_noise);
  archive.field("tensor", noise.tensor);
}

template <class Archive, Described<Guidance> T>
void fields(Archive& archive, T& guidance) {
  archive.field("cfg", guidance.cfg);
  archive.field("options", guidance.options);
}

template <class Archive, Described<SampleRow> T>
void fields(Archive& archive, T& row) {
  archive.field("latent", row.latent);
  archive.field("noise_mask", row.noise_mask);
  archive.field("noise", row.noise);
  archive.field("conditioning", row.conditioning);
  archive.field("extras", row.extras);
  archive.field("loras", row.loras);
  archive.field("guidance", row.guidance);
}

template <class Archive, Described<PreviewOptions> T>
void fields(Archive& archive, T& previews) {
  archive.field("every_steps", previews.every_steps);
  archive.field("max_edge", previews.max_edge);
}

template <class Archive, Described<SampleRequest> T>
void fields(Archive& archive, T& request) {
  archive.field("run", request.run);
  archive.field("rows", request.rows);
  archive.field("previews", request.previews);
  archive.field("keep", request.keep);
  archive.field("lora_application", request.lora_application);
}

template <class Archive, Described<SampleProgress> T>
void fields(Archive& archive, T& progress) {
  archive.field("step", progress.step);
  archive.field("steps", progress.steps);
  archive.field("sigma", progress.sigma);
  archive.field("rows_in_batch", progress.rows_in_batch);
  archive.field("preview", progress.preview);
}

template <class Archive, Described<SampleReply> T>
void fields(Archive& archive, T& reply) {
  archive.field("latents", reply.latents);
  archive.field("sigmas", reply.sigmas);
  archive.field("evaluations", reply.evaluations);
  archive.field("loras", reply.loras);
  archive.field("warnings", reply.warnings);
}

template <class Archive, Described<DenoiseRow> T>
void fields(Archive& archive, T& row) {
  archive.field("x", row.x);
  archive.field("sigma", row.sigma);
  archive.field("conditioning", row.conditioning);
  archive.field("extras", row.extras);
  archive.field("loras", row.loras);
}

template <class Archive, Described<DenoiseRequest> T>
void fields(Archive& archive, T& request) {
  archive.field("rows", request.rows);
  archive.field("keep", request.keep);
  archive.field("lora_application", request.lora_application);
}

template <class Archive, Described<DenoiseReply> T>
void fields(Archive& archive, T& reply) {
  archive.field("denoised", reply.denoised);
  archive.field("loras", reply.loras);
  archive.field("warnings", reply.warnings);
  archive.field("seconds_on_device", reply.seconds_on_device);
}

template <class Archive, Described<Token> T>
void fields(Archive& archive, T& token) {
  archive.field("id", token.id);
  archive.field("weight", token.weight);
  archive.field("embedding", token.embedding);
}

template <class Archive, Described<TokenizeRequest> T>
void fields(Archive& archive, T& request) {
  archive.field("text", request.text);
}

template <class Archive, Described<TokenizeReply> T>
void fields(Archive& archive, T& reply) {
  archive.field("chunks", reply.chunks);
  archive.field("warnings", reply.warnings);
}

template <class Archive, Described<EncodeTextRequest> T>
void fields(Archive& archive, T& request) {
  archive.field("text", request.text);
  archive.field("tokens", request.tokens);
  archive.field("clip_skip", request.clip_skip);
  archive.field("loras", request.loras);
  archive.field("keep", request.keep);
}

template <class Archive, Described<EncodeTextReply> T>
void fields(Archive& archive, T& reply) {
  archive.field("cross_attn", reply.cross_attn);
  archive.field("pooled", reply.pooled);
  archive.field("warnings", reply.warnings);
}

template <class Archive, Described<TileOptions> T>
void fields(Archive& archive, T& tile) {
  archive.field("size", tile.size);
  archive.field("overlap", tile.overlap);
}

template <class Archive, Described<VaeEncodeRequest> T>
void fields(Archive& archive, T& request) {
  archive.field("pixels", request.pixels);
  archive.field("tile", request.tile);
  archive.field("keep", request.keep);
}

template <class Archive, Described<VaeEncodeReply> T>
void fields(Archive& archive, T& reply) {
  archive.field("latent", reply.latent);
}

template <class Archive, Described<VaeDecodeRequest> T>
void fields(Archive& archive, T& request) {
  archive.field("latent", request.latent);
  archive.field("tile", request.tile);
  archive.field("as_u8", request.as_u8);
  archive.field("keep", request.keep);
}

template <class Archive, Described<VaeDecodeReply> T>
void fields(Archive& archive, T& reply) {
  archive.field("pixels", reply.pixels);
}

template <class Archive, Described<InspectModelRequest> T>
void fields(Archive& archive, T& request) {
  archive.field("path", request.path);
  archive.field("tensors", request.tensors);
}

template <class Archive, Described<InspectModelReply> T>
void fields(Archive& archive, T& reply) {
  archive.field("components", reply.components);
  archive.field("tensors", reply.tensors);
}

template <class Archive, Described<LoadModelRequest> T>
void fields(Archive& archive, T& request) {
  archive.field("slot", request.slot);
  archive.field("model", request.model);
}

template <class Archive, Described<LoadModelReply> T>
void fields(Archive& archive, T& reply) {
  archive.field("model", reply.model);
}

template <class Archive, Described<UnloadModelRequest> T>
void fields(Archive& archive, T& request) {
  archive.field("path", request.path);
  archive.field("slot", request.slot);
  archive.field("restorable", request.restorable);
  archive.field("host", request.host);
}

template <class Archive, Described<UnloadModelReply> T>
void fields(Archive& archive, T& reply) {
  archive.field("freed_bytes", reply.freed_bytes);
  archive.field("host_freed_bytes", reply.host_freed_bytes);
  archive.field("unloaded", reply.unloaded);
  archive.field("held", reply.held);
}

template <class Archive, Described<RestoreModelRequest> T>
void fields(Archive& archive, T& request) {
  archive.field("path", request.path);
}

template <class Archive, Described<RestoreModelReply> T>
void fields(Archive& archive, T& reply) {
  archive.field("restored", reply.restored);
}

template <class Archive, Described<LeaseCudaRequest> T>
void fields(Archive& archive, T& request) {
  archive.field("device_uuid", request.device_uuid);
  archive.field("bytes", request.bytes);
}

template <class Archive, Described<LeaseCudaReply> T>
void fields(Archive& archive, T& reply) {
  archive.field("memory", reply.memory);
}

template <class Archive, Described<ProveCudaRequest> T>
void fields(Archive& archive, T& request) {
  archive.field("memory", request.memory);
}

template <class Archive, Described<ProveCudaReply> T>
void fields(Archive& archive, T& reply) {
  archive.field("nonce", reply.nonce);
  archive.field("memory", reply.memory);
  archive.field("expected", reply.expected);
}

template <class Archive, Described<Job> T>
void fields(Archive& archive, T& job) {
  archive.field("id", job.id);
  archive.field("workflow", job.workflow);
  archive.field("priority", job.priority);
  archive.field("deadline", job.deadline);
  archive.field("models", job.models);
  archive.field("request", job.request);
  archive.field("session", job.session);
  archive.field("cuda_results", job.cuda_results);
}

template <class Archive, Described<StepsOpening> T>
void fields(Archive& archive, T& opening) {
  archive.field("id", opening.id);
  archive.field("workflow", opening.workflow);
  archive.field("models", opening.models);
  archive.field("lora_files", opening.lora_files);
  archive.field("rows_per_call", opening.rows_per_call);
}

template <class Archive, Described<ForwardCounters> T>
void fields(Archive& archive, T& counters) {
  archive.field("forwards", counters.forwards);
  archive.field("rows", counters.rows);
  archive.field("batch_sizes", counters.batch_sizes);
  archive.field("seconds_on_device", counters.seconds_on_device);
}

template <class Archive, Described<WorkerReport> T>
void fields(Archive& archive, T& report) {
  archive.field("device", report.device);
  archive.field("device_uuid", report.device_uuid);
  archive.field("jobs_running", report.jobs_running);
  archive.field("jobs_queued", report.jobs_queued);
  archive.field("jobs_done", report.jobs_done);
  archive.field("jobs_failed", report.jobs_failed);
  archive.field("jobs_cancelled", report.jobs_cancelled);
  archive.field("seconds_in_queue", report.seconds_in_queue);
  archive.field("forwards", report.forwards);
  archive.field("models", report.models);
  archive.field("resident_bytes", report.resident_bytes);
  archive.field("step_in_progress_ms", report.step_in_progress_ms);
  archive.field("peak_resident_bytes", report.peak_resident_bytes);
  archive.field("memory", report.memory);
  archive.field("files_read", report.files_read);
  archive.field("overlays", report.overlays);
  archive.field("step_evaluations", report.step_evaluations);
}

template <class Archive, Described<WorkerSettings> T>
void fields(Archive& archive, T& settings) {
  archive.field("device", settings.device);
  archive.field("threads", settings.threads);
  archive.field("max_rows_per_forward", settings.max_rows_per_forward);
  archive.field("heartbeat_ms", settings.heartbeat_ms);
  archive.field("max_queued_jobs", settings.max_queued_jobs);
  archive.field("clip_vocabulary", settings.clip_vocabulary);
  archive.field("embedding_folders", settings.embedding_folders);
  archive.field("memory_budget_bytes", settings.memory_budget_bytes);
  archive.field("cuda_outbox_bytes", settings.cuda_outbox_bytes);
  archive.field("cuda_imports", settings.cuda_imports);
}

template <class Archive, Described<FileIdentity> T>
void fields(Archive& archive, T& file) {
  archive.field("path", file.path);
  archive.field("device", file.device);
  archive.field("inode", file.inode);
  archive.field("size", file.size);
  archive.field("mtime_ns", file.mtime_ns);
  archive.field("ctime_ns", file.ctime_ns);
  archive.field("parts", file.parts);
}

template <class Archive, Described<ComponentSource> T>
void fields(Archive& archive, T& source) {
  archive.field("file", source.file);
  archive.field("slot", source.slot);
}

template <class Archive, Described<HostTensor> T>
void fields(Archive& archive, T& tensor) {
  archive.field("name", tensor.name);
  archive.field("spec", tensor.spec);
  archive.field("offset", tensor.offset);
}

template <class Archive, Described<HostWeights> T>
void fields(Archive& archive, T& weights) {
  archive.field("content_hash", weights.content_hash);
  archive.field("tensors", weights.tensors);
  archive.field("metadata", weights.metadata);
  archive.field("bytes", weights.bytes);
}

}  // namespace luna::ipc
