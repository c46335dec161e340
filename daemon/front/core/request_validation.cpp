#include "daemon/front/core/request_validation.h"

#include <cmath>
#include <string>

#include "common/base/overloaded.h"
#include "common/types/cuda_handle.h"
#include "common/types/model_needs.h"
#include "common/types/request_tensors.h"
#include "daemon/front/core/tensor_rules.h"

namespace luna::front {
namespace {

constexpr std::size_t kMaxNameBytes = 128;
constexpr std::size_t kMaxOptions = 64;
constexpr std::size_t kMaxEntries = 256;
constexpr std::size_t kMaxLoras = 256;
constexpr std::size_t kMaxChunks = 4096;
constexpr std::size_t kMaxTokensPerChunk = 65536;
constexpr std::size_t kMaxEmbeddingWidth = 65536;
constexpr int kMaxClipSkip = 128;
constexpr std::uint32_t kMaxNoiseBatch = 65536;
constexpr std::uint64_t kMaxNoiseDraw = 4ull << 30;

template <class... Args>
Status bad(fmt::format_string<Args...> format, Args&&... args) {
  return error(StatusCode::kInvalidArgument, format, std::forward<Args>(args)...);
}

Status check_name(const std::string& text, const std::string& field) {
  if (text.size() <= kMaxNameBytes) return {};
  return bad("{}: a name of at most {} bytes was expected, found {} bytes", field, kMaxNameBytes,
             text.size());
}

Status check_count(std::size_t count, std::size_t max, const std::string& field) {
  if (count <= max) return {};
  return bad("{}: at most {} are taken, found {}", field, max, count);
}

Status check_finite(double value, const std::string& field) {
  if (std::isfinite(value)) return {};
  return bad("{}: a finite number was expected, found {}", field, value);
}

Status check_share(double value, const std::string& field) {
  if (value >= 0.0 && value <= 1.0) return {};
  return bad("{}: a number from 0 to 1 was expected, found {}", field, value);
}

Status check_options(const std::map<std::string, double>& options, const std::string& field) {
  LUNA_RETURN_IF_ERROR(check_count(options.size(), kMaxOptions, field));
  for (const auto& [name, value] : options) {
    LUNA_RETURN_IF_ERROR(check_name(name, field));
    LUNA_RETURN_IF_ERROR(check_finite(value, field + "." + name));
  }
  return {};
}

Status check_loras(const std::vector<LoraRef>& loras, const std::string& field) {
  LUNA_RETURN_IF_ERROR(check_count(loras.size(), kMaxLoras, field));
  for (std::size_t i = 0; i < loras.size(); ++i) {
    const std::string name = fmt::format("{}[{}]", field, i);
    LUNA_RETURN_IF_ERROR(check_finite(loras[i].model_strength, name + ".model_strength"));
    LUNA_RETURN_IF_ERROR(check_finite(loras[i].clip_strength, name + ".clip_strength"));
    LUNA_RETURN_IF_ERROR(check_options(loras[i].block_strengths, name + ".block_strengths"));
  }
  return {};
}

/// Checks one request; the rules for tensors stand in TensorRules.
class Validator {
 public:
  explicit Validator(const Config::Limits& limits) : limits_(limits), tensors_(limits) {}

  Status operator()(const TokenizeRequest& r) const { return check_text(r.text); }

  Status operator()(const EncodeTextRequest& r) const {
    LUNA_RETURN_IF_ERROR(check_text(r.text));
    LUNA_RETURN_IF_ERROR(check_count(r.tokens.size(), kMaxOptions, "tokens"));
    for (const auto& [encoder, chunks] : r.tokens) {
      LUNA_RETURN_IF_ERROR(check_name(encoder, "tokens"));
      LUNA_RETURN_IF_ERROR(check_chunks(chunks, "tokens." + encoder));
    }
    if (r.clip_skip < 0 || r.clip_skip > kMaxClipSkip) {
      return bad("clip_skip: a number from 0 to {} was expected, found {}", kMaxClipSkip,
                 r.clip_skip);
    }
    return check_loras(r.loras, "loras");
  }

