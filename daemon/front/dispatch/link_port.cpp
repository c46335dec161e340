#include "daemon/front/dispatch/link_port.h"

#include <utility>

namespace luna::front {
namespace {

class LinkPort final : public WorkerPort {
 public:
  LinkPort(WorkerId id, std::shared_ptr<ipc::WorkerLink> link) : id_(id), link_(std::move(link)) {}

  WorkerId id() const override { return id_; }
  void run(const Job& job, JobEvents events) override { link_->run(job, std::move(events)); }
  void cancel(JobId job) override { link_->cancel(job); }
  void pin(const std::vector<std::string>& paths) override { link_->pin(paths); }
  void open_steps(StepsOpening opening, UniqueFd socket) override {
    link_->open_steps(std::move(opening), std::move(socket));
  }
  void release_leases(const std::vector<std::string>& lease_ids) override {
    link_->release_leases(lease_ids);
  }
  void end_session(const std::string& session) override { link_->end_session(session); }

 private:
  const WorkerId id_;
  const std::shared_ptr<ipc::WorkerLink> link_;
};

}  // namespace

std::shared_ptr<WorkerPort> make_link_port(WorkerId id, std::shared_ptr<ipc::WorkerLink> link) {
  return std::make_shared<LinkPort>(id, std::move(link));
}

}  // namespace luna::front
