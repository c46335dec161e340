#include "daemon/worker/engine/row_batcher.h"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <tuple>
#include <utility>

#include "daemon/worker/ops/finite.h"
#include "daemon/worker/ops/torch_call.h"

namespace luna::worker {
namespace {

// Contexts are repeated to a common multiple of at most this many times the shortest (as ComfyUI
// does).
constexpr std::int64_t kMostRepeats = 4;
// Rows of lower priority may make the urgent rows' forward this much slower.
constexpr double kSlowdownForOthers = 1.25;

ForwardCost::Key cost_key(const ModelRow& row) { return {row.model, row.x.size(2), row.x.size(3)}; }

bool same_kind(const ModelRow& a, const ModelRow& b) {
  if (a.model != b.model || a.x.sizes() != b.x.sizes() || a.extras.size() != b.extras.size())
    return false;
  return std::equal(
      a.extras.begin(), a.extras.end(), b.extras.begin(), [](const auto& left, const auto& right) {
        return left.first == right.first && left.second.sizes() == right.second.sizes() &&
               left.second.scalar_type() == right.second.scalar_type();
      });
}

bool adapters_before(const RowAdapters* a, const RowAdapters* b) {
  static const RowAdapters kNone;
  const RowAdapters& left = a ? *a : kNone;
  const RowAdapters& right = b ? *b : kNone;
  return std::ranges::lexicographical_compare(
      left, right, {},
      [](const RowAdapter& adapter) { return std::pair(adapter.factors.get(), adapter.strength); },
      [](const RowAdapter& adapter) { return std::pair(adapter.factors.get(), adapter.strength); });
}

AdapterRows adapters_of(const std::vector<const RowAdapters*>& rows) {
  if (std::ranges::all_of(rows, [](const RowAdapters* row) { return !row || row->empty(); }))
    return {};
  std::vector<RowAdapters> all;
  for (const RowAdapters* row : rows) all.push_back(row ? *row : RowAdapters());
  return AdapterRows(all);
}

/// The tokens that all contexts of a group have after repeating; grows as rows join.
class CommonTokens {
 public:
  explicit CommonTokens(const ModelRow& first)
      : repeats_(first.model->traits().context_repeats),
        shortest_(first.context.size(1)),
        all_(shortest_) {}

  std::optional<std::int64_t> with(std::int64_t tokens) const {
    if (tokens == all_) return all_;
    if (!repeats_) return std::nullopt;
    const std::int64_t common = std::lcm(all_, tokens);
    if (common > kMostRepeats * std::min(shortest_, tokens)) return std::nullopt;
    return common;
  }
  void join(std::int64_t tokens, std::int64_t common) {
    shortest_ = std::min(shortest_, tokens);
    all_ = common;
  }
  std::int64_t all() const { return all_; }

 private:
  const bool repeats_;
  std::int64_t shortest_, all_;
};

at::Tensor stack_rows(const std::vector<at::Tensor>& rows) {
  return rows.size() == 1 ? rows.front() : at::cat(rows);
}

}  // namespace

RowBatcher::RowBatcher(Options options, DevicePacer& pacer)
    : options_(std::move(options)), pacer_(pacer) {}

void RowBatcher::add(RowSink* sink, std::size_t index, ModelRow row) {
  turns_.enter(sink, sink->workflow());
  waiting_.push_back({sink, index, std::move(row)});
}

void RowBatcher::drop(const RowSink* sink) {
  std::erase_if(waiting_, [sink](const Waiting& waiting) { return waiting.sink == sink; });
  turns_.leave(sink);
  if (delivering_) dropped_.push_back(sink);
}

std::optional<Urgency> RowBatcher::most_urgent() const {
  std::optional<Urgency> best;
  for (const Waiting& waiting : waiting_) {
    const Urgency urgency = waiting.sink->urgency();
    if (!best || urgency < *best) best = urgency;
  }
  return best;
}

int RowBatcher::row_limit(const ForwardCost::Key& key) const {
  const auto lowered = lowered_limits_.find(key);
  return lowered == lowered_limits_.end() ? options_.max_rows : lowered->second;
}

RowBatcher::Group RowBatcher::take_group() {
  std::map<const RowSink*, Urgency> urgencies;
  for (const Waiting& waiting : waiting_)
    urgencies.try_emplace(waiting.sink, waiting.sink->urgency());
  std::vector<std::tuple<Priority, double, std::uint64_t, std::uint64_t>> places;
  for (const Waiting& waiting : waiting_) {
    const Urgency& urgency = urgencies[waiting.sink];
    places.emplace_back(urgency.priority, urgency.served_seconds, turns_.had(waiting.sink),
                        urgency.order);
  }
  std::vector<std::size_t> order(waiting_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return places[i]; });

  const ModelRow& head = waiting_[order.front()].row;
  const Priority urgent = urgencies[waiting_[order.front()].sink].priority;
  const ForwardCost::Key key = cost_key(head);
  // What comes meanwhile waits for the end of a forward.
  const bool quick = urgent != Priority::kInteractive && options_.interactive_about();
  const int limit = quick ? cost_.quick_rows(key, row_limit(key)) : row_limit(key);
  const std::uint64_t budget = options_.activation_budget();
  CommonTokens tokens(head);
  std::vector<std::size_t> chosen{order.front()};
  int urgent_rows = 1;
  for (std::size_t i = 1; i < order.size() && static_cast<int>(chosen.size()) < limit; ++i) {
    const Waiting& candidate = waiting_[order[i]];
    if (!same_kind(head, candidate.row)) continue;
    const auto common = tokens.with(candidate.row.context.size(1));
    if (!common) continue;
    const int rows = static_cast<int>(chosen.size()) + 1;
    if (head.model->activation_bytes(rows, static_cast<int>(head.x.size(2)),
                                     static_cast<int>(head.x.size(3)),
                                     static_cast<int>(*common)) > budget) {
      break;
    }
    if (urgencies[candidate.sink].priority == urgent) {
      ++urgent_rows;
    } else if (cost_.predict(key, rows) > kSlowdownForOthers * cost_.predict(key, urgent_rows)) {
      break;
    }
    tokens.join(candidate.row.context.size(1), *common);
    chosen.push_back(order[i]);
  }

