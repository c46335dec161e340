#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/types/conditioning.h"
#include "common/types/model.h"

namespace luna {

/// A sampler run as data: the names are ComfyUI's.
struct SamplerRun {
  std::string sampler = "euler";
  std::string scheduler = "normal";
  int steps = 20;
  double denoise = 1.0;           ///< below 1: only the last part of a longer schedule
  std::vector<float> sigmas;      ///< given explicitly, these replace scheduler, steps and denoise
  std::optional<int> start_step;  ///< KSamplerAdvanced's window over the schedule
  std::optional<int> end_step;
  bool force_full_denoise = true;         ///< with end_step: the last sigma becomes 0
  std::map<std::string, double> options;  ///< eta, s_noise, ...; unknown ones are refused by name
};

/// Where a row's noise comes from. ComfyUI draws one tensor for a whole latent batch, so a row is a
/// slice of that draw: (seed, batch_size, batch_index). Sampler noise later in the run follows the
/// same rule.
struct NoiseSpec {
  std::uint64_t seed = 0;
  std::uint32_t batch_size = 1;
  std::uint32_t batch_index = 0;
  bool add_noise = true;  ///< false: start from the latent alone ("disable" of KSamplerAdvanced)
  std::optional<TensorRef> tensor;  ///< replaces the initial draw; [C, h, w]
};

struct Guidance {
  double cfg = 7.0;
  std::map<std::string, double> options;  ///< guider options; unknown ones are refused by name
};

/// One picture's trajectory. Sees nothing of the other rows of its call or its batch.
struct SampleRow {
  TensorRef latent;  ///< [C, h, w], VAE scale; no bytes: empty latent
  std::optional<TensorRef>
      noise_mask;  ///< [1, H, W] or [H, W] in 0..1, of any size; 1 is repainted
  NoiseSpec noise;
  ConditioningSets conditioning;
  std::map<std::string, TensorRef> extras;
  std::vector<LoraRef> loras;
  Guidance guidance;
};

struct PreviewOptions {
  int every_steps = 0;  ///< 0: none
  int max_edge = 512;   ///< pixels
};

/// Whole trajectories of rows that share sampler and sigmas.
struct SampleRequest {
  SamplerRun run;
  std::vector<SampleRow> rows;
  PreviewOptions previews;
  bool keep = false;  ///< results stay on the server as resident tensors
  LoraApplication lora_application = LoraApplication::kAuto;
};

struct SampleProgress {
  int step = 0;  ///< finished steps
  int steps = 0;
  double sigma = 0;                  ///< of the step just finished
  int rows_in_batch = 0;             ///< rows of the forward that served it, other jobs' included
  std::optional<TensorRef> preview;  ///< u8 [rows, H, W, 3]
};

struct SampleReply {
  std::vector<TensorRef>
      latents;                ///< [C, h, w] a row, f32, VAE scale (a ComfyUI LATENT after sampling)
  std::vector<float> sigmas;  ///< those that were used
  std::uint64_t evaluations = 0;      ///< rows evaluated by the model, CFG's both signs counted
  std::vector<AppliedLoras> loras;    ///< one a row; none when no row has LoRAs
  std::vector<std::string> warnings;  ///< layers of the LoRAs that the model does not have
};

/// One model evaluation at one sigma for each row: x0 as ComfyUI's apply_model gives it, no
/// guidance.
struct DenoiseRow {
  TensorRef x;  ///< [C, h, w], the sampler's state (not preconditioned)
  double sigma = 0;
  ConditioningEntry conditioning;
  std::map<std::string, TensorRef> extras;
  std::vector<LoraRef> loras;
};
struct DenoiseRequest {
  std::vector<DenoiseRow> rows;
  bool keep = false;
  LoraApplication lora_application = LoraApplication::kAuto;
};
struct DenoiseReply {
  std::vector<TensorRef> denoised;  ///< [C, h, w] a row, f32
  std::vector<AppliedLoras> loras;  ///< as SampleReply's
  std::vector<std::string> warnings;
  double seconds_on_device = 0;  ///< of the longest forward that served it; 0: not known
};

}  // namespace luna
