#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include <ATen/ATen.h>

namespace luna::worker {

/// A Brownian path on [t0, t1] that is a pure function of its seed, value by value torchsde's
/// BrownianTree(t0, zeros, t1, entropy=seed, tol=1e-6) with generators of `device`: intervals are
/// halved, each halving draws from its own generator, and times lie on a grid of 1e-6. Increments
/// are computed from the root; drawn nodes are kept up to `cache_bytes`, the deepest go first.
class BrownianTree {
 public:
  BrownianTree(std::uint64_t seed, double t0, double t1, at::IntArrayRef shape,
               at::Device device = at::kCPU, std::size_t cache_bytes = kDefaultCacheBytes);

  /// W(tb) - W(ta), f32, for ta <= tb; times outside the interval are clamped to it.
  at::Tensor increment(double ta, double tb);

  std::size_t cached_nodes() const { return left_increments_.size(); }

 private:
  static constexpr std::size_t kDefaultCacheBytes = std::size_t{32} << 20;

  struct Node {
    double start;
    double end;
    std::uint64_t key;
    int depth;
  };
  struct Drawn {
    at::Tensor left_increment;
    std::uint64_t last_use;
  };
  using NodeId = std::pair<int, std::uint64_t>;  // depth, key

  void add_pieces(const Node& node, const at::Tensor& increment, double ta, double tb,
                  at::Tensor& sum);
  at::Tensor left_increment(const Node& node, const at::Tensor& increment, double middle);
  void evict();

  std::uint64_t seed_;
  std::vector<std::int64_t> shape_;
  at::Device device_;
  Node root_;
  at::Tensor root_increment_;
  std::map<NodeId, Drawn> left_increments_;
  std::size_t max_nodes_;
  std::uint64_t queries_ = 0;
};

}  // namespace luna::worker
