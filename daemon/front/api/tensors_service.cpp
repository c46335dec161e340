#include "daemon/front/api/tensors_service.h"

#include <algorithm>
#include <cstring>
#include <mutex>

#include "common/local/memory.h"
#include "common/wire/tensor_wire.h"
#include "daemon/front/api/call_metadata.h"
#include "daemon/front/api/handed_over.h"
#include "daemon/front/api/unary_call.h"

namespace luna::front {
namespace {

/// Gathers one upload. gRPC runs one reaction at a time here, cancellation excepted.
class UploadCall final : public grpc::ServerReadReactor<v1::UploadTensorRequest> {
 public:
  UploadCall(ApiContext& api, grpc::CallbackServerContext* context,
             v1::UploadTensorResponse* response)
      : api_(api), response_(response) {
    if (const Status status = begin(*context); !status.ok()) {
      end(status);
    } else {
      StartRead(&message_);
    }
  }

  void OnReadDone(bool ok) override {
    const Status status = ok ? take() : store();
    if (!status.ok() || !ok) {
      end(status);
    } else {
      StartRead(&message_);
    }
  }
  void OnCancel() override {
    end(Status(StatusCode::kCancelled, "the client cancelled the upload or went away"));
  }
  void OnDone() override { delete this; }

 private:
  Status begin(const grpc::CallbackServerContext& context) {
    LUNA_ASSIGN_OR_RETURN(ticket_, api_.gate.enter());
    LUNA_ASSIGN_OR_RETURN(caller_, caller_of(context, NeedsWorkflow::kNo));
    if (caller_.session_id.empty()) {
      return error(StatusCode::kFailedPrecondition,
                   "metadata luna-session-id is missing; an uploaded tensor belongs to a session "
                   "(Sessions.Attend)");
    }
    return {};
  }

  Status take() {
    if (!begun_) {
      if (message_.part_case() != v1::UploadTensorRequest::kSpec) {
        return error(StatusCode::kInvalidArgument,
                     "the first message of an upload must be its spec");
      }
      const wire::FieldPath root;
      LUNA_ASSIGN_OR_RETURN(spec_, wire::from_wire(message_.spec(), root.field("spec")));
      if (spec_.byte_size() > api_.limits.resident_bytes_per_session) {
        return error(StatusCode::kResourceExhausted, "spec: {} has {} bytes; a session may keep {}",
                     spec_.to_string(), spec_.byte_size(), api_.limits.resident_bytes_per_session);
      }
      begun_ = true;
      return {};
    }
    if (tensor_) {
      return error(StatusCode::kInvalidArgument, "an upload from a region ends with the region");
    }
    switch (message_.part_case()) {
      case v1::UploadTensorRequest::kChunk:
        return gather(message_.chunk());
      case v1::UploadTensorRequest::kRegion:
        return look_into(message_.region());
      default:
        return error(StatusCode::kInvalidArgument,
                     "after the spec, an upload has chunks or one region");
    }
  }

  Status gather(const std::string& chunk) {
    if (chunk.size() > spec_.byte_size() - received_) {
      return error(StatusCode::kInvalidArgument, "{} has {} bytes, and at least {} came",
                   spec_.to_string(), spec_.byte_size(), received_ + chunk.size());
    }
    // Large ones go to workers and back to the client by descriptor. Its pages are taken up as the
    // bytes come, whatever the spec says.
    if (received_ == 0 && spec_.byte_size() > PlaneDesk::kRegionBytes) {
      LUNA_ASSIGN_OR_RETURN(shared_, MemoryRegion::create("luna-upload", spec_.byte_size()));
    }
    if (shared_) {
      std::memcpy(shared_->bytes().data() + received_, chunk.data(), chunk.size());
    } else {
      bytes_ += chunk;
    }
    received_ += chunk.size();
    return {};
  }

  Status look_into(const v1::SharedRegion& region) {
    if (received_ > 0) {
      return error(StatusCode::kInvalidArgument, "an upload has chunks or a region, not both");
    }
    LUNA_ASSIGN_OR_RETURN(tensor_, api_.core.planes().read(caller_.session_id, spec_,
                                                           {region.region_id(), region.offset()}));
    return {};
  }

  Result<BytesPtr> gathered() {
    if (tensor_) return tensor_->host_bytes();
    if (received_ != spec_.byte_size()) {
      return error(StatusCode::kInvalidArgument, "{} needs {} bytes, {} came", spec_.to_string(),
                   spec_.byte_size(), received_);
    }
    if (shared_) return std::move(*shared_).finish();
    return bytes_from(std::move(bytes_));
  }

  Status store() {
    if (!begun_) return error(StatusCode::kInvalidArgument, "an upload without a spec");
    LUNA_ASSIGN_OR_RETURN(BytesPtr bytes, gathered());
    std::lock_guard lock(mutex_);
    if (ended_) return {};
    LUNA_ASSIGN_OR_RETURN(const TensorRef tensor,
                          api_.core.put_tensor(caller_, spec_, std::move(bytes)));
    wire::to_wire(tensor, response_->mutable_tensor());
    return {};
  }

  void end(const Status& status) {
    std::lock_guard lock(mutex_);
    if (std::exchange(ended_, true)) return;
    Finish(to_grpc(status));
  }

