#include "client/rpc/transfer.h"

#include <algorithm>
#include <map>
#include <optional>

#include "common/types/request_tensors.h"
#include "common/wire/tensor_wire.h"

namespace luna::client {
namespace {

constexpr std::size_t kChunkBytes = std::size_t{1} << 20;
constexpr std::int64_t kLargestVaeFactor = 16;

/// A context that `call` can cancel while this lives.
class Exchange {
 public:
  explicit Exchange(CallState* call) : call_(call) {
    if (call_) call_->attach(&context_);
  }
  ~Exchange() {
    if (call_) call_->detach();
  }
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;
  grpc::ClientContext& context() { return context_; }

 private:
  grpc::ClientContext context_;
  CallState* call_;
};

CallOptions with_deadline(CallOptions options, std::size_t bytes) {
  if (options.deadline.infinite()) {
    options.deadline = Deadline::after(std::chrono::seconds(60 + (bytes >> 20)));
  }
  return options;
}

Status require_host_bytes(const TensorRef& tensor) {
  if (!tensor.host_bytes()) {
    return error(StatusCode::kInvalidArgument, "{} has no bytes on this host to upload",
                 tensor.spec.to_string());
  }
  return tensor.validate("tensor");
}

/// Calls `take` for the tensors that do not fit into `inline_bytes` beside those before them.
void for_each_large(JobRequest& request, std::uint64_t inline_bytes,
                    const std::function<void(TensorRef&)>& take) {
  std::uint64_t total = 0;
  visit_tensors(request, [&](TensorRef& tensor) {
    const BytesPtr bytes = tensor.host_bytes();
    if (!bytes || bytes->view().empty()) return;
    if (total + bytes->view().size() > inline_bytes) {
      take(tensor);
    } else {
      total += bytes->view().size();
    }
  });
}

std::uint64_t float_bytes(const TensorRef& tensor) {
  return tensor.spec.validate().ok() ? 4 * static_cast<std::uint64_t>(tensor.spec.numel()) : 0;
}

/// From the region, or in chunks where that is null.
Result<TensorRef> upload_from(RpcConnection& connection, const CallOptions& options,
                              const TensorSpec& spec, const SharedRegion* region,
                              const Bytes& bytes, CallState* call) {
  Exchange exchange(call);
  LUNA_RETURN_IF_ERROR(
      connection.prepare(exchange.context(), with_deadline(options, bytes.view().size())));
  v1::UploadTensorResponse response;
  const auto writer = connection.tensors().Upload(&exchange.context(), &response);
  v1::UploadTensorRequest message;
  wire::to_wire(spec, message.mutable_spec());
  bool open = writer->Write(message);
  if (region) {
    message.mutable_region()->set_region_id(region->region_id);
    message.mutable_region()->set_offset(region->offset);
    if (open) writer->Write(message);
    open = false;
  }
  for (std::size_t at = 0; open && at < bytes.view().size(); at += kChunkBytes) {
    const auto part = bytes.view().subspan(at, std::min(kChunkBytes, bytes.view().size() - at));
    message.mutable_chunk()->assign(reinterpret_cast<const char*>(part.data()), part.size());
    open = writer->Write(message);
  }
  writer->WritesDone();
  LUNA_RETURN_IF_ERROR(connection.status(writer->Finish()));
  return wire::from_wire(*response.mutable_tensor());
}

}  // namespace

Result<TensorRef> upload(RpcConnection& connection, const CallOptions& options,
                         const TensorRef& tensor, CallState* call) {
  LUNA_RETURN_IF_ERROR(require_host_bytes(tensor));
  const BytesPtr bytes = tensor.host_bytes();
  if (SharedMemory* shared = connection.shared_memory();
      shared && bytes->view().size() > SharedMemory::kSmallest) {
    if (const auto sealed = shared->seal(bytes); sealed.ok()) {
      auto kept = upload_from(connection, options, tensor.spec, &sealed->place, *bytes, call);
      shared->forget(*sealed);
      return kept;
    }
  }
  return upload_from(connection, options, tensor.spec, nullptr, *bytes, call);
}

Result<TensorRef> download(RpcConnection& connection, const CallOptions& options,
                           const std::string& resident_id, CallState* call) {
  Exchange exchange(call);
  LUNA_RETURN_IF_ERROR(
      connection.prepare(exchange.context(), with_deadline(options, std::size_t{1} << 30)));
  v1::DownloadTensorRequest request;
  request.set_resident_id(resident_id);
  SharedMemory* shared = connection.shared_memory();
  request.set_as_region(shared != nullptr);
  const auto reader = connection.tensors().Download(&exchange.context(), request);
  v1::DownloadTensorResponse message;
  Status failure;
  TensorRef tensor;
  std::string bytes;
  bool begun = false;
  std::optional<SharedRegion> region;
  while (reader->Read(&message)) {
    if (!begun) {
      auto spec = wire::from_wire(message.spec());
      if (!spec.ok()) {
        failure = spec.status();
        exchange.context().TryCancel();
        break;
      }
      tensor.spec = std::move(*spec);
      begun = true;
      if (message.has_region()) {
        region = SharedRegion{message.region().region_id(), message.region().offset()};
        continue;
      }
      bytes.reserve(tensor.spec.byte_size());
    }
    bytes += message.chunk();
  }
  const Status end = connection.status(reader->Finish());
  LUNA_RETURN_IF_ERROR(failure);
  LUNA_RETURN_IF_ERROR(end);
  if (region) return shared->take(std::move(tensor.spec), *region);
  tensor.place = bytes_from(std::move(bytes));
  LUNA_RETURN_IF_ERROR(tensor.validate("downloaded tensor"));
  return tensor;
}

Result<std::uint64_t> free_tensors(RpcConnection& connection, const CallOptions& options,
                                   const std::vector<std::string>& ids) {
  v1::FreeTensorRequest request;
  request.mutable_resident_ids()->Add(ids.begin(), ids.end());
  LUNA_ASSIGN_OR_RETURN(const v1::FreeTensorResponse response,
                        connection.call(connection.tensors(), &v1::Tensors::Stub::Free, request,
                                        with_deadline(options, 0)));
  return response.freed_bytes();
}

bool needs_upload(JobRequest& request, std::uint64_t inline_bytes) {
  bool needed = false;
  for_each_large(request, inline_bytes, [&](TensorRef&) { needed = true; });
  return needed;
}

Status upload_large(RpcConnection& connection, const CallOptions& options, JobRequest& request,
                    CallState* call, std::vector<std::string>* uploaded,
                    std::uint64_t inline_bytes) {
  std::map<const Bytes*, TensorRef> sent;
  std::vector<BytesPtr> alive;  // so that no address is used twice
  Status status;
  for_each_large(request, inline_bytes, [&](TensorRef& tensor) {
    if (!status.ok()) return;
    const BytesPtr bytes = tensor.host_bytes();
    const auto known = sent.find(bytes.get());
    if (known != sent.end() && known->second.spec == tensor.spec) {
      tensor.place = known->second.place;
      return;
    }
    auto resident = upload(connection, options, tensor, call);
    if (!resident.ok()) {
      status = resident.status().with_context("upload of a large tensor");
      return;
    }
    if (const auto* id = std::get_if<ResidentTensor>(&resident->place)) uploaded->push_back(id->id);
    alive.push_back(bytes);
    tensor.place = resident->place;
    sent.insert_or_assign(bytes.get(), std::move(*resident));
  });
  return status;
}

std::uint64_t reply_bytes_bound(const JobRequest& request) {
  if (const auto* sample = std::get_if<SampleRequest>(&request)) {
    std::uint64_t total = 0;
    for (const SampleRow& row : sample->rows) total += float_bytes(row.latent);
    return total;
  }
  if (const auto* denoise = std::get_if<DenoiseRequest>(&request)) {
    std::uint64_t total = 0;
    for (const DenoiseRow& row : denoise->rows) total += float_bytes(row.x);
    return total;
  }
  if (const auto* decode = std::get_if<VaeDecodeRequest>(&request)) {
    const auto& shape = decode->latent.spec.shape;
    if (shape.size() != 4 || float_bytes(decode->latent) == 0) return 0;
    const std::uint64_t pixels = static_cast<std::uint64_t>(shape[0] * shape[2] * shape[3]) *
                                 kLargestVaeFactor * kLargestVaeFactor;
    return pixels * 3 * (decode->as_u8 ? 1 : 4);
  }
  if (const auto* encode = std::get_if<VaeEncodeRequest>(&request)) {
    return float_bytes(encode->pixels);  // every VAE makes fewer numbers of a picture than it has
  }
  return 0;
}

Status download_all(RpcConnection& connection, const CallOptions& options, JobReply& reply,
                    CallState* call) {
  std::vector<std::string> fetched;
  Status status;
  visit_tensors(reply, [&](TensorRef& tensor) {
    const auto* resident = std::get_if<ResidentTensor>(&tensor.place);
    if (!resident) return;
    fetched.push_back(resident->id);
    if (!status.ok()) return;
    auto bytes = download(connection, options, resident->id, call);
    if (bytes.ok()) {
      tensor = std::move(*bytes);
    } else {
      status = bytes.status().with_context("download of a large result");
    }
  });
  if (!fetched.empty()) {
    const auto freed =
        free_tensors(connection, {options.workflow_id, options.priority, {}}, fetched);
    if (status.ok() && !freed.ok()) status = freed.status().with_context("release of a result");
  }
  return status;
}

}  // namespace luna::client
