#pragma once

#include "daemon/ipc/protocol/messages.h"
#include "daemon/ipc/protocol/type_fields.h"

// The fields of every message, in their order on the wire. A change here raises kProtocolVersion.
namespace luna::ipc {

template <class Archive, Described<WorkerToFrontHello> T>
void fields(Archive& archive, T& hello) {
  archive.field("protocol_version", hello.protocol_version);
  archive.field("pid", hello.pid);
}

template <class Archive, Described<FrontToWorkerWelcome> T>
void fields(Archive& archive, T& welcome) {
  archive.field("protocol_version", welcome.protocol_version);
  archive.field("worker", welcome.worker);
  archive.field("settings", welcome.settings);
}

template <class Archive, Described<WorkerToFrontReady> T>
void fields(Archive& archive, T& ready) {
  archive.field("status", ready.status);
  archive.field("device", ready.device);
}

template <class Archive, Described<FrontToWorkerRun> T>
void fields(Archive& archive, T& run) {
  archive.field("job", run.job);
}

template <class Archive, Described<FrontToWorkerCancel> T>
void fields(Archive& archive, T& cancel) {
  archive.field("job", cancel.job);
}

template <class Archive, Described<FrontToWorkerDrain> T>
void fields(Archive&, T&) {}

template <class Archive, Described<WorkerToFrontProgress> T>
void fields(Archive& archive, T& progress) {
  archive.field("job", progress.job);
  archive.field("progress", progress.progress);
}

template <class Archive, Described<WorkerToFrontDone> T>
void fields(Archive& archive, T& done) {
  archive.field("job", done.job);
  archive.field("result", done.result);
}

template <class Archive, Described<WorkerToFrontHeartbeat> T>
void fields(Archive& archive, T& heartbeat) {
  archive.field("report", heartbeat.report);
}

template <class Archive, Described<WorkerToFrontSeekWeights> T>
void fields(Archive& archive, T& question) {
  archive.field("seek", question.seek);
  archive.field("source", question.source);
}

template <class Archive, Described<FrontToWorkerWeights> T>
void fields(Archive& archive, T& answer) {
  archive.field("seek", answer.seek);
  archive.field("weights", answer.weights);
}

template <class Archive, Described<WorkerToFrontOfferWeights> T>
void fields(Archive& archive, T& offer) {
  archive.field("source", offer.source);
  archive.field("weights", offer.weights);
}

template <class Archive, Described<WorkerToFrontReadFailed> T>
void fields(Archive& archive, T& failure) {
  archive.field("source", failure.source);
}

template <class Archive, Described<FrontToWorkerPins> T>
void fields(Archive& archive, T& pins) {
  archive.field("paths", pins.paths);
}

template <class Archive, Described<FrontToWorkerOpenSteps> T>
void fields(Archive& archive, T& open) {
  archive.field("opening", open.opening);
  archive.field("socket", open.socket);
}

template <class Archive, Described<WorkerToFrontStepsEnded> T>
void fields(Archive& archive, T& ended) {
  archive.field("steps", ended.steps);
  archive.field("evaluations", ended.evaluations);
}

template <class Archive, Described<FrontToWorkerReleaseLeases> T>
void fields(Archive& archive, T& release) {
  archive.field("lease_ids", release.lease_ids);
}

template <class Archive, Described<FrontToWorkerEndSession> T>
void fields(Archive& archive, T& end) {
  archive.field("session", end.session);
}

}  // namespace luna::ipc
