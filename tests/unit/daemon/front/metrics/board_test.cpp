// deploy/grafana/luna.json and docs/operations.md against what the exporter exposes.
#include <fstream>
#include <iterator>
#include <regex>
#include <set>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "daemon/front/metrics/status_metrics.h"
#include "tests/unit/daemon/front/metrics/full_status.h"

namespace luna::front {
namespace {

using nlohmann::json;

std::string text_of(const std::string& file) {
  std::ifstream in(std::string(LUNA_SOURCE_DIR) + "/" + file);
  EXPECT_TRUE(in) << file;
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Names as a query may write them, and the family that each belongs to.
std::map<std::string, std::string> exposed_names() {
  std::map<std::string, std::string> names;
  for (const prometheus::MetricFamily& family : metrics_of(full_status())) {
    if (family.type == prometheus::MetricType::Histogram) {
      for (const char* part : {"_bucket", "_sum", "_count"})
        names[family.name + part] = family.name;
    } else {
      names[family.name] = family.name;
    }
  }
  return names;
}

std::set<std::string> names_in(const std::string& text) {
  static const std::regex pattern("luna_[a-z_]+");
  std::set<std::string> names;
  for (std::sregex_iterator match(text.begin(), text.end(), pattern), end; match != end; ++match) {
    names.insert(match->str());
  }
  return names;
}

class Board : public testing::Test {
 protected:
  Board() : board_(json::parse(text_of("deploy/grafana/luna.json"), nullptr, false)) {
    EXPECT_FALSE(board_.is_discarded()) << "not JSON";
    for (const json& panel : board_["panels"]) {
      if (panel["type"] != "row") panels_.push_back(panel);
    }
  }
  /// Of every panel and every variable.
  std::vector<std::string> queries() const {
    std::vector<std::string> queries;
    for (const json& panel : panels_) {
      for (const json& target : panel["targets"]) queries.push_back(target["expr"]);
    }
    for (const json& variable : board_["templating"]["list"]) {
      if (variable["type"] == "query") queries.push_back(variable["definition"]);
    }
    return queries;
  }
  json board_;
  std::vector<json> panels_;
};

TEST_F(Board, NamesOnlyMetricsThatTheExporterExposes) {
  const auto exposed = exposed_names();
  for (const std::string& query : queries()) {
    const std::set<std::string> names = names_in(query);
    EXPECT_FALSE(names.empty()) << query;
    for (const std::string& name : names) {
      EXPECT_TRUE(exposed.contains(name)) << name << " in " << query;
    }
  }
}

TEST_F(Board, ShowsEveryMetric) {
  const auto exposed = exposed_names();
  std::set<std::string> shown;
  for (const std::string& query : queries()) {
    for (const std::string& name : names_in(query)) {
      if (exposed.contains(name)) shown.insert(exposed.at(name));
    }
  }
  for (const auto& [name, family] : exposed) EXPECT_TRUE(shown.contains(family)) << family;
}

TEST_F(Board, TakesItsDataSourceFromAVariable) {
  EXPECT_EQ(board_["templating"]["list"][0]["type"], "datasource");
  EXPECT_EQ(board_["templating"]["list"][0]["query"], "prometheus");
  const std::string variable = board_["templating"]["list"][0]["name"];
  ASSERT_FALSE(panels_.empty());
  for (const json& panel : panels_) {
    EXPECT_EQ(panel["datasource"]["uid"], "${" + variable + "}") << panel["title"];
  }
}

TEST_F(Board, LaysPanelsSideBySideUnderNumbersOfTheirOwn) {
  std::set<int> ids;
  std::set<std::pair<int, int>> cells;
  for (const json& panel : board_["panels"]) {
    EXPECT_TRUE(ids.insert(panel["id"].get<int>()).second) << panel["title"];
    const json& place = panel["gridPos"];
    for (int x = place["x"]; x < place["x"].get<int>() + place["w"].get<int>(); ++x) {
      EXPECT_LT(x, 24) << panel["title"];
      for (int y = place["y"]; y < place["y"].get<int>() + place["h"].get<int>(); ++y) {
        EXPECT_TRUE(cells.insert({x, y}).second) << panel["title"] << " lies on another panel";
      }
    }
  }
}

TEST(OperationsPage, ListsEveryMetricAndNoOther) {
  const std::set<std::string> listed = names_in(text_of("docs/operations.md"));
  std::set<std::string> families;
  for (const auto& [name, family] : exposed_names()) families.insert(family);
  for (const std::string& family : families) EXPECT_TRUE(listed.contains(family)) << family;
  const auto exposed = exposed_names();
  for (const std::string& name : listed) {
    EXPECT_TRUE(families.contains(name) || exposed.contains(name)) << name;
  }
}

}  // namespace
}  // namespace luna::front