  ApiContext& api_;
  v1::UploadTensorResponse* response_;
  Gate::Ticket ticket_;
  Caller caller_;
  v1::UploadTensorRequest message_;
  TensorSpec spec_;
  bool begun_ = false;
  std::uint64_t received_ = 0;
  std::string bytes_;                   ///< of a small tensor
  std::optional<MemoryRegion> shared_;  ///< of a large one
  std::optional<TensorRef> tensor_;     ///< that came by a region
  std::mutex mutex_;
  bool ended_ = false;
};

/// Sends one tensor chunk by chunk.
class DownloadCall final : public grpc::ServerWriteReactor<v1::DownloadTensorResponse> {
 public:
  DownloadCall(ApiContext& api, grpc::CallbackServerContext* context,
               const v1::DownloadTensorRequest& request)
      : ticket_(api.gate.enter_late()) {
    std::lock_guard lock(mutex_);
    end_ = begin(api, *context, request);
    if (end_.ok()) {
      wire::to_wire(tensor_.spec, message_.mutable_spec());
      write_next();
    } else {
      finish();
    }
  }

  void OnWriteDone(bool ok) override {
    std::lock_guard lock(mutex_);
    writing_ = false;
    if (!ok) region_.drop();
    if (!ok && end_.ok()) end_ = error(StatusCode::kCancelled, "the client went away");
    if (!end_.ok() || sent_ == tensor_.spec.byte_size()) {
      finish();
    } else {
      message_.clear_spec();
      write_next();
    }
  }
  void OnCancel() override {
    std::lock_guard lock(mutex_);
    region_.drop();
    if (finished_) return;
    end_ = error(StatusCode::kCancelled, "the client cancelled the download or went away");
    if (!writing_) finish();
  }
  void OnDone() override { delete this; }

 private:
  Status begin(ApiContext& api, const grpc::CallbackServerContext& context,
               const v1::DownloadTensorRequest& request) {
    LUNA_ASSIGN_OR_RETURN(const Caller caller, caller_of(context, NeedsWorkflow::kNo));
    LUNA_ASSIGN_OR_RETURN(tensor_, api.core.get_tensor(caller, request.resident_id()));
    bytes_ = tensor_.host_bytes();
    if (!bytes_ && !std::holds_alternative<std::monostate>(tensor_.place)) {
      return error(StatusCode::kUnimplemented, "{} is not in host memory and cannot be downloaded",
                   tensor_.spec.to_string());
    }
    if (!request.as_region()) return {};
    if (const auto region = api.core.planes().hand_over(caller.session_id, tensor_)) {
      region_ = {&api.core, caller.session_id, {region->region_id}};
      message_.mutable_region()->set_region_id(region->region_id);
      message_.mutable_region()->set_offset(region->offset);
    }
    return {};
  }

  void write_next() {
    if (!region_.regions.empty()) {
      sent_ = tensor_.spec.byte_size();
      writing_ = true;
      StartWrite(&message_);
      return;
    }
    const std::size_t size = std::min(kDownloadChunkBytes, tensor_.spec.byte_size() - sent_);
    if (bytes_) {
      const auto part = bytes_->view().subspan(sent_, size);
      message_.mutable_chunk()->assign(reinterpret_cast<const char*>(part.data()), part.size());
    } else {
      message_.mutable_chunk()->assign(size, '\0');
    }
    sent_ += size;
    writing_ = true;
    StartWrite(&message_);
  }

  void finish() {
    if (std::exchange(finished_, true)) return;
    Finish(to_grpc(end_));
  }

  Gate::Ticket ticket_;
  std::mutex mutex_;
  TensorRef tensor_;
  BytesPtr bytes_;
  v1::DownloadTensorResponse message_;
  HandedOver region_;
  std::size_t sent_ = 0;
  Status end_;
  bool writing_ = false;
  bool finished_ = false;
};

}  // namespace

grpc::ServerReadReactor<v1::UploadTensorRequest>* TensorsService::Upload(
    grpc::CallbackServerContext* context, v1::UploadTensorResponse* response) {
  return new UploadCall(api_, context, response);  // deletes itself in OnDone
}

grpc::ServerWriteReactor<v1::DownloadTensorResponse>* TensorsService::Download(
    grpc::CallbackServerContext* context, const v1::DownloadTensorRequest* request) {
  return new DownloadCall(api_, context, *request);  // deletes itself in OnDone
}

grpc::ServerUnaryReactor* TensorsService::Free(grpc::CallbackServerContext* context,
                                               const v1::FreeTensorRequest* request,
                                               v1::FreeTensorResponse* response) {
  const auto free = [&]() -> Status {
    LUNA_ASSIGN_OR_RETURN(const Caller caller, caller_of(*context, NeedsWorkflow::kNo));
    const std::vector<std::string> ids(request->resident_ids().begin(),
                                       request->resident_ids().end());
    LUNA_ASSIGN_OR_RETURN(const std::uint64_t freed, api_.core.free_tensors(caller, ids));
    response->set_freed_bytes(freed);
    return {};
  };
  return answer_now(context, free());
}

}  // namespace luna::front