  Status operator()(const VaeEncodeRequest& r) const {
    LUNA_RETURN_IF_ERROR(check_tile(r.tile));
    return tensors_.pixels(r.pixels, "pixels");
  }

  Status operator()(const VaeDecodeRequest& r) const {
    LUNA_RETURN_IF_ERROR(check_tile(r.tile));
    return tensors_.latent_batch(r.latent, "latent");
  }

  Status operator()(const DenoiseRequest& r) const {
    LUNA_RETURN_IF_ERROR(check_rows(r.rows.size()));
    for (std::size_t i = 0; i < r.rows.size(); ++i) {
      const DenoiseRow& row = r.rows[i];
      const std::string name = fmt::format("rows[{}]", i);
      LUNA_RETURN_IF_ERROR(tensors_.latent(row.x, name + ".x"));
      if (!(row.sigma >= 0) || !std::isfinite(row.sigma)) {
        return bad("{}.sigma: a finite number of 0 or more was expected, found {}", name,
                   row.sigma);
      }
      LUNA_RETURN_IF_ERROR(check_entry(row.conditioning, name + ".conditioning"));
      LUNA_RETURN_IF_ERROR(check_extras(row, name + ".extras"));
      LUNA_RETURN_IF_ERROR(check_loras(row.loras, name + ".loras"));
    }
    return {};
  }

  Status operator()(const SampleRequest& r) const {
    LUNA_RETURN_IF_ERROR(check_rows(r.rows.size()));
    LUNA_RETURN_IF_ERROR(check_run(r.run));
    if (r.previews.every_steps < 0 || r.previews.max_edge < 1 ||
        r.previews.max_edge > static_cast<int>(limits_.max_pixels_edge)) {
      return bad(
          "previews: every_steps of 0 or more and max_edge of 1 to {} were expected, found "
          "{} and {}",
          limits_.max_pixels_edge, r.previews.every_steps, r.previews.max_edge);
    }
    for (std::size_t i = 0; i < r.rows.size(); ++i) {
      LUNA_RETURN_IF_ERROR(check_row(r.rows[i], fmt::format("rows[{}]", i)));
    }
    return {};
  }

  Status operator()(const InspectModelRequest&) const { return {}; }
  Status operator()(const LoadModelRequest& r) const {
    if (slot_name(r.slot) == "unknown") {
      return bad("slot: {} is no slot", static_cast<int>(r.slot));
    }
    return {};
  }
  Status operator()(const UnloadModelRequest&) const { return {}; }
  Status operator()(const RestoreModelRequest&) const { return {}; }
  Status operator()(const LeaseCudaRequest& request) const {
    if (request.device_uuid.empty()) return bad("device_uuid is missing");
    if (request.bytes >= 1 && request.bytes <= limits_.resident_bytes_per_session) return {};
    return bad("bytes: 1 to {} were expected, found {}", limits_.resident_bytes_per_session,
               request.bytes);
  }
  Status operator()(const ProveCudaRequest& request) const {
    const bool on_gpu = std::holds_alternative<CudaHandle>(request.memory.place);
    if (on_gpu && request.memory.spec == TensorSpec{DType::kU8, {kCudaNonceBytes}}) return {};
    return bad("memory: u8[{}] as a CUDA handle was expected, found {}{}", kCudaNonceBytes,
               request.memory.spec.to_string(), on_gpu ? "" : " elsewhere");
  }

 private:
  Status check_text(const std::string& text) const {
    if (text.size() <= limits_.max_prompt_bytes) return {};
    return bad("text: a prompt has at most {} bytes, found {}", limits_.max_prompt_bytes,
               text.size());
  }

  Status check_chunks(const std::vector<std::vector<Token>>& chunks,
                      const std::string& field) const {
    LUNA_RETURN_IF_ERROR(check_count(chunks.size(), kMaxChunks, field));
    for (std::size_t i = 0; i < chunks.size(); ++i) {
      const std::string name = fmt::format("{}[{}]", field, i);
      LUNA_RETURN_IF_ERROR(check_count(chunks[i].size(), kMaxTokensPerChunk, name));
      for (const Token& token : chunks[i]) {
        LUNA_RETURN_IF_ERROR(check_finite(token.weight, name + ".weight"));
        LUNA_RETURN_IF_ERROR(
            check_count(token.embedding.size(), kMaxEmbeddingWidth, name + ".embedding"));
        if (token.id < 0)
          return bad("{}: a token id of 0 or more was expected, found {}", name, token.id);
      }
    }
    return {};
  }

