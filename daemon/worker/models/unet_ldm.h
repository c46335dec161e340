#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/worker/layers/resample.h"
#include "daemon/worker/layers/spatial_transformer.h"
#include "daemon/worker/layers/unet_res_block.h"
#include "daemon/worker/models/denoising_model.h"
#include "daemon/worker/models/unet_config.h"
#include "daemon/worker/models/unet_variant.h"
#include "daemon/worker/weights/weight_store.h"

namespace luna::worker {

/// "sd1", "sdxl" or "sdxl_refiner".
std::string family_of(const UNetConfig& config);

/// The UNet of latent diffusion models (SD1.5; the layout also of SD2 and SDXL).
/// Reference for names and order: CompVis latent-diffusion openaimodel.py UNetModel.
///
/// Extras: "y" [n,adm] where the model has vector conditioning (and then required); "c_concat"
/// [n,c,h,w], joined to x on the channels, where the model has more input than output channels.
class LdmUNet : public DenoisingModel {
 public:
  /// INVALID_ARGUMENT names every missing or misshapen tensor. The store is not kept.
  static Result<std::shared_ptr<const LdmUNet>> build(std::shared_ptr<const WeightStore> weights,
                                                      at::ScalarType compute, at::Device device);

  const DenoiserTraits& traits() const override { return traits_; }
  using DenoisingModel::forward;
  at::Tensor forward(const at::Tensor& x, const at::Tensor& timestep, const at::Tensor& context,
                     const std::map<std::string, at::Tensor>& extras,
                     const AdapterRows& adapters) const override;
  at::ScalarType compute_type() const override { return placement_.compute(); }
  at::Device device() const override { return placement_.device(); }
  std::uint64_t resident_bytes() const override { return placement_.resident_bytes(); }
  const WeightStore::Tensors& running_weights() const override { return placement_.running(); }
  const std::set<std::string>& row_wise_weights() const override { return placement_.row_wise(); }
  std::uint64_t activation_bytes(int rows, int height, int width, int tokens) const override;

  LdmUNet(UNetConfig config, const UNetVariant& variant, const WeightScope& scope,
          at::ScalarType compute, at::Device device);

 private:
  /// Any block of the net: its parts run in this order, absent ones are skipped.
  struct Block {
    std::optional<UNetResBlock> first;
    std::optional<SpatialTransformer> transformer;
    std::optional<UNetResBlock> second;
    std::optional<Downsample> down;
    std::optional<Upsample> up;
    at::Tensor run(at::Tensor x, const at::Tensor& embedding, const at::Tensor& context,
                   const AdapterRows& adapters) const;
  };

  Block input_block(const WeightScope& scope, const UNetConfig::Stage& stage);
  Block middle_block(const WeightScope& scope);
  Block output_block(const WeightScope& scope, const UNetConfig::Stage& stage);
  UNetResBlock res_block(const WeightScope& scope, const UNetConfig::Stage& stage);
  SpatialTransformer transformer(const WeightScope& scope, const UNetConfig::Stage& stage);
  at::Tensor embed(const at::Tensor& timestep, const std::map<std::string, at::Tensor>& extras,
                   const AdapterRows& adapters) const;

  const UNetConfig config_;
  DenoiserTraits traits_;
  Placement placement_;
  Linear time_in_;
  Linear time_out_;
  std::optional<Linear> label_in_;
  std::optional<Linear> label_out_;
  Conv2d conv_in_;
  std::vector<Block> input_;
  Block middle_;
  std::vector<Block> output_;
  GroupNorm norm_out_;
  Conv2d conv_out_;
};

}  // namespace luna::worker
