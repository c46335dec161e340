#include "daemon/worker/engine/row_extras.h"

#include <vector>

#include <fmt/format.h>

#include "daemon/worker/ops/torch_call.h"

namespace luna::worker {
namespace {

/// The shape of the extra `name`; empty: the model takes none.
Result<std::vector<std::int64_t>> expected_shape(const std::string& name, const std::string& field,
                                                 const DenoiserTraits& traits,
                                                 const EntryPlace& place) {
  using Shape = std::vector<std::int64_t>;
  if (name == "y") {
    return traits.vector == VectorConditioning::kNone ? Shape() : Shape{1, traits.vector_width};
  }
  if (name == "c_concat") {
    return traits.inpaints() ? Shape{1, 1 + traits.latent_channels, place.height, place.width}
                             : Shape();
  }
  return error(StatusCode::kUnimplemented, "{} is not served by this version", field);
}

}  // namespace

Result<std::map<std::string, at::Tensor>> row_extras(const std::map<std::string, TensorRef>& given,
                                                     std::string_view what,
                                                     const DenoisingModel& model,
                                                     const EntryPlace& place) {
  std::map<std::string, at::Tensor> extras;
  for (const auto& [name, tensor] : given) {
    const std::string field = fmt::format("{}.{}", what, name);
    LUNA_ASSIGN_OR_RETURN(const std::vector<std::int64_t> shape,
                          expected_shape(name, field, model.traits(), place));
    if (shape.empty()) {
      return error(StatusCode::kInvalidArgument, "{}: this model of family {} takes none, found {}",
                   field, model.traits().family, tensor.spec.to_string());
    }
    if (tensor.spec.shape != shape) {
      return error(StatusCode::kInvalidArgument, "{}: expected {}, found {}", field,
                   TensorSpec{tensor.spec.dtype, shape}.to_string(), tensor.spec.to_string());
    }
    LUNA_ASSIGN_OR_RETURN(const at::Tensor floats, finite_floats(tensor, field));
    LUNA_ASSIGN_OR_RETURN(extras[name], torch_call(field, [&] {
                            return floats.to(model.device(),
                                             name == "y" ? at::kFloat : model.compute_type());
                          }));
  }
  return extras;
}

}  // namespace luna::worker
