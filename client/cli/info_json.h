#pragma once

#include <nlohmann/json.hpp>

#include "client/cli/status_rates.h"
#include "common/types/info.h"

namespace luna::client {

nlohmann::json to_json(const ComponentInfo& component);
nlohmann::json to_json(const LoadedModel& model);
nlohmann::json to_json(const ModelFileInfo& file);
nlohmann::json to_json(const WorkflowInfo& workflow);
nlohmann::json to_json(const PoolInfo& pool);
nlohmann::json to_json(const WorkerInfo& worker);
nlohmann::json to_json(const QueueInfo& queue);
nlohmann::json to_json(const SessionInfo& session);
nlohmann::json to_json(const StatusInfo& status);
nlohmann::json to_json(const StatusRates& rates);

template <class T>
nlohmann::json to_json_list(const std::vector<T>& items) {
  nlohmann::json list = nlohmann::json::array();
  for (const T& item : items) list.push_back(to_json(item));
  return list;
}

}  // namespace luna::client
