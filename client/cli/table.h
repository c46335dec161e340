#pragma once

#include <ostream>
#include <string>
#include <vector>

namespace luna::client {

/// Text in columns, each as wide as its widest cell; the last one is not padded. Printed only when
/// it has rows.
class Table {
 public:
  explicit Table(std::vector<std::string> heading) { rows_.push_back(std::move(heading)); }
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  bool empty() const { return rows_.size() == 1; }
  void print(std::ostream& out) const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace luna::client
