#include "common/wire/tensor_wire.h"

namespace luna::wire {

void to_wire(const TensorSpec& spec, v1::TensorSpec* out) {
  out->set_dtype(static_cast<v1::DType>(spec.dtype));
  out->mutable_shape()->Add(spec.shape.begin(), spec.shape.end());
}

Result<TensorSpec> from_wire(const v1::TensorSpec& message, const FieldPath& path) {
  if (!v1::DType_IsValid(message.dtype())) {
    return path.field("dtype").invalid("unknown element type {}",
                                       static_cast<int>(message.dtype()));
  }
  TensorSpec spec{static_cast<DType>(message.dtype()),
                  {message.shape().begin(), message.shape().end()}};
  if (Status status = spec.validate(); !status.ok()) {
    return path.failed(status.code(), status.message());
  }
  return spec;
}

void to_wire(const TensorRef& tensor, v1::TensorRef* out) {
  to_wire(tensor.spec, out->mutable_spec());
  if (const BytesPtr bytes = tensor.host_bytes()) {
    const auto view = bytes->view();
    out->mutable_inline_()->assign(reinterpret_cast<const char*>(view.data()), view.size());
  } else if (const auto* resident = std::get_if<ResidentTensor>(&tensor.place)) {
    out->set_resident_id(resident->id);
  } else if (const auto* region = std::get_if<SharedRegion>(&tensor.place)) {
    out->mutable_region()->set_region_id(region->region_id);
    out->mutable_region()->set_offset(region->offset);
  } else if (const auto* cuda = std::get_if<CudaHandle>(&tensor.place)) {
    v1::CudaHandle* handle = out->mutable_cuda();
    handle->set_device_uuid(cuda->device_uuid);
    handle->set_handle(cuda->handle);
    handle->set_allocation_size(cuda->allocation_size);
    handle->set_offset(cuda->offset);
    handle->set_event_handle(cuda->event_handle);
    handle->set_lease_id(cuda->lease_id);
  }
}

Result<TensorRef> from_wire(v1::TensorRef& message, const FieldPath& path) {
  const FieldPath spec_path = path.field("spec");
  TensorRef tensor;
  if (message.has_spec()) {
    LUNA_ASSIGN_OR_RETURN(tensor.spec, from_wire(message.spec(), spec_path));
  } else if (message.place_case() != v1::TensorRef::kResidentId) {
    return spec_path.invalid("missing; a tensor needs its type and shape");
  }
  switch (message.place_case()) {
    case v1::TensorRef::kInline:
      if (message.inline_().size() > path.max_inline_bytes()) {
        return path.failed(StatusCode::kResourceExhausted,
                           fmt::format("{} inline bytes, the limit is {}; send the tensor by "
                                       "Tensors.Upload and name its resident_id here",
                                       message.inline_().size(), path.max_inline_bytes()));
      }
      tensor.place = bytes_from(std::move(*message.mutable_inline_()));
      break;
    case v1::TensorRef::kResidentId:
      if (message.resident_id().empty()) return path.field("resident_id").invalid("empty");
      tensor.place = ResidentTensor{std::move(*message.mutable_resident_id())};
      break;
    case v1::TensorRef::kRegion:
      if (message.region().region_id().empty()) return path.field("region").invalid("no region_id");
      tensor.place = SharedRegion{std::move(*message.mutable_region()->mutable_region_id()),
                                  message.region().offset()};
      break;
    case v1::TensorRef::kCuda: {
      v1::CudaHandle& cuda = *message.mutable_cuda();
      if (cuda.device_uuid().empty()) return path.field("cuda").invalid("no device_uuid");
      tensor.place = CudaHandle{std::move(*cuda.mutable_device_uuid()),
                                std::move(*cuda.mutable_handle()),
                                cuda.allocation_size(),
                                cuda.offset(),
                                std::move(*cuda.mutable_event_handle()),
                                std::move(*cuda.mutable_lease_id())};
      break;
    }
    case v1::TensorRef::PLACE_NOT_SET:
      break;
  }
  if (Status status = tensor.validate("tensor"); !status.ok()) {
    return path.failed(status.code(), status.message());
  }
  return tensor;
}

void tensors_to_wire(const std::map<std::string, TensorRef>& tensors,
                     google::protobuf::Map<std::string, v1::TensorRef>* out) {
  for (const auto& [name, tensor] : tensors) to_wire(tensor, &(*out)[name]);
}

Result<std::map<std::string, TensorRef>> tensors_from_wire(
    google::protobuf::Map<std::string, v1::TensorRef>& field, std::string_view name,
    const FieldPath& parent) {
  std::map<std::string, TensorRef> tensors;
  for (auto& [key, message] : field) {
    LUNA_ASSIGN_OR_RETURN(auto tensor, from_wire(message, parent.entry(name, key)));
    tensors.emplace(key, std::move(tensor));
  }
  return tensors;
}

Result<std::map<std::string, double>> numbers_from_wire(
    const google::protobuf::Map<std::string, double>& field, std::string_view name,
    const FieldPath& parent) {
  std::map<std::string, double> numbers;
  for (const auto& [key, value] : field) {
    LUNA_RETURN_IF_ERROR(parent.entry(name, key).check_finite(value));
    numbers.emplace(key, value);
  }
  return numbers;
}

}  // namespace luna::wire
