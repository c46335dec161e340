#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/image/image.h"
#include "common/types/info.h"
#include "common/types/sampling.h"

namespace luna::client {

/// A whole generation: text to picture, picture to picture, or repainting under a mask.
struct GenerateRequest {
  /// A workflow that is registered already; empty: `models` are registered under an id made of
  /// them, so that equal sets share one registration.
  std::string workflow_id;
  RequestedModels models;

  std::string prompt;
  std::string negative;
  /// Pixels, multiples of the VAE's factor (8). Without them: the size of `image`, else what suits
  /// the model. One alone keeps the picture's proportions (without a picture: a square).
  std::optional<int> width;
  std::optional<int> height;
  SamplerRun run;
  double cfg = 7.0;
  std::uint64_t seed = 0;
  /// Pictures; noise is drawn for all at once, as ComfyUI does.
  int batch = 1;
  /// Only this picture of the batch; the same pixels as within the whole.
  std::optional<int> batch_index;
  /// 0: the model's default. 1: the last layer; 2: the one before (CLIPSetLastLayer -2), and so on.
  int clip_skip = 0;
  /// Adapters for model and text encoder, in this order; files named as below loras/.
  std::vector<LoraRef> loras;
  /// Instead of `loras` a set for each picture of the batch (draw_loras() makes such).
  std::vector<std::vector<LoraRef>> picture_loras;
  LoraApplication lora_application = LoraApplication::kAuto;
  /// Starting picture. Without width and height its own size, cut to a multiple of 8 as ComfyUI's
  /// VAEEncode does; with them it is cut to their proportions and resized (Lanczos).
  std::optional<Image> image;
  /// White is repainted, black stays; the first channel counts. Needs `image`.
  std::optional<Image> mask;
  PreviewOptions previews;
};

enum class GenerateStage { kRegister, kEncode, kSample, kDecode, kDone };

struct GenerateProgress {
  GenerateStage stage = GenerateStage::kRegister;
  int step = 0;  ///< finished
  int steps = 0;
  int pictures = 0;  ///< decoded
  int pictures_wanted = 0;
  double seconds_per_step = 0;  ///< 0: not known yet
  double seconds_left = 0;      ///< of sampling; 0: not known yet
  int rows_in_batch = 0;        ///< rows of the last forward, other clients' included
  std::optional<TensorRef> preview;
};

/// From any thread, one call at a time, never after generate() has returned.
using OnGenerateProgress = std::function<void(const GenerateProgress&)>;

/// A picture as soon as it is decoded.
struct GeneratedPicture {
  Image image;  ///< RGB
  int batch_index = 0;
  std::vector<LoraRef> loras;   ///< its own set
  bool masked_picture = false;  ///< as GenerateResult's
};
/// In the order of the batch, from the thread that called generate(). What is not ok ends the
/// generation with it.
using OnPicture = std::function<Status(GeneratedPicture)>;

struct GenerateResult {
  std::vector<Image> pictures;   ///< RGB; none when each was handed out as it came
  std::vector<int> batch_index;  ///< of each picture
  TensorRef latents;  ///< f32 [pictures, C, h, w], VAE scale (a ComfyUI LATENT after sampling)
  std::string workflow_id;
  std::vector<ComponentInfo>
      components;  ///< what was found in the files; empty for a given workflow_id
  /// The model is one for inpainting, and was given the picture without what the mask repaints.
  bool masked_picture = false;
  std::vector<std::string> warnings;  ///< textual inversions that were not found, ...
  int width = 0;
  int height = 0;
  std::uint64_t evaluations = 0;    ///< rows that the model evaluated
  std::vector<AppliedLoras> loras;  ///< one a picture; none when no picture has LoRAs
  double seconds_encoding = 0;
  double seconds_sampling = 0;
  double seconds_decoding = 0;
};

}  // namespace luna::client