  Status check_tile(const TileOptions& tile) const {
    const int edge = static_cast<int>(limits_.max_pixels_edge);
    if (tile.size == 0) return {};
    if (tile.size >= 64 && tile.size <= edge && tile.overlap >= 0 &&
        tile.overlap <= tile.size / 2) {
      return {};
    }
    return bad(
        "tile: a size of 0 or 64 to {} and an overlap of 0 to half of it were expected, "
        "found {} and {}",
        edge, tile.size, tile.overlap);
  }

  Status check_rows(std::size_t rows) const {
    if (rows >= 1 && rows <= limits_.rows_per_call) return {};
    return bad("rows: 1 to {} rows a call were expected, found {}", limits_.rows_per_call, rows);
  }

  Status check_run(const SamplerRun& run) const {
    const int max_steps = static_cast<int>(limits_.max_steps);
    LUNA_RETURN_IF_ERROR(check_name(run.sampler, "run.sampler"));
    LUNA_RETURN_IF_ERROR(check_name(run.scheduler, "run.scheduler"));
    LUNA_RETURN_IF_ERROR(check_options(run.options, "run.options"));
    LUNA_RETURN_IF_ERROR(check_share(run.denoise, "run.denoise"));
    for (const auto& [step, name] :
         {std::pair{run.start_step, "run.start_step"}, std::pair{run.end_step, "run.end_step"}}) {
      if (step && *step < 0) {
        return bad("{}: a step of 0 or more was expected, found {}", name, *step);
      }
    }
    if (!run.sigmas.empty()) return check_sigmas(run.sigmas);
    if (run.steps < 1 || run.steps > max_steps) {
      return bad("run.steps: 1 to {} were expected, found {}", max_steps, run.steps);
    }
    // A schedule that only its last part is walked of has steps / denoise steps in all.
    if (run.denoise > 0 && run.steps / run.denoise > max_steps) {
      return bad("run: {} steps at a denoise of {} make a schedule of more than {} steps",
                 run.steps, run.denoise, max_steps);
    }
    return {};
  }

  Status check_sigmas(const std::vector<float>& sigmas) const {
    if (sigmas.size() < 2 || sigmas.size() > limits_.max_steps + std::size_t{1}) {
      return bad("run.sigmas: 2 to {} were expected, found {}", limits_.max_steps + 1,
                 sigmas.size());
    }
    for (std::size_t i = 0; i < sigmas.size(); ++i) {
      const bool fits =
          std::isfinite(sigmas[i]) && sigmas[i] >= 0 && (i == 0 || sigmas[i] <= sigmas[i - 1]);
      if (!fits) {
        return bad(
            "run.sigmas[{}]: finite, descending numbers of 0 or more were expected, found {}", i,
            sigmas[i]);
      }
    }
    return {};
  }

  Status check_row(const SampleRow& row, const std::string& name) const {
    LUNA_RETURN_IF_ERROR(tensors_.latent(row.latent, name + ".latent"));
    if (row.noise_mask) {
      LUNA_RETURN_IF_ERROR(tensors_.mask(*row.noise_mask, name + ".noise_mask", 1));
    }
    LUNA_RETURN_IF_ERROR(check_noise(row, name + ".noise"));
    LUNA_RETURN_IF_ERROR(check_count(row.conditioning.size(), kMaxOptions, name + ".conditioning"));
    for (const auto& [set, entries] : row.conditioning) {
      const std::string list = name + ".conditioning." + set;
      LUNA_RETURN_IF_ERROR(check_name(set, name + ".conditioning"));
      LUNA_RETURN_IF_ERROR(check_count(entries.size(), kMaxEntries, list));
      for (std::size_t i = 0; i < entries.size(); ++i) {
        LUNA_RETURN_IF_ERROR(check_entry(entries[i], fmt::format("{}[{}]", list, i)));
      }
    }
    LUNA_RETURN_IF_ERROR(check_count(row.extras.size(), kMaxOptions, name + ".extras"));
    LUNA_RETURN_IF_ERROR(check_loras(row.loras, name + ".loras"));
    LUNA_RETURN_IF_ERROR(check_finite(row.guidance.cfg, name + ".guidance.cfg"));
    return check_options(row.guidance.options, name + ".guidance.options");
  }

