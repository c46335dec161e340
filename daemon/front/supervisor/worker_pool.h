#pragma once

#include <functional>
#include <memory>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "daemon/front/supervisor/scaling_rule.h"
#include "daemon/front/supervisor/supervised_worker.h"

namespace luna::front {

/// The workers of one [[pool]]: starts as many as it shall have at least, more under load, and ends
/// those that have been idle. A seat is a place for a worker on a device; there are max_workers of
/// them a device. On the io_context's thread.
class WorkerPool {
 public:
  struct Setup {
    Config::Pool config;
    Config::Supervision supervision;  ///< with the pool's own limits in place
    std::vector<Placement> seats;     ///< of this pool, device by device
    std::string program;              ///< of its workers
    PortFactory make_port;
    std::function<WorkerId()> next_id;
    std::function<void()> on_stopped;  ///< whenever a worker has ended for good
  };
  WorkerPool(boost::asio::io_context& io, FrontCore& core, Setup setup);

  void start();
  /// Starts or ends a worker where the load asks for it.
  void scale(TimePoint now);
  void stop(Deadline deadline);
  void kill();
  bool stopped() const;

 private:
  struct Seat {
    Placement placement;
    WorkerId id;
    std::shared_ptr<SupervisedWorker> worker;  ///< nullptr: empty
  };
  void occupy(Seat& seat);
  /// Spare processes stand by while some worker is ready, and end with the last one.
  void keep_spares(TimePoint now);
  std::size_t occupied(const std::string& device) const;
  Seat* emptiest();

  boost::asio::io_context& io_;
  FrontCore& core_;
  Setup setup_;
  ScalingRule rule_;
  std::shared_ptr<ProcessReserve> processes_;
  std::vector<Seat> seats_;
  bool stopping_ = false;
};

}  // namespace luna::front
