#include "common/types/request_tensors.h"

#include "common/base/overloaded.h"

namespace luna {
namespace {

Status walk(std::optional<TensorRef>& tensor, const std::string& name, const TensorVisit& visit) {
  return tensor ? visit(*tensor, name) : Status();
}

Status walk(std::map<std::string, TensorRef>& tensors, const std::string& name,
            const TensorVisit& visit) {
  for (auto& [key, tensor] : tensors) LUNA_RETURN_IF_ERROR(visit(tensor, name + "." + key));
  return {};
}

Status walk(std::vector<TensorRef>& tensors, const std::string& name, const TensorVisit& visit) {
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    LUNA_RETURN_IF_ERROR(visit(tensors[i], fmt::format("{}[{}]", name, i)));
  }
  return {};
}

Status walk(ConditioningEntry& entry, const std::string& name, const TensorVisit& visit) {
  LUNA_RETURN_IF_ERROR(visit(entry.cross_attn, name + ".cross_attn"));
  LUNA_RETURN_IF_ERROR(walk(entry.pooled, name + ".pooled", visit));
  LUNA_RETURN_IF_ERROR(walk(entry.attention_mask, name + ".attention_mask", visit));
  LUNA_RETURN_IF_ERROR(walk(entry.mask, name + ".mask", visit));
  return walk(entry.extras, name + ".extras", visit);
}

Status walk(SampleRow& row, const std::string& name, const TensorVisit& visit) {
  LUNA_RETURN_IF_ERROR(visit(row.latent, name + ".latent"));
  LUNA_RETURN_IF_ERROR(walk(row.noise_mask, name + ".noise_mask", visit));
  LUNA_RETURN_IF_ERROR(walk(row.noise.tensor, name + ".noise.tensor", visit));
  for (auto& [set, entries] : row.conditioning) {
    for (std::size_t i = 0; i < entries.size(); ++i) {
      LUNA_RETURN_IF_ERROR(
          walk(entries[i], fmt::format("{}.conditioning.{}[{}]", name, set, i), visit));
    }
  }
  return walk(row.extras, name + ".extras", visit);
}

Status walk(DenoiseRow& row, const std::string& name, const TensorVisit& visit) {
  LUNA_RETURN_IF_ERROR(visit(row.x, name + ".x"));
  LUNA_RETURN_IF_ERROR(walk(row.conditioning, name + ".conditioning", visit));
  return walk(row.extras, name + ".extras", visit);
}

template <class Row>
Status walk_rows(std::vector<Row>& rows, const TensorVisit& visit) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    LUNA_RETURN_IF_ERROR(walk(rows[i], fmt::format("rows[{}]", i), visit));
  }
  return {};
}

Status walk_loras(std::vector<LoraRef>& loras, const std::function<Status(LoraRef&)>& visit) {
  for (LoraRef& lora : loras) LUNA_RETURN_IF_ERROR(visit(lora));
  return {};
}

}  // namespace

Status for_each_tensor(JobRequest& request, const TensorVisit& visit) {
  return std::visit(Overloaded{
                        [&](VaeEncodeRequest& r) { return visit(r.pixels, "pixels"); },
                        [&](VaeDecodeRequest& r) { return visit(r.latent, "latent"); },
                        [&](DenoiseRequest& r) { return walk_rows(r.rows, visit); },
                        [&](SampleRequest& r) { return walk_rows(r.rows, visit); },
                        [&](ProveCudaRequest& r) { return visit(r.memory, "memory"); },
                        [](auto&) { return Status(); },
                    },
                    request);
}

Status for_each_tensor(const JobRequest& request,
                       const std::function<Status(const TensorRef&, const std::string&)>& visit) {
  return for_each_tensor(
      const_cast<JobRequest&>(request),
      [&](TensorRef& tensor, const std::string& name) { return visit(tensor, name); });
}

Status for_each_tensor(JobReply& reply, const TensorVisit& visit) {
  return std::visit(Overloaded{
                        [&](EncodeTextReply& r) {
                          LUNA_RETURN_IF_ERROR(visit(r.cross_attn, "cross_attn"));
                          return walk(r.pooled, "pooled", visit);
                        },
                        [&](VaeEncodeReply& r) { return visit(r.latent, "latent"); },
                        [&](VaeDecodeReply& r) { return visit(r.pixels, "pixels"); },
                        [&](DenoiseReply& r) { return walk(r.denoised, "denoised", visit); },
                        [&](SampleReply& r) { return walk(r.latents, "latents", visit); },
                        [&](LeaseCudaReply& r) { return visit(r.memory, "memory"); },
                        [&](ProveCudaReply& r) { return visit(r.memory, "memory"); },
                        [](auto&) { return Status(); },
                    },
                    reply);
}

namespace {

TensorVisit without_failure(const std::function<void(TensorRef&)>& visit) {
  return [&visit](TensorRef& tensor, const std::string&) { return visit(tensor), Status(); };
}

}  // namespace

void visit_tensors(JobRequest& request, const std::function<void(TensorRef&)>& visit) {
  (void)for_each_tensor(request, without_failure(visit));
}

void visit_tensors(JobReply& reply, const std::function<void(TensorRef&)>& visit) {
  (void)for_each_tensor(reply, without_failure(visit));
}

Status for_each_lora(JobRequest& request, const std::function<Status(LoraRef&)>& visit) {
  const auto rows = [&](auto& r) -> Status {
    for (auto& row : r.rows) LUNA_RETURN_IF_ERROR(walk_loras(row.loras, visit));
    return {};
  };
  return std::visit(Overloaded{
                        [&](EncodeTextRequest& r) { return walk_loras(r.loras, visit); },
                        [&](DenoiseRequest& r) { return rows(r); },
                        [&](SampleRequest& r) { return rows(r); },
                        [](auto&) { return Status(); },
                    },
                    request);
}

bool wants_keep(const JobRequest& request) {
  return std::visit(
      [](const auto& r) {
        if constexpr (requires { r.keep; }) {
          return r.keep;
        } else {
          return false;
        }
      },
      request);
}

}  // namespace luna
