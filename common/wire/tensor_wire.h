#pragma once

#include <map>
#include <string>

#include "common/types/tensor.h"
#include "common/wire/field_path.h"
#include "luna/v1/tensor.pb.h"

namespace luna::wire {

/// Every reader of this folder is called from_wire: it takes the message apart (inline bytes are
/// moved out, never copied, so the message is spent), and checks what protobuf cannot: unknown enum
/// numbers, missing messages, shapes, sizes, finite numbers. INVALID_ARGUMENT names the field by
/// its path. Every writer is called to_wire; it fills an empty message. Host bytes are copied once,
/// into the message.

void to_wire(const TensorSpec& spec, v1::TensorSpec* out);
Result<TensorSpec> from_wire(const v1::TensorSpec& message, const FieldPath& path = FieldPath());

void to_wire(const TensorRef& tensor, v1::TensorRef* out);
/// A resident tensor needs no spec: the server knows it. RESOURCE_EXHAUSTED where inline bytes
/// exceed the path's limit; the sentence names Tensors.Upload.
Result<TensorRef> from_wire(v1::TensorRef& message, const FieldPath& path = FieldPath());

/// The tensors of a map field such as `extras`; `name` is the field's.
void tensors_to_wire(const std::map<std::string, TensorRef>& tensors,
                     google::protobuf::Map<std::string, v1::TensorRef>* out);
Result<std::map<std::string, TensorRef>> tensors_from_wire(
    google::protobuf::Map<std::string, v1::TensorRef>& field, std::string_view name,
    const FieldPath& parent);

/// The numbers of a map field such as `options`, each finite.
Result<std::map<std::string, double>> numbers_from_wire(
    const google::protobuf::Map<std::string, double>& field, std::string_view name,
    const FieldPath& parent);

}  // namespace luna::wire
