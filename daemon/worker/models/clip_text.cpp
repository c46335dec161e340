#include "daemon/worker/models/clip_text.h"

#include <algorithm>
#include <cmath>

#include "daemon/worker/models/clip_weighting.h"
#include "daemon/worker/models/model_shapes.h"

namespace luna::worker {
namespace {

constexpr std::size_t kRowsAtOnce = 16;
constexpr const char* kOpenClipProjection = "text_projection";

/// Laid out as open_clip's, so that both give the same bits; undefined stays undefined.
at::Tensor transposed(const at::Tensor& matrix) {
  return matrix.defined() ? matrix.t().contiguous() : matrix;
}

}  // namespace

Result<ClipTextConfig> ClipTextConfig::detect(const TensorDirectory& component, Slot slot) {
  ClipTextConfig config;
  config.slot = slot;
  config.vocabulary = extent(component, "text_model.embeddings.token_embedding.weight", 0);
  config.width = extent(component, "text_model.embeddings.token_embedding.weight", 1);
  config.positions = extent(component, "text_model.embeddings.position_embedding.weight", 0);
  config.hidden = extent(component, "text_model.encoder.layers.0.mlp.fc1.weight", 0);
  config.layers = count_indexed(component, "text_model.encoder.layers.", ".layer_norm1.weight");
  if (config.vocabulary < 1 || config.width < 1 || config.positions < 2 || config.hidden < 1 ||
      config.layers < 1)
    return error(StatusCode::kInvalidArgument,
                 "not a CLIP text model: expected token and position embeddings of two axes and "
                 "'text_model.encoder.layers.0'; found vocabulary {}, width {}, {} positions, {} "
                 "layers",
                 config.vocabulary, config.width, config.positions, config.layers);
  LUNA_ASSIGN_OR_RETURN(const auto heads,
                        metadata_number(component, fmt::format("luna.{}.heads", slot_name(slot))));
  config.heads = heads.value_or(std::max<std::int64_t>(1, config.width / 64));
  if (config.width % config.heads != 0)
    return error(StatusCode::kInvalidArgument,
                 "CLIP text model of width {} cannot be divided by {} heads", config.width,
                 config.heads);
  return config;
}

std::string ClipTextConfig::describe() const {
  return fmt::format("{} layers, width {}, {} heads, {} tokens", layers, width, heads, positions);
}

Result<std::shared_ptr<const ClipTextEncoder>> ClipTextEncoder::build(
    std::shared_ptr<const WeightStore> weights, Slot slot, at::Device device) {
  LUNA_ASSIGN_OR_RETURN(const ClipTextConfig config,
                        ClipTextConfig::detect(directory_of(*weights), slot));
  const WeightScope scope(std::move(weights));
  auto model = std::make_shared<const ClipTextEncoder>(config, scope, device);
  LUNA_RETURN_IF_ERROR(scope.status().with_context("CLIP text model"));
  return model;
}

ClipTextEncoder::ClipTextEncoder(const ClipTextConfig& config, const WeightScope& scope,
                                 at::Device device)
    : config_(config),
      token_key_(config.slot == Slot::kClipG ? "g" : "l"),
      placement_(at::kFloat, device),
      final_norm_(scope.child("text_model").child("final_layer_norm"), config.width, placement_) {
  const WeightScope model = scope.child("text_model");
  const WeightScope embeddings = model.child("embeddings");
  const at::Tensor table =
      embeddings.child("token_embedding").take("weight", {config.vocabulary, config.width});
  if (table.defined()) token_table_ = placement_.place(table, table.scalar_type());
  positions_ = placement_.place(
      embeddings.child("position_embedding").take("weight", {config.positions, config.width}));
  for (std::int64_t i = 0; i < config.layers; ++i)
    layers_.emplace_back(model.child("encoder").child("layers").child(static_cast<std::size_t>(i)),
                         ClipLayerShape{.width = config.width,
                                        .heads = config.heads,
                                        .hidden = config.hidden,
                                        .quick_gelu = config.slot == Slot::kClipL},
                         placement_);
  if (config.slot == Slot::kClipG) {
    // open_clip multiplies by the matrix, transformers by its transpose.
    const std::vector<std::int64_t> shape = {config.width, config.width};
    projection_ =
        scope.has(kOpenClipProjection)
            ? placement_.place(scope.take(kOpenClipProjection, shape))
            : transposed(placement_.place(scope.child("text_projection").take("weight", shape)));
  }
  placement_.name_running(*scope.store());
}

std::int64_t ClipTextEncoder::pad() const { return config_.slot == Slot::kClipG ? 0 : kClipEnd; }

Status ClipTextEncoder::check(const std::vector<std::vector<Token>>& chunks,
                              TextLayer layer) const {
  if (layer.from_the_end < 1 || layer.from_the_end > config_.layers)
    return error(StatusCode::kInvalidArgument,
                 "clip skip should be 0 (default) or 1 to {}, the layers of this encoder, found {}",
                 config_.layers, layer.from_the_end);
  for (const std::vector<Token>& chunk : chunks) {
    if (chunk.size() != static_cast<std::size_t>(config_.positions))
      return error(StatusCode::kInvalidArgument,
                   "every chunk of tokens should have {} tokens, found one of {}",
                   config_.positions, chunk.size());
    for (const Token& token : chunk) {
      if (!std::isfinite(token.weight))
        return error(StatusCode::kInvalidArgument, "token weights should be finite, found {}",
                     token.weight);
      if (!token.embedding.empty()) {
        if (token.embedding.size() != static_cast<std::size_t>(config_.width))
          return error(StatusCode::kInvalidArgument,
                       "embeddings for this encoder should be {} wide, found one of {}",
                       config_.width, token.embedding.size());
      } else if (token.id < 0 || token.id >= config_.vocabulary) {
        return error(StatusCode::kInvalidArgument, "token ids should be 0 to {}, found {}",
                     config_.vocabulary - 1, token.id);
      }
    }
  }
  return {};
}

at::Tensor ClipTextEncoder::embed(const std::vector<const std::vector<Token>*>& rows) const {
  const std::int64_t count = static_cast<std::int64_t>(rows.size());
  at::Tensor ids = at::zeros({count, config_.positions}, at::kLong);
  auto id = ids.accessor<std::int64_t, 2>();
  for (std::int64_t row = 0; row < count; ++row)
    for (std::int64_t i = 0; i < config_.positions; ++i)
      if (const Token& token = (*rows[row])[i]; token.embedding.empty()) id[row][i] = token.id;
  at::Tensor x =
      at::embedding(token_table_, ids.to(placement_.device())).to(at::kFloat, false, true);
  for (std::int64_t row = 0; row < count; ++row)
    for (std::int64_t i = 0; i < config_.positions; ++i)
      if (const Token& token = (*rows[row])[i]; !token.embedding.empty())
        x.select(0, row).select(0, i).copy_(at::tensor(token.embedding, at::kFloat));
  return x.add_(positions_);
}

ClipTextEncoder::States ClipTextEncoder::run(at::Tensor x, TextLayer layer) const {
  at::Tensor chosen;
  const std::size_t stop = layers_.size() - static_cast<std::size_t>(layer.from_the_end);
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    x = layers_[i].forward(std::move(x));
    if (i == stop && !(layer.normed && i + 1 == layers_.size()))
      chosen = layer.normed ? final_norm_.forward(x) : x;
  }
  const at::Tensor last = final_norm_.forward(x);
  return {chosen.defined() ? chosen : last, last};
}

