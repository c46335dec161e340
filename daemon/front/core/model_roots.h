#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/config/config.h"
#include "common/types/info.h"
#include "common/types/model.h"
#include "common/types/model_needs.h"

namespace luna::front {

/// The model files this daemon may hand out: roots in ComfyUI's layout (checkpoints/, vae/, loras/
/// ...) and the folders of an extra_model_paths.yaml. Immutable after open(); looks at the disk on
/// every question.
class ModelRoots {
 public:
  /// No roots: only local callers find anything, by absolute path.
  ModelRoots() = default;
  /// A root that does not exist is NOT_FOUND (a misspelt path would look like an empty one).
  static Result<ModelRoots> open(const Config::Models& config);

  /// Folder kinds searched for a file of a slot, in order.
  static std::vector<std::string_view> kinds_of(Slot slot) { return model_folders(slot); }
  static std::vector<std::string_view> checkpoint_kinds();
  static std::vector<std::string_view> lora_kinds();
  static std::vector<std::string_view> all_kinds();

  /// The absolute path, symbolic links resolved, of a regular file or a diffusers folder; of a
  /// shard index the folder's links alone, for its shards lie beside it. A relative name is
  /// searched below the folders of `kinds` and then as a path below a root ("loras/x.safetensors").
  /// Without `anywhere` the resolved file, and every file that a model of several consists of, must
  /// lie below a root, else PERMISSION_DENIED, whether it exists or not. NOT_FOUND says where it
  /// looked and which names are near.
  Result<std::string> find(const std::string& name, const std::vector<std::string_view>& kinds,
                           bool anywhere) const;

  /// Model files by folder kind; `kind` empty: all. A shard index stands for its shards, a
  /// diffusers folder for its files. NOT_FOUND for an unknown kind. Without `anywhere`, files whose
  /// links lead outside the roots are left out. At most kMaxListed.
  Result<std::vector<ModelFileInfo>> list(const std::string& kind, bool anywhere) const;
  static constexpr std::size_t kMaxListed = 65536;

  /// Existing folders of one kind ("embeddings"), absolute.
  std::vector<std::string> folders(std::string_view kind) const;
  bool empty() const { return roots_.empty(); }

 private:
  bool below_a_root(const std::string& resolved) const;
  /// Every file of a model, wherever its links lead.
  bool lies_below_roots(const std::string& model) const;
  Result<std::string> checked(const std::string& candidate, const std::string& name,
                              bool anywhere) const;
  Status not_found(const std::string& name, const std::vector<std::string_view>& kinds,
                   bool anywhere) const;

  std::vector<std::string> roots_;  ///< resolved; the extra folders count as roots too
  std::map<std::string, std::vector<std::string>, std::less<>>
      folders_;  ///< kind -> folders, in order
};

}  // namespace luna::front
