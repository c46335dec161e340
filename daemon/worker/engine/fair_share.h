#pragma once

#include <map>
#include <string>

namespace luna::worker {

/// Seconds of the device that each workflow with live jobs has had. One that comes (or comes back)
/// begins with as much as the least served of the others, so that it neither waits for its past nor
/// lives on its absence.
class FairShare {
 public:
  void enter(const std::string& workflow);
  void leave(const std::string& workflow);
  void charge(const std::string& workflow, double seconds);
  /// 0 for a workflow without live jobs.
  double served(const std::string& workflow) const;

 private:
  struct Account {
    double seconds = 0;
    int jobs = 0;
  };
  std::map<std::string, Account> accounts_;
};

}  // namespace luna::worker