at::Tensor ClipTextEncoder::project(const at::Tensor& pooled) const {
  return projection_.defined() ? at::matmul(pooled, projection_) : pooled;
}

Result<TextEncoding> ClipTextEncoder::encode(const std::vector<std::vector<Token>>& chunks,
                                             TextLayer layer) const {
  LUNA_RETURN_IF_ERROR(check(chunks, layer));
  const std::vector<Token> empty = empty_chunk(static_cast<std::size_t>(config_.positions), pad());
  const bool weighted = has_weights(chunks);
  std::vector<const std::vector<Token>*> rows;
  for (const std::vector<Token>& chunk : chunks) rows.push_back(&chunk);
  if (weighted || chunks.empty()) rows.push_back(&empty);

  std::vector<at::Tensor> hidden;
  TextEncoding encoding;
  for (std::size_t first = 0; first < rows.size(); first += kRowsAtOnce) {
    const std::size_t end = std::min(rows.size(), first + kRowsAtOnce);
    const States states = run(embed({rows.begin() + static_cast<std::ptrdiff_t>(first),
                                     rows.begin() + static_cast<std::ptrdiff_t>(end)}),
                              layer);
    hidden.push_back(states.chosen);
    if (first == 0)
      encoding.pooled =
          project(states.last.select(0, 0).narrow(0, pooled_position(*rows.front(), pad()), 1))
              .clone();
  }
  at::Tensor all = hidden.size() == 1 ? hidden.front() : at::cat(hidden, 0);
  if (weighted) all = apply_weights(all, chunks);
  encoding.hidden = all.reshape({1, all.size(0) * all.size(1), all.size(2)});
  return encoding;
}

}  // namespace luna::worker
