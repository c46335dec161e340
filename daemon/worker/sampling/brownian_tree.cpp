#include "daemon/worker/sampling/brownian_tree.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "daemon/worker/sampling/seed_sequence.h"
#include "daemon/worker/sampling/seeded_generator.h"

namespace luna::worker {
namespace {

constexpr int kMaxDepth = 62;  // keys have one bit a level
constexpr std::size_t kMinNodes = 4;
constexpr std::size_t kMaxNodes = 128;  // more than two paths from root to leaf

/// Python's round(value, 6): the decimal nearest to the exact binary value.
double round_to_grid(double value) {
  std::array<char, 400> digits;  // DBL_MAX has 309 before the point
  const auto written =
      std::to_chars(digits.begin(), digits.end(), value, std::chars_format::fixed, 6);
  double rounded = value;
  std::from_chars(digits.begin(), written.ptr, rounded);
  return rounded;
}

at::Tensor seeded_normal(at::IntArrayRef shape, at::Device device, std::uint32_t seed) {
  return at::randn(shape, seeded_generator(device, seed),
                   at::TensorOptions(at::kFloat).device(device));
}

}  // namespace

BrownianTree::BrownianTree(std::uint64_t seed, double t0, double t1, at::IntArrayRef shape,
                           at::Device device, std::size_t cache_bytes)
    : seed_(seed),
      shape_(shape.vec()),
      device_(device),
      root_{round_to_grid(t0), round_to_grid(t1), 0, 0} {
  root_increment_ =
      seeded_normal(shape_, device_, seed_sequence(seed, {}, 1)[0]) * std::sqrt(t1 - t0);
  const std::size_t node_bytes = std::max<std::size_t>(root_increment_.nbytes(), 1);
  max_nodes_ = std::clamp(cache_bytes / node_bytes, kMinNodes, kMaxNodes);
}

at::Tensor BrownianTree::increment(double ta, double tb) {
  ++queries_;
  ta = round_to_grid(std::clamp(ta, root_.start, root_.end));
  tb = round_to_grid(std::clamp(tb, root_.start, root_.end));
  if (ta >= tb) return at::zeros(shape_, at::TensorOptions(at::kFloat).device(device_));
  at::Tensor sum;
  add_pieces(root_, root_increment_, ta, tb, sum);
  return sum;
}

void BrownianTree::add_pieces(const Node& node, const at::Tensor& increment, double ta, double tb,
                              at::Tensor& sum) {
  if (ta == node.start && tb == node.end) {
    sum = sum.defined() ? sum + increment : increment;
    return;
  }
  TORCH_CHECK(node.depth < kMaxDepth, "sigmas ", ta, " and ", tb,
              " lie too far apart for a Brownian tree");
  const double middle = round_to_grid(0.5 * (node.end + node.start));
  const at::Tensor left = left_increment(node, increment, middle);
  const Node left_node{node.start, middle, 2 * node.key, node.depth + 1};
  const Node right_node{middle, node.end, 2 * node.key + 1, node.depth + 1};
  if (tb <= middle) {
    add_pieces(left_node, left, ta, tb, sum);
  } else if (ta >= middle) {
    add_pieces(right_node, increment - left, ta, tb, sum);
  } else {
    add_pieces(left_node, left, ta, middle, sum);
    add_pieces(right_node, increment - left, middle, tb, sum);
  }
}

/// Of the node's increment, what falls to its left half: the bridge's mean plus its own noise.
at::Tensor BrownianTree::left_increment(const Node& node, const at::Tensor& increment,
                                        double middle) {
  // Within one query shallow nodes count as used last: they serve every later query.
  const std::uint64_t use =
      queries_ * (kMaxDepth + 1) + static_cast<std::uint64_t>(kMaxDepth - node.depth);
  const NodeId id{node.depth, node.key};
  if (const auto found = left_increments_.find(id); found != left_increments_.end()) {
    found->second.last_use = use;
    return found->second.left_increment;
  }
  const std::array<std::uint64_t, 2> spawn_key = {node.key, static_cast<std::uint64_t>(node.depth)};
  const double inverse = 1 / (node.end - node.start);
  const double left = middle - node.start;
  const double right = node.end - middle;
  const at::Tensor noise = seeded_normal(shape_, device_, seed_sequence(seed_, spawn_key, 1)[0]);
  at::Tensor drawn = left * increment * inverse + std::sqrt(left * right * inverse) * noise;
  left_increments_.emplace(id, Drawn{drawn, use});
  evict();
  return drawn;
}

void BrownianTree::evict() {
  if (left_increments_.size() <= max_nodes_) return;
  left_increments_.erase(std::min_element(
      left_increments_.begin(), left_increments_.end(),
      [](const auto& a, const auto& b) { return a.second.last_use < b.second.last_use; }));
}

}  // namespace luna::worker
