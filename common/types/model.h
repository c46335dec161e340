#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"

namespace luna {

/// A place in a workflow's model set. The numbers are part of the wire.
enum class Slot : std::uint8_t {
  kUNet = 1,
  kVae = 2,
  kClipL = 3,
  kClipG = 4,
  kT5 = 5,
  kLlm = 6,
  kVision = 7,
  kUpscale = 8,
  kPreview = 9,
};
std::string_view slot_name(Slot slot);  ///< "unet", "vae", "clip_l", ...
std::optional<Slot> slot_from_name(std::string_view name);

/// Storage and compute type of a component. kAuto: f32 on CPU; on a GPU the file's own 16-bit type,
/// else bf16.
enum class Precision : std::uint8_t { kAuto = 0, kF32 = 1, kBF16 = 2, kF16 = 3 };
std::string_view precision_name(Precision precision);  ///< "auto", "f32", "bf16", "fp16"
/// Also takes "f16", "float32", "bfloat16", "float16", "fp32".
std::optional<Precision> precision_from_name(std::string_view name);

/// One component as a client names it: a file (a whole checkpoint, or the component alone).
struct ModelRef {
  std::string
      path;  ///< as the client wrote it; below the front always absolute and inside the roots
  Precision precision = Precision::kAuto;
  bool operator==(const ModelRef&) const = default;
};

/// What a workflow needs. May be partial: a missing slot fails the call that needs it, by name.
struct ModelSet {
  std::map<Slot, ModelRef> slots;
  bool operator==(const ModelSet&) const = default;
};

/// One adapter of a LoRA set, in the order of application.
struct LoraRef {
  std::string path;
  double model_strength = 1.0;
  double clip_strength = 1.0;
  /// Factors of both strengths by where a layer's name begins: "input_blocks.4", "middle_block",
  /// "text_model.encoder.layers.3"; the longest that fits counts.
  std::map<std::string, double> block_strengths;
  bool operator==(const LoraRef&) const = default;
};

/// How LoRA sets change the UNet: with weights of their own, or added to the layers' results for
/// single rows of a forward.
enum class LoraApplication : std::uint8_t { kAuto = 0, kMerged = 1, kRowWise = 2 };
std::string_view lora_application_name(
    LoraApplication application);  ///< "auto", "merged", "row-wise"
std::optional<LoraApplication> lora_application_from_name(std::string_view name);

/// What became of a row's LoRA set; kAuto for a row without one.
struct AppliedLoras {
  LoraApplication application = LoraApplication::kAuto;
  std::string reason;  ///< why it is merged though it was to be row by row
  bool operator==(const AppliedLoras&) const = default;
};

/// What detection found in a file, and what is loaded of it.
struct ComponentInfo {
  Slot slot = Slot::kUNet;
  std::string family;  ///< "sd1", "sdxl", ...; for encoders and VAEs the architecture ("clip_l",
                       ///< "autoencoder_kl")
  std::string description;  ///< one line a person can read: widths, depths, channels
  std::uint64_t parameters = 0;
  std::uint64_t file_bytes = 0;
  std::string content_hash;  ///< hex SHA-256 over names, shapes, types and bytes; empty until it
                             ///< was loaded once
  std::uint32_t native_width = 0;   ///< of a UNet: the pictures that it was trained on, in pixels,
  std::uint32_t native_height = 0;  ///< when the file says so, else 0
  std::string prediction;           ///< of a UNet: "eps", "v", "v_zsnr", "edm", "edm_v"
  bool inpaint = false;  ///< of a UNet: it takes a mask and the masked picture beside the latent
};

/// Where a component's weights lie, the nearest place first. The numbers are part of the wire.
enum class Tier : std::uint8_t { kDevice = 1, kHost = 2, kFile = 3 };
std::string_view tier_name(Tier tier);  ///< "device", "host", "file"

struct LoadedModel {
  ComponentInfo info;
  std::vector<std::string> paths;  ///< every path that led to this one copy
  Precision precision = Precision::kAuto;
  std::string device;  ///< "cpu", "cuda:0"
  std::uint64_t resident_bytes = 0;
  std::uint64_t uses = 0;
  Tier tier = Tier::kDevice;  ///< elsewhere only in the reply to what took it off the device
  std::uint32_t jobs = 0;     ///< that use it now; it stays until they have ended
  bool pinned = false;        ///< never evicted or unloaded
};

}  // namespace luna