  Group group;
  for (std::size_t position : chosen) {
    turns_.served(waiting_[position].sink, 1);
    group.push_back(std::move(waiting_[position]));
  }
  // Neighbours with equal adapters are computed at once.
  std::ranges::stable_sort(group, adapters_before,
                           [](const Waiting& waiting) { return waiting.row.adapters; });
  std::sort(chosen.begin(), chosen.end(), std::greater<>());
  for (std::size_t position : chosen)
    waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(position));
  return group;
}

void RowBatcher::run_next() {
  if (waiting_.empty()) return;
  delivering_ = true;
  run_group(take_group());
  delivering_ = false;
  dropped_.clear();
}

void RowBatcher::run_group(Group group) {
  std::erase_if(group, [&](const Waiting& waiting) {
    return std::find(dropped_.begin(), dropped_.end(), waiting.sink) != dropped_.end();
  });
  if (group.empty()) return;
  const DenoisingModel& model = *group.front().row.model;
  const int rows = static_cast<int>(group.size());
  const ForwardCost::Key key = cost_key(group.front().row);
  std::map<std::string, int> by_workflow;
  for (const Waiting& waiting : group) ++by_workflow[waiting.sink->workflow()];

  at::Tensor output;
  const auto took = std::make_shared<double>(0);
  const Status status = torch_call("a forward of " + std::to_string(rows) + " rows", [&] {
    CommonTokens tokens(group.front().row);
    for (const Waiting& waiting : group) {
      const std::int64_t own = waiting.row.context.size(1);
      tokens.join(own, tokens.with(own).value());
    }
    if (options_.on_activations) {
      const at::Tensor& x = group.front().row.x;
      options_.on_activations(model.activation_bytes(rows, static_cast<int>(x.size(2)),
                                                     static_cast<int>(x.size(3)),
                                                     static_cast<int>(tokens.all())));
    }
    std::vector<at::Tensor> xs, contexts;
    std::vector<float> timesteps;
    std::vector<const RowAdapters*> adapters;
    std::map<std::string, std::vector<at::Tensor>> extras;
    for (const Waiting& waiting : group) {
      const ModelRow& row = waiting.row;
      xs.push_back(row.x);
      timesteps.push_back(row.timestep);
      adapters.push_back(row.adapters);
      const std::int64_t repeats = tokens.all() / row.context.size(1);
      contexts.push_back(repeats == 1 ? row.context : row.context.repeat({1, repeats, 1}));
      for (const auto& [name, value] : row.extras) extras[name].push_back(value);
    }
    pacer_.run(
        [&] {
          std::map<std::string, at::Tensor> stacked;
          for (const auto& [name, values] : extras) stacked[name] = stack_rows(values);
          output =
              model.forward(stack_rows(xs), at::tensor(timesteps, at::kFloat).to(model.device()),
                            stack_rows(contexts), stacked, adapters_of(adapters));
        },
        [this, key, rows, by_workflow, took](double seconds) {
          *took = seconds;
          cost_.measured(key, rows, seconds);
          if (options_.on_forward) options_.on_forward(rows, seconds, by_workflow);
        });
    TORCH_CHECK(output.dim() == 4 && output.size(0) == rows, "expected a result of ", rows,
                " rows");
  });

  if (status.ok()) {
    // A limit that was lowered for want of memory comes back row by row.
    if (const auto lowered = lowered_limits_.find(key);
        lowered != lowered_limits_.end() && rows >= lowered->second) {
      if (++lowered->second >= options_.max_rows) lowered_limits_.erase(lowered);
    }
    deliver(group, output, *took);
    return;
  }
  if (rows == 1) {
    group.front().sink->row_failed(group.front().index, status);
    return;
  }
  if (status.code() == StatusCode::kResourceExhausted) lowered_limits_[key] = std::max(1, rows / 2);
  const auto middle = group.begin() + rows / 2;
  Group second(std::make_move_iterator(middle), std::make_move_iterator(group.end()));
  group.erase(middle, group.end());
  run_group(std::move(group));
  run_group(std::move(second));
}

void RowBatcher::deliver(Group& group, const at::Tensor& output, double seconds) {
  at::Tensor finite;
  const Status status =
      torch_call("checking a forward's result", [&] { finite = ops::finite_rows(output); });
  const int rows = static_cast<int>(group.size());
  for (int i = 0; i < rows; ++i) {
    const Waiting& waiting = group[static_cast<std::size_t>(i)];
    if (std::find(dropped_.begin(), dropped_.end(), waiting.sink) != dropped_.end()) continue;
    if (!status.ok()) {
      waiting.sink->row_failed(waiting.index, status);
    } else {
      waiting.sink->row_done(waiting.index, {output.narrow(0, i, 1), finite[i], rows, seconds});
    }
  }
}

}  // namespace luna::worker
