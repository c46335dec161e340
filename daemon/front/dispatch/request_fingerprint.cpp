#include "daemon/front/dispatch/request_fingerprint.h"

#include <span>
#include <string_view>

#include "common/base/bytes.h"
#include "common/hash/sha256.h"
#include "common/model_files/model_files.h"
#include "common/types/request_tensors.h"
#include "daemon/ipc/protocol/codec.h"

namespace luna::front {
namespace {

/// Each piece is preceded by its length, so that neighbours cannot be confused.
class Digest {
 public:
  void add(std::span<const std::byte> bytes) {
    const std::uint64_t size = bytes.size();
    hash_.update(std::as_bytes(std::span(&size, 1)));
    hash_.update(bytes);
  }
  void add(std::string_view text) { add(std::as_bytes(std::span(text))); }
  std::string hex() { return hash_.finish(); }

 private:
  Sha256 hash_;
};

void add_file(Digest& digest, const std::string& path) {
  const Result<FileIdentity> file = identify_model(path);
  // One that cannot be looked at is told by its path, which the request holds.
  if (!file.ok()) return digest.add("no file");
  digest.add(fmt::format("{} {} {} {} {} {}", file->device, file->inode, file->size, file->mtime_ns,
                         file->ctime_ns, file->parts));
}

void add_files(Digest& digest, Job& job) {
  for (const auto& [slot, model] : job.models.slots) add_file(digest, model.path);
  (void)for_each_lora(job.request, [&](LoraRef& lora) {
    add_file(digest, lora.path);
    return Status();
  });
  std::visit(
      [&](const auto& request) {
        if constexpr (requires { request.path; }) add_file(digest, request.path);
        if constexpr (requires { request.model.path; }) add_file(digest, request.model.path);
      },
      job.request);
}

/// Tensors on the host by content: equal bytes count as equal wherever they lie, and however often
/// one piece of memory is used.
void take_out_tensors(Digest& digest, Job& job) {
  (void)for_each_tensor(job.request, [&](TensorRef& tensor, const std::string& name) {
    if (const BytesPtr bytes = tensor.host_bytes()) {
      digest.add(name);
      digest.add(bytes->view());
      tensor.place = {};
    }
    return Status();
  });
}

}  // namespace

std::string request_fingerprint(const Job& job) {
  Job content;
  content.models = job.models;
  content.request = job.request;
  std::visit(
      [](auto& request) {
        if constexpr (requires { request.keep; }) request.keep = false;
      },
      content.request);
  Digest digest;
  add_files(digest, content);
  take_out_tensors(digest, content);
  const ipc::EncodedMessage message = ipc::encode(ipc::FrontToWorkerRun{content});
  digest.add(message.body);
  for (const BytesPtr& bytes : message.attachments) digest.add(bytes->view());
  return digest.hex();
}

}  // namespace luna::front
