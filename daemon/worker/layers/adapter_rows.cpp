#include "daemon/worker/layers/adapter_rows.h"

namespace luna::worker {

double block_strength(const std::map<std::string, double>& blocks, const std::string& layer) {
  // Of the beginnings that fit, the longest comes last in the order of a map.
  double strength = 1;
  for (const auto& [beginning, factor] : blocks) {
    const bool fits = layer.starts_with(beginning) &&
                      (layer.size() == beginning.size() || layer[beginning.size()] == '.');
    if (fits) strength = factor;
  }
  return strength;
}

AdapterRows::AdapterRows(const std::vector<RowAdapters>& rows) {
  for (std::size_t row = 0; row < rows.size(); ++row) {
    if (rows[row].empty()) continue;
    const auto at = static_cast<std::int64_t>(row);
    const bool goes_on = !spans_.empty() && spans_.back().first + spans_.back().count == at &&
                         spans_.back().adapters == rows[row];
    if (goes_on) {
      ++spans_.back().count;
    } else {
      spans_.push_back({at, 1, rows[row]});
    }
  }
}

template <class Add>
void AdapterRows::for_each_term(const std::string& weight, Add add) const {
  for (const Span& span : spans_) {
    for (const RowAdapter& adapter : span.adapters) {
      const auto term = adapter.factors->terms.find(weight);
      if (term == adapter.factors->terms.end()) continue;
      const double strength = adapter.strength * term->second.scale *
                              (adapter.blocks.empty() ? 1 : block_strength(adapter.blocks, weight));
      if (strength != 0) add(span, term->second, strength);
    }
  }
}

void AdapterRows::add_linear(const std::string& weight, const at::Tensor& x, at::Tensor& y) const {
  for_each_term(weight, [&](const Span& span, const LowRankFactors::Term& term, double strength) {
    const at::Tensor in = x.narrow(0, span.first, span.count).reshape({-1, x.size(-1)});
    at::Tensor out = y.narrow(0, span.first, span.count).view({-1, y.size(-1)});
    // A projection that is a 1x1 convolution in the file runs as a matrix.
    out.addmm_(at::mm(in, term.down.flatten(1).t()), term.up.t(), 1, strength);
  });
}

void AdapterRows::add_conv2d(const std::string& weight, const at::Tensor& x,
                             const ops::Conv2dGeometry& geometry, at::Tensor& y) const {
  for_each_term(weight, [&](const Span& span, const LowRankFactors::Term& term, double strength) {
    const at::Tensor between =
        ops::conv2d(x.narrow(0, span.first, span.count), term.down, {}, geometry);
    const at::Tensor up = term.up.unsqueeze(2).unsqueeze(3);
    y.narrow(0, span.first, span.count).add_(ops::conv2d(between, up, {}, {}), strength);
  });
}

}  // namespace luna::worker
