#pragma once

#include <nlohmann/json.hpp>

#include "common/types/info.h"

namespace luna::client {

nlohmann::json to_json(const ComponentInfo& component);
nlohmann::json to_json(const LoadedModel& model);
nlohmann::json to_json(const ModelFileInfo& file);
nlohmann::json to_json(const WorkflowInfo& workflow);
nlohmann::json to_json(const WorkerInfo& worker);
nlohmann::json to_json(const StatusInfo& status);

template <class T>
nlohmann::json to_json_list(const std::vector<T>& items) {
  nlohmann::json list = nlohmann::json::array();
  for (const T& item : items) list.push_back(to_json(item));
  return list;
}

}  // namespace luna::client