  Status check_noise(const SampleRow& row, const std::string& name) const {
    const NoiseSpec& noise = row.noise;
    if (noise.batch_size < 1 || noise.batch_size > kMaxNoiseBatch ||
        noise.batch_index >= noise.batch_size) {
      return bad(
          "{}: a batch_size of 1 to {} and a batch_index below it were expected, found {} "
          "and {}",
          name, kMaxNoiseBatch, noise.batch_size, noise.batch_index);
    }
    if (noise.tensor) {
      LUNA_RETURN_IF_ERROR(tensors_.latent(*noise.tensor, name + ".tensor"));
      if (noise.tensor->spec.shape != row.latent.spec.shape) {
        return bad("{}.tensor: the latent's shape was expected ({}), found {}", name,
                   row.latent.spec.to_string(), noise.tensor->spec.to_string());
      }
      return {};
    }
    const auto draw =
        static_cast<unsigned __int128>(row.latent.spec.numel()) * noise.batch_size * 4;
    if (noise.add_noise && draw > kMaxNoiseDraw) {
      return bad("{}: a draw for {} latents of {} is larger than {} bytes", name, noise.batch_size,
                 row.latent.spec.to_string(), kMaxNoiseDraw);
    }
    return {};
  }

  Status check_entry(const ConditioningEntry& entry, const std::string& name) const {
    LUNA_RETURN_IF_ERROR(tensors_.context(entry.cross_attn, name + ".cross_attn"));
    if (entry.pooled) LUNA_RETURN_IF_ERROR(tensors_.row(*entry.pooled, name + ".pooled", true));
    if (entry.attention_mask) {
      LUNA_RETURN_IF_ERROR(tensors_.row(*entry.attention_mask, name + ".attention_mask", false));
    }
    if (entry.mask) {
      LUNA_RETURN_IF_ERROR(tensors_.mask(*entry.mask, name + ".mask", limits_.rows_per_call));
    }
    LUNA_RETURN_IF_ERROR(check_finite(entry.strength, name + ".strength"));
    LUNA_RETURN_IF_ERROR(check_finite(entry.mask_strength, name + ".mask_strength"));
    LUNA_RETURN_IF_ERROR(check_finite(entry.guidance.value_or(0), name + ".guidance"));
    LUNA_RETURN_IF_ERROR(check_share(entry.start_percent, name + ".start_percent"));
    LUNA_RETURN_IF_ERROR(check_share(entry.end_percent, name + ".end_percent"));
    LUNA_RETURN_IF_ERROR(check_options(entry.numbers, name + ".numbers"));
    LUNA_RETURN_IF_ERROR(check_count(entry.extras.size(), kMaxOptions, name + ".extras"));
    if (entry.area) return check_area(*entry.area, name + ".area");
    return {};
  }

  /// Other names are the worker's to refuse, which knows what its models take.
  Status check_extras(const DenoiseRow& row, const std::string& name) const {
    LUNA_RETURN_IF_ERROR(check_count(row.extras.size(), kMaxOptions, name));
    for (const auto& [key, tensor] : row.extras) {
      const std::string field = name + "." + key;
      LUNA_RETURN_IF_ERROR(check_name(key, name));
      if (key == "y") LUNA_RETURN_IF_ERROR(tensors_.row(tensor, field, true));
      if (key == "c_concat") LUNA_RETURN_IF_ERROR(tensors_.concat(tensor, field, row.x.spec));
    }
    return {};
  }

