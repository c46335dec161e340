#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "daemon/worker/engine/counters.h"
#include "daemon/worker/engine/device.h"
#include "daemon/worker/engine/engine.h"
#include "daemon/worker/engine/entry_shelf.h"
#include "daemon/worker/engine/fair_share.h"
#include "daemon/worker/engine/held_results.h"
#include "daemon/worker/engine/inbox.h"
#include "daemon/worker/engine/lora_choice.h"
#include "daemon/worker/engine/row_batcher.h"
#include "daemon/worker/engine/row_models.h"
#include "daemon/worker/engine/task.h"
#include "daemon/worker/residency/background_thread.h"
#include "daemon/worker/residency/embedding_shelf.h"
#include "daemon/worker/residency/residency.h"
#include "daemon/worker/tokenizers/clip_tokenizer.h"

namespace luna::worker {

/// The Engine: a device thread that owns all tasks, the row batcher and the order in which work
/// goes to the device. Models are loaded and prompts tokenised on threads of their own, whose
/// results come in by the inbox.
class DeviceEngine final : public Engine {
 public:
  DeviceEngine(const WorkerSettings& settings, ComputeDevice device,
               std::unique_ptr<const ClipTokenizer> tokenizer, std::unique_ptr<ModelSource> source,
               BytesMaker make_bytes, std::unique_ptr<DevicePlane> plane = nullptr);
  ~DeviceEngine() override;

  using Engine::run;
  void run(Job job, JobEvents events, BytesMaker make_bytes) override;
  void cancel(JobId job) override;
  void pin(const std::vector<std::string>& paths) override { residency_->pin(paths); }
  void release_leases(std::vector<std::string> lease_ids) override;
  void end_session(std::string session) override;
  void drain(std::function<void()> idle) override;
  void post(std::function<void()> call) override { inbox_.post(std::move(call)); }
  void watch(int fd, short events, std::function<void()> ready) override {
    inbox_.watch(fd, events, std::move(ready));
  }
  void unwatch(int fd) override { inbox_.unwatch(fd); }
  WorkerReport report() const override;
  std::string device_description() const override { return device_.description(); }
  bool device_failed() const override { return device_.failed(); }

 private:
  struct LiveJob {
    Job job;
    JobEvents events;
    TaskTicket ticket;
    std::chrono::steady_clock::time_point accepted;
    bool started = false;                            ///< its first device work began
    std::string unet;                                ///< of a call that denoises: its file
    std::vector<std::vector<AdapterUse>> lora_sets;  ///< and each set among its rows
    std::vector<ModelHandle> models;                 ///< held while the job lives
    std::unique_ptr<Task> task;                      ///< after `models`: goes first
  };

