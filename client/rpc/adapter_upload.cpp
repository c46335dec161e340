#include "client/rpc/adapter_upload.h"

#include <fstream>
#include <functional>
#include <string_view>

#include "common/hash/sha256.h"

namespace luna::client {
namespace {

constexpr std::size_t kChunkBytes = std::size_t{1} << 20;

/// Calls `take` for one piece of the file after the other, until it answers false. How many bytes
/// went by.
Result<std::uint64_t> each_chunk(const std::string& path,
                                 const std::function<bool(std::string_view)>& take) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return error(StatusCode::kNotFound, "cannot read {}", path);
  std::string chunk(kChunkBytes, '\0');
  std::uint64_t bytes = 0;
  while (file) {
    file.read(chunk.data(), static_cast<std::streamsize>(chunk.size()));
    const auto count = static_cast<std::size_t>(file.gcount());
    if (count == 0) break;
    bytes += count;
    if (!take(std::string_view(chunk).substr(0, count))) break;
  }
  if (file.bad()) return error(StatusCode::kDataLoss, "{} could not be read to its end", path);
  return bytes;
}

}  // namespace

Result<std::string> upload_adapter(RpcConnection& connection, const std::string& path) {
  Sha256 hash;
  LUNA_ASSIGN_OR_RETURN(const std::uint64_t bytes, each_chunk(path, [&](std::string_view chunk) {
                          hash.update(chunk);
                          return true;
                        }));
  v1::UploadAdapterRequest message;
  message.mutable_header()->set_sha256(hash.finish());
  message.mutable_header()->set_bytes(bytes);

  // One that is there already is answered after the header, and the rest is not sent.
  grpc::ClientContext context;
  const Deadline deadline = Deadline::after(std::chrono::seconds(60 + (bytes >> 20)));
  LUNA_RETURN_IF_ERROR(connection.prepare(context, {"", Priority::kNormal, deadline}));
  v1::UploadAdapterResponse response;
  const auto writer = connection.adapters().Upload(&context, &response);
  bool open = writer->Write(message);
  const auto sent = each_chunk(path, [&](std::string_view chunk) {
    message.set_chunk(std::string(chunk));
    open = open && writer->Write(message);
    return open;
  });
  writer->WritesDone();
  LUNA_RETURN_IF_ERROR(connection.status(writer->Finish()).with_context(path));
  LUNA_RETURN_IF_ERROR(sent.status());
  return std::move(*response.mutable_file());
}

}  // namespace luna::client