  Status check_area(const ConditioningArea& area, const std::string& name) const {
    const double max = area.fractional ? 1.0 : limits_.max_pixels_edge;
    for (const double value : {area.height, area.width, area.y, area.x}) {
      if (!(value >= 0 && value <= max)) {
        return bad("{}: numbers from 0 to {} were expected, found {}", name, max, value);
      }
    }
    return {};
  }

  const Config::Limits& limits_;
  TensorRules tensors_;
};

bool reads_slot(const JobRequest& request, Slot slot) {
  if (slot == Slot::kPreview) return false;
  const std::optional<Role> role = role_needed(request);
  return role && needs_workflow(request) && role_of(slot) == role;
}

}  // namespace

bool needs_workflow(const JobRequest& request) {
  return !std::holds_alternative<InspectModelRequest>(request) &&
         !std::holds_alternative<LoadModelRequest>(request) &&
         !std::holds_alternative<UnloadModelRequest>(request) &&
         !std::holds_alternative<RestoreModelRequest>(request) &&
         !std::holds_alternative<LeaseCudaRequest>(request) &&
         !std::holds_alternative<ProveCudaRequest>(request);
}

Status validate_request(const JobRequest& request, const Config::Limits& limits) {
  return std::visit(Validator(limits), request);
}

Status validate_places(const JobRequest& request, const Config::Limits& limits) {
  const TensorRules rules(limits);
  return for_each_tensor(request, [&](const TensorRef& tensor, const std::string& name) {
    return rules.place(tensor, name);
  });
}

Status validate_upload(const TensorSpec& spec, const BytesPtr& bytes,
                       const Config::Limits& limits) {
  LUNA_RETURN_IF_ERROR(spec.validate(limits.resident_bytes_per_session));
  const std::size_t found = bytes ? bytes->view().size() : 0;
  if (found == spec.byte_size()) return {};
  return bad("{} needs {} bytes, {} came", spec.to_string(), spec.byte_size(), found);
}

Status check_slots(const JobRequest& request, const std::vector<ComponentInfo>& components) {
  const std::optional<Role> role = role_needed(request);
  if (!role || !needs_workflow(request)) return {};
  std::vector<Slot> here, elsewhere;
  for (const Slot slot : empty_slots(components))
    (role_of(slot) == role ? here : elsewhere).push_back(slot);
  std::string has;
  bool has_role = false;
  for (const ComponentInfo& component : components) {
    has += (has.empty() ? "" : ", ") + std::string(slot_name(component.slot));
    has_role |= role_of(component.slot) == role;
  }
  const bool any_will_do = std::holds_alternative<TokenizeRequest>(request) && has_role;
  if (here.empty() || any_will_do) return {};
  return error(StatusCode::kFailedPrecondition,
               "{} needs the slot{} {}, which this workflow leaves empty; it has {}{}",
               job_kind(request), here.size() > 1 ? "s" : "", slots_in_words(here),
               has.empty() ? "no models at all" : has,
               elsewhere.empty()
                   ? ""
                   : fmt::format("; for pictures it also lacks {}", slots_in_words(elsewhere)));
}

std::optional<Role> role_needed(const JobRequest& request) {
  return std::visit(Overloaded{
                        [](const TokenizeRequest&) { return std::optional(Role::kClip); },
                        [](const EncodeTextRequest&) { return std::optional(Role::kClip); },
                        [](const VaeEncodeRequest&) { return std::optional(Role::kVae); },
                        [](const VaeDecodeRequest&) { return std::optional(Role::kVae); },
                        [](const DenoiseRequest&) { return std::optional(Role::kUnet); },
                        [](const SampleRequest&) { return std::optional(Role::kUnet); },
                        [](const LoadModelRequest& load) { return role_of(load.slot); },
                        [](const auto&) { return std::optional<Role>(); },
                    },
                    request);
}

std::vector<Slot> slots_used(const JobRequest& request, const ModelSet& models) {
  std::vector<Slot> used;
  for (const auto& [slot, model] : models.slots) {
    if (reads_slot(request, slot)) used.push_back(slot);
  }
  return used;
}

}  // namespace luna::front