  // On the device thread:
  void loop();
  struct Incoming {
    Job job;
    JobEvents events;
    BytesMaker make_bytes;
    std::chrono::steady_clock::time_point accepted;
  };
  void accept(Incoming incoming);
  /// GPU memory of the request; FAILED_PRECONDITION names the tensor where there is no plane for
  /// it.
  Status bring_in(Job& job);
  Status no_plane() const;
  void begin(LiveJob& live);
  void begin_request(LiveJob& live, TokenizeRequest& request);
  void begin_request(LiveJob& live, EncodeTextRequest& request);
  void begin_request(LiveJob& live, VaeEncodeRequest& request);
  void begin_request(LiveJob& live, VaeDecodeRequest& request);
  void begin_request(LiveJob& live, DenoiseRequest& request);
  void begin_request(LiveJob& live, SampleRequest& request);
  void begin_request(LiveJob& live, InspectModelRequest& request);
  void begin_request(LiveJob& live, LoadModelRequest& request);
  void begin_request(LiveJob& live, UnloadModelRequest& request);
  void begin_request(LiveJob& live, RestoreModelRequest& request);
  void begin_request(LiveJob& live, LeaseCudaRequest& request);
  void begin_request(LiveJob& live, ProveCudaRequest& request);
  /// CLIP-L and CLIP-G as far as the workflow has them; CLIP-L where it has neither.
  std::vector<Slot> text_slots(const LiveJob& live) const;
  /// Makes the tokens of the encoders from `next` on that the request does not give, and encodes.
  void encode_tokens(LiveJob& live, std::size_t next, std::vector<std::string> warnings);
  void tokenize_for(LiveJob& live, std::size_t next, TokenizeReply reply);
  /// Gets the slot's model and goes on with `then`, unless the job has ended by then.
  void with_model(LiveJob& live, Slot slot, std::function<void(LiveJob&)> then);
  void with_model(LiveJob& live, Slot slot, const ModelRef& model,
                  std::function<void(LiveJob&)> then);
  struct WantedModel {
    Slot slot;
    std::vector<AdapterUse> adapters;
    bool row_wise = false;  ///< the factors of its one adapter
    bool operator==(const WantedModel&) const = default;
  };
  /// Gets these models, one after the other, into live.models; those that it has are not got again.
  void with_models(LiveJob& live, std::vector<WantedModel> wanted,
                   std::function<void(LiveJob&)> then);
  /// Gets one more into live.models.
  void with_next_model(LiveJob& live, const WantedModel& next, std::function<void(LiveJob&)> then);
  /// Of the workflow, where the request asks for previews; else nullptr.
  void with_preview_decoder(
      LiveJob& live, std::function<void(LiveJob&, std::shared_ptr<const TaesdDecoder>)> then);
  /// The UNet with the LoRA set of each row, merged or row by row (lora_choice.h). `evaluations`:
  /// of each row. `then` gets one model a row, and one for a call without rows.
  void with_row_models(LiveJob& live, const std::vector<const std::vector<LoraRef>*>& rows,
                       const std::vector<std::uint64_t>& evaluations, LoraApplication asked,
                       std::function<void(LiveJob&, RowModels)> then);
  struct SetsAtWork;
  bool has_company(const LiveJob& live, const std::vector<AdapterUse>& set) const;
  /// Sets whose adapters cannot be added row by row get a merged model.
  void merge_refused(const LiveJob& live, const std::shared_ptr<SetsAtWork>& work);
  void hand_out(LiveJob& live, const SetsAtWork& work,
                const std::function<void(LiveJob&, RowModels)>& then);
  Result<ClipTokenizer::Tokenized> tokenized(const std::string& text, std::size_t width,
                                             std::int64_t pad);
  /// Goes on with `then` and the tokens: at once for a short text (microseconds), which would
  /// otherwise wait for the forward that begins meanwhile; else when the text thread has made them.
  void with_tokens(LiveJob& live, const std::string& text, std::size_t width, std::int64_t pad,
                   std::function<void(LiveJob&, ClipTokenizer::Tokenized)> then);
  void start_task(LiveJob& live, std::unique_ptr<Task> task);
  void run_device_work();
  LiveJob* most_urgent_item();
  void mark_started(LiveJob& live);
  void collect();
  void end_expired();
  Deadline next_deadline() const;
  bool has_device_work();
  void end(JobId id, Result<JobReply> result);
  void expect_more_of(Priority priority);
  void answer(LiveJob& live, Result<JobReply> result);
  void tell_if_idle();
  LiveJob* find(JobId id);

  const WorkerSettings settings_;
  const ComputeDevice device_;
  const std::unique_ptr<const ClipTokenizer> tokenizer_;
  const std::unique_ptr<DevicePlane> plane_;  ///< outlives every tensor of a job
  Counters counters_;
  const std::shared_ptr<HeldBytes> results_ = std::make_shared<HeldBytes>(0);
  Inbox inbox_;
  mutable EntryShelf entries_;

  mutable std::mutex admission_;  ///< guards the next two
  std::set<JobId> admitted_;
  bool draining_ = false;

  std::map<JobId, std::unique_ptr<LiveJob>> live_;
  std::vector<std::function<void()>> idle_;
  FairShare fair_share_;
  std::chrono::steady_clock::time_point interactive_until_{};
  DevicePacer pacer_;
  RowBatcher rows_;
  TaskServices services_;
  std::uint64_t next_order_ = 0;
  bool item_went_last_ = false;
  bool stopping_ = false;

  EmbeddingShelf embeddings_;
  std::unique_ptr<Residency> residency_;
  std::unique_ptr<BackgroundThread> text_thread_;
  std::thread thread_;
};

}  // namespace luna::worker
