#pragma once

#include <set>
#include <string>

#include <google/protobuf/message.h>

namespace luna::wire {

/// Fills every field of a message with a value of its own, so that one which a translation forgets
/// shows up. Respects what the readers check: real slots, sizes that fit, one place for each tensor
/// (all places in turn).
class MessageFiller {
 public:
  void fill(google::protobuf::Message& message);
  /// Full names of the fields that were set.
  const std::set<std::string>& fields() const { return fields_; }

 private:
  void fill_field(google::protobuf::Message& message,
                  const google::protobuf::FieldDescriptor& field);
  bool fill_special(google::protobuf::Message& message);
  void note(const google::protobuf::Message& message);
  std::uint32_t next() { return ++counter_; }

  std::uint32_t counter_ = 0;
  int tensors_ = 0;
  std::set<std::string> fields_;
};

}  // namespace luna::wire
