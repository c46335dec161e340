#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/bytes.h"
#include "common/local/frame.h"
#include "daemon/front/core/plane_desk.h"
#include "daemon/front/local/steps_opener.h"
#include "luna/v1/local.pb.h"

namespace luna::front {

/// What is said on one local socket, without the socket: Attach, Prove, then the rest
/// (proto/luna/v1/local.proto). For one thread at a time. Its end gives up the session's plane.
class LocalDialogue {
 public:
  static constexpr std::uint16_t kRequest = 1, kResponse = 2;
  static constexpr std::size_t kNonceBytes = 16;

  struct Answer {
    v1::LocalResponse response;
    std::vector<BytesPtr> attachments;  ///< for their descriptors
    bool last = false;                  ///< nothing more is taken; close when this has left
  };
  using Reply = std::function<void(Answer)>;

  /// `on_session_end` may come from any thread, once the session that this speaks for has ended.
  /// `steps` may be null.
  LocalDialogue(PlaneDesk& desk, StepsOpener* steps, std::function<void()> on_session_end);
  ~LocalDialogue();
  LocalDialogue(const LocalDialogue&) = delete;
  LocalDialogue& operator=(const LocalDialogue&) = delete;

  /// Answers a frame, at once but for OpenSteps. The next frame is given when this one has been
  /// answered. What is no request ends the dialogue, and so does a failure before the proof.
  void hear(Frame frame, const Reply& reply);
  bool proved() const { return stage_ == Stage::kProved; }

 private:
  enum class Stage { kStranger, kAttached, kProved };
  using Descriptors = std::vector<UniqueFd>;

  Result<Answer> answer(const v1::LocalRequest& request, Descriptors descriptors);
  Result<Answer> attach(const v1::Attach& request, Descriptors descriptors);
  Result<Answer> prove(const v1::Prove& request);
  Result<Answer> register_region(const v1::RegisterRegion& request, Descriptors descriptors);
  Result<Answer> create_region(const v1::CreateRegion& request);
  Result<Answer> release_regions(const v1::ReleaseRegions& request);
  Result<Answer> take_region(const v1::TakeRegion& request);
  void open_steps(const v1::OpenSteps& request, const Reply& reply);

  PlaneDesk& desk_;
  StepsOpener* const steps_;
  const std::function<void()> on_session_end_;
  Stage stage_ = Stage::kStranger;
  std::string session_;
  std::array<std::byte, kNonceBytes> nonce_{};  ///< the daemon's number
};

}  // namespace luna::front
