#pragma once

#include <cstdint>
#include <vector>

#include "client/rpc/call_state.h"
#include "client/rpc/connection.h"
#include "common/types/job.h"

namespace luna::client {

/// What goes inline in one message together, where there is no shared memory; tensors beyond it are
/// uploaded first, in pieces.
inline constexpr std::uint64_t kInlineBytes = 4ull << 20;

/// Blocking transfers; through shared memory where there is. Without a deadline of its own a
/// transfer gets one by its size (a minute, and a second for each MiB). `call` may be null; its
/// cancellation ends the transfer.
Result<TensorRef> upload(RpcConnection& connection, const CallOptions& options,
                         const TensorRef& tensor, CallState* call = nullptr);
/// The tensor with its bytes.
Result<TensorRef> download(RpcConnection& connection, const CallOptions& options,
                           const std::string& resident_id, CallState* call = nullptr);
Result<std::uint64_t> free_tensors(RpcConnection& connection, const CallOptions& options,
                                   const std::vector<std::string>& ids);

/// Is there more in a request than goes inline?
bool needs_upload(JobRequest& request, std::uint64_t inline_bytes = kInlineBytes);
/// Uploads what does not fit inline and names it in the request instead; bytes that occur several
/// times go up once. The ids of what was uploaded are appended to `uploaded`, on failure too.
Status upload_large(RpcConnection& connection, const CallOptions& options, JobRequest& request,
                    CallState* call, std::vector<std::string>* uploaded,
                    std::uint64_t inline_bytes = kInlineBytes);

/// An upper bound for the bytes of a reply's tensors, from the shapes of the request (VAE factors
/// up to 16); 0 where nothing large can come.
std::uint64_t reply_bytes_bound(const JobRequest& request);
/// Replaces every resident tensor of a reply by its bytes, and frees it on the server.
Status download_all(RpcConnection& connection, const CallOptions& options, JobReply& reply,
                    CallState* call);

}  // namespace luna::client
