#include "client/rpc/tensor_walk.h"

namespace luna::client {
namespace {

void walk(std::optional<TensorRef>& tensor, const TensorVisitor& visit) {
  if (tensor) visit(*tensor);
}

void walk(std::map<std::string, TensorRef>& tensors, const TensorVisitor& visit) {
  for (auto& [name, tensor] : tensors) visit(tensor);
}

void walk(std::vector<TensorRef>& tensors, const TensorVisitor& visit) {
  for (TensorRef& tensor : tensors) visit(tensor);
}

void walk(ConditioningEntry& entry, const TensorVisitor& visit) {
  visit(entry.cross_attn);
  walk(entry.pooled, visit);
  walk(entry.attention_mask, visit);
  walk(entry.mask, visit);
  walk(entry.extras, visit);
}

struct Requests {
  const TensorVisitor& visit;

  void operator()(VaeEncodeRequest& request) const { visit(request.pixels); }
  void operator()(VaeDecodeRequest& request) const { visit(request.latent); }
  void operator()(DenoiseRequest& request) const {
    for (DenoiseRow& row : request.rows) {
      visit(row.x);
      walk(row.conditioning, visit);
      walk(row.extras, visit);
    }
  }
  void operator()(SampleRequest& request) const {
    for (SampleRow& row : request.rows) {
      visit(row.latent);
      walk(row.noise_mask, visit);
      walk(row.noise.tensor, visit);
      for (auto& [name, entries] : row.conditioning) {
        for (ConditioningEntry& entry : entries) walk(entry, visit);
      }
      walk(row.extras, visit);
    }
  }
  void operator()(TokenizeRequest&) const {}
  void operator()(EncodeTextRequest&) const {}
  void operator()(InspectModelRequest&) const {}
  void operator()(LoadModelRequest&) const {}
  void operator()(UnloadModelRequest&) const {}
  void operator()(RestoreModelRequest&) const {}
  void operator()(LeaseCudaRequest&) const {}
  void operator()(ProveCudaRequest& request) const { visit(request.memory); }
};

struct Replies {
  const TensorVisitor& visit;

  void operator()(EncodeTextReply& reply) const {
    visit(reply.cross_attn);
    walk(reply.pooled, visit);
  }
  void operator()(VaeEncodeReply& reply) const { visit(reply.latent); }
  void operator()(VaeDecodeReply& reply) const { visit(reply.pixels); }
  void operator()(DenoiseReply& reply) const { walk(reply.denoised, visit); }
  void operator()(SampleReply& reply) const { walk(reply.latents, visit); }
  void operator()(TokenizeReply&) const {}
  void operator()(InspectModelReply&) const {}
  void operator()(LoadModelReply&) const {}
  void operator()(UnloadModelReply&) const {}
  void operator()(RestoreModelReply&) const {}
  void operator()(LeaseCudaReply& reply) const { visit(reply.memory); }
  void operator()(ProveCudaReply& reply) const { visit(reply.memory); }
};

}  // namespace

void for_each_tensor(JobRequest& request, const TensorVisitor& visit) {
  std::visit(Requests{visit}, request);
}

void for_each_tensor(JobReply& reply, const TensorVisitor& visit) {
  std::visit(Replies{visit}, reply);
}

}  // namespace luna::client
