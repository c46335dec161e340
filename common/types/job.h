#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/base/deadline.h"
#include "common/base/strong_id.h"
#include "common/types/model.h"
#include "common/types/sampling.h"

namespace luna {

/// A token of a prompt: an id of the vocabulary, or a row given directly (textual inversion).
struct Token {
  std::int64_t id = 0;
  float weight = 1.0f;
  std::vector<float>
      embedding;  ///< when not empty, replaces the table's row; as wide as the encoder
};
/// Per encoder ("l", "g", "t5xxl"): chunks of tokens, as ComfyUI's CLIP.tokenize returns them.
using TokenChunks = std::map<std::string, std::vector<std::vector<Token>>>;

struct TokenizeRequest {
  std::string text;
};
struct TokenizeReply {
  TokenChunks chunks;
  std::vector<std::string> warnings;  ///< embeddings that were not found, by name
};

/// Text, or tokens when given, to conditioning.
struct EncodeTextRequest {
  std::string text;
  TokenChunks tokens;
  int clip_skip =
      0;  ///< 0: the family's default; n >= 1 stops at layer -n, as CLIPSetLastLayer(-n)
  std::vector<LoraRef> loras;
  bool keep = false;
};
struct EncodeTextReply {
  TensorRef cross_attn;  ///< [1, tokens, width] f32
  std::optional<TensorRef> pooled;
  std::vector<std::string> warnings;
};

/// Tiles in pixels; 0: whole pictures, as long as the device's memory allows.
struct TileOptions {
  int size = 0;
  int overlap = 64;
};

struct VaeEncodeRequest {
  TensorRef pixels;  ///< [B, H, W, 3 or more] f32 in 0..1, or u8
  TileOptions tile;
  bool keep = false;
};
struct VaeEncodeReply {
  TensorRef latent;
};  ///< [B, C, h, w] f32, posterior mean, VAE scale

struct VaeDecodeRequest {
  TensorRef latent;  ///< [B, C, h, w]
  TileOptions tile;
  bool as_u8 = false;  ///< pixels as u8 instead of f32
  bool keep = false;
};
struct VaeDecodeReply {
  TensorRef pixels;
};  ///< [B, H, W, 3] in 0..1 (or 0..255)

/// An entry of a model file's header.
struct NamedTensor {
  std::string name;
  TensorSpec spec;
  bool operator==(const NamedTensor&) const = default;
};

struct InspectModelRequest {
  std::string path;
  bool tensors = false;  ///< the reply lists them
};
struct InspectModelReply {
  std::vector<ComponentInfo> components;
  std::vector<NamedTensor> tensors = {};  ///< by name; of a folder with the subfolder before the name
};
struct LoadModelRequest {
  Slot slot = Slot::kUNet;
  ModelRef model;
};
struct LoadModelReply {
  LoadedModel model;
};
/// Takes the components that came from this path off the device; what a job or a pin holds stays.
struct UnloadModelRequest {
  std::string path;
  std::optional<Slot> slot = std::nullopt;  ///< only this component; else all of the file
  bool restorable = false;                  ///< RestoreModelRequest brings them back
  bool host = false;                        ///< their host copies go as well; the front's part
};
struct UnloadModelReply {
  std::uint64_t freed_bytes = 0;       ///< on devices
  std::uint64_t host_freed_bytes = 0;  ///< of host copies
  std::vector<LoadedModel> unloaded;   ///< where they lie now is in `tier`, which the front knows
  std::vector<LoadedModel> held;       ///< left where they were
};
/// Loads again what an unload of this path left restorable and nobody has loaded since.
struct RestoreModelRequest {
  std::string path;
};
struct RestoreModelReply {
  std::vector<LoadedModel> restored;
};

/// A piece of a worker's outbox, for a client whose own allocator cannot export.
struct LeaseCudaRequest {
  std::string device_uuid;
  std::uint64_t bytes = 0;
};
struct LeaseCudaReply {
  TensorRef memory;  ///< u8[bytes], a CudaHandle with a lease
};
/// Does memory pass between this client and a worker of the device, both ways?
struct ProveCudaRequest {
  TensorRef memory;  ///< u8[16] with a number that the client wrote
};
struct ProveCudaReply {
  std::string nonce;     ///< the client's number, as the worker read it
  TensorRef memory;      ///< u8[16], a lease with a number that the worker wrote
  std::string expected;  ///< that number, for the front alone
};

using JobRequest =
    std::variant<TokenizeRequest, EncodeTextRequest, VaeEncodeRequest, VaeDecodeRequest,
                 DenoiseRequest, SampleRequest, InspectModelRequest, LoadModelRequest,
                 UnloadModelRequest, RestoreModelRequest, LeaseCudaRequest, ProveCudaRequest>;
using JobReply = std::variant<TokenizeReply, EncodeTextReply, VaeEncodeReply, VaeDecodeReply,
                              DenoiseReply, SampleReply, InspectModelReply, LoadModelReply,
                              UnloadModelReply, RestoreModelReply, LeaseCudaReply, ProveCudaReply>;

/// "sample", "vae_decode" and so on, for logs and counters.
std::string_view job_kind(const JobRequest& request);

enum class Priority : std::uint8_t { kInteractive = 0, kNormal = 1, kBulk = 2 };
std::string_view priority_name(Priority priority);  ///< "interactive", "normal", "bulk"
std::optional<Priority> priority_from_name(std::string_view name);

/// One unit of work for a worker: self-contained, a pure function of its content, hence safe to run
/// again.
struct Job {
  JobId id;
  std::string workflow;  ///< for fairness and counters; never decides the result
  Priority priority = Priority::kNormal;
  Deadline deadline;
  ModelSet models;  ///< absolute paths, resolved by the front
  JobRequest request;
  std::string session = {};   ///< whose leases and imports of GPU memory its tensors are
  bool cuda_results = false;  ///< results go to the outbox of the device, as far as it has room
};

/// How a job ended, or how far it is. Called from any thread, one call at a time; on_done once,
/// last.
struct JobEvents {
  std::function<void(const SampleProgress&)> on_progress;
  std::function<void(Result<JobReply>)> on_done;
};

}  // namespace luna
