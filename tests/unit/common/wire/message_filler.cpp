#include "tests/unit/common/wire/message_filler.h"

#include "luna/v1/primitives.pb.h"
#include "luna/v1/status.pb.h"
#include "luna/v1/workflow.pb.h"

namespace luna::wire {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

}  // namespace

void MessageFiller::note(const Message& message) {
  std::vector<const FieldDescriptor*> set;
  message.GetReflection()->ListFields(message, &set);
  for (const FieldDescriptor* field : set) fields_.insert(field->full_name());
}

bool MessageFiller::fill_special(Message& message) {
  if (auto* tensor = dynamic_cast<v1::TensorRef*>(&message)) {
    tensor->mutable_spec()->set_dtype(v1::DTYPE_BF16);
    tensor->mutable_spec()->add_shape(1);
    tensor->mutable_spec()->add_shape(next());
    switch (tensors_++ % 5) {
      case 0:
        tensor->set_inline_(std::string(2 * tensor->spec().shape(1), 'x'));
        break;
      case 1:
        tensor->set_resident_id("resident " + std::to_string(next()));
        break;
      case 2:
        tensor->mutable_region()->set_region_id("region " + std::to_string(next()));
        tensor->mutable_region()->set_offset(next());
        break;
      case 3: {
        v1::CudaHandle& cuda = *tensor->mutable_cuda();
        cuda.set_device_uuid("GPU-" + std::to_string(next()));
        cuda.set_handle("handle");
        cuda.set_allocation_size(next());
        cuda.set_offset(next());
        cuda.set_event_handle("event");
        cuda.set_lease_id("lease " + std::to_string(next()));
        break;
      }
      default:
        break;
    }
    for (const Message* part : {static_cast<const Message*>(&tensor->spec()),
                                static_cast<const Message*>(&tensor->region()),
                                static_cast<const Message*>(&tensor->cuda())}) {
      note(*part);
    }
    return true;
  }
  if (auto* noise = dynamic_cast<v1::Noise*>(&message)) {
    noise->set_seed(0xFFFFFFFF00000000ull + next());
    noise->set_batch_index(next());
    noise->set_batch_size(noise->batch_index() + 7);
    noise->set_disable(true);
    fill(*noise->mutable_tensor());
    return true;
  }
  if (auto* models = dynamic_cast<v1::ModelSet*>(&message)) {
    fill(*models->mutable_checkpoint());
    for (const v1::Slot slot : {v1::SLOT_VAE, v1::SLOT_T5}) {
      v1::SlotModel* entry = models->add_slots();
      entry->set_slot(slot);
      fill(*entry->mutable_model());
      note(*entry);
    }
    (*models->mutable_slot_precision())["clip_g"] = v1::PRECISION_BF16;
    (*models->mutable_slot_precision())["preview"] = v1::PRECISION_F16;
    return true;
  }
  return false;
}

void MessageFiller::fill(Message& message) {
  if (!fill_special(message)) {
    const google::protobuf::Descriptor& descriptor = *message.GetDescriptor();
    for (int i = 0; i < descriptor.field_count(); ++i) fill_field(message, *descriptor.field(i));
  }
  note(message);
}

void MessageFiller::fill_field(Message& message, const FieldDescriptor& field) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  const int count = field.is_repeated() ? 2 : 1;
  for (int i = 0; i < count; ++i) {
    const auto put = [&](auto value, auto set, auto add) {
      if (field.is_repeated()) {
        (reflection.*add)(&message, &field, value);
      } else {
        (reflection.*set)(&message, &field, value);
      }
    };
    using R = google::protobuf::Reflection;
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_BOOL:
        put(true, &R::SetBool, &R::AddBool);
        break;
      case FieldDescriptor::CPPTYPE_INT64:
        put(static_cast<std::int64_t>(next()), &R::SetInt64, &R::AddInt64);
        break;
      case FieldDescriptor::CPPTYPE_UINT32:
        put(next(), &R::SetUInt32, &R::AddUInt32);
        break;
      case FieldDescriptor::CPPTYPE_UINT64:
        put(0x100000000ull + next(), &R::SetUInt64, &R::AddUInt64);
        break;
      case FieldDescriptor::CPPTYPE_FLOAT:
        put(next() + 0.5f, &R::SetFloat, &R::AddFloat);
        break;
      case FieldDescriptor::CPPTYPE_DOUBLE:
        put(next() + 0.1, &R::SetDouble, &R::AddDouble);
        break;
      case FieldDescriptor::CPPTYPE_STRING:
        put("text " + std::to_string(next()), &R::SetString, &R::AddString);
        break;
      case FieldDescriptor::CPPTYPE_ENUM: {
        const auto& type = *field.enum_type();
        const int value = 1 + static_cast<int>(next()) % (type.value_count() - 1);
        put(value, &R::SetEnumValue, &R::AddEnumValue);
        break;
      }
      case FieldDescriptor::CPPTYPE_MESSAGE: {
        Message* child = field.is_repeated() ? reflection.AddMessage(&message, &field)
                                             : reflection.MutableMessage(&message, &field);
        fill(*child);
        break;
      }
      default:
        break;
    }
  }
}

}  // namespace luna::wire
