#pragma once

#include "common/types/job.h"
#include "common/wire/conditioning_wire.h"
#include "luna/v1/primitives.pb.h"

namespace luna::wire {

void to_wire(const TokenizeRequest& request, v1::TokenizeRequest* out);
Result<TokenizeRequest> from_wire(v1::TokenizeRequest& message,
                                  const FieldPath& path = FieldPath());
void to_wire(const TokenizeReply& reply, v1::TokenizeResponse* out);
Result<TokenizeReply> from_wire(v1::TokenizeResponse& message, const FieldPath& path = FieldPath());

void to_wire(const EncodeTextRequest& request, v1::EncodeTextRequest* out);
Result<EncodeTextRequest> from_wire(v1::EncodeTextRequest& message,
                                    const FieldPath& path = FieldPath());
void to_wire(const EncodeTextReply& reply, v1::EncodeTextResponse* out);
Result<EncodeTextReply> from_wire(v1::EncodeTextResponse& message,
                                  const FieldPath& path = FieldPath());

void to_wire(const VaeEncodeRequest& request, v1::VaeEncodeRequest* out);
Result<VaeEncodeRequest> from_wire(v1::VaeEncodeRequest& message,
                                   const FieldPath& path = FieldPath());
void to_wire(const VaeEncodeReply& reply, v1::VaeEncodeResponse* out);
Result<VaeEncodeReply> from_wire(v1::VaeEncodeResponse& message,
                                 const FieldPath& path = FieldPath());

void to_wire(const VaeDecodeRequest& request, v1::VaeDecodeRequest* out);
Result<VaeDecodeRequest> from_wire(v1::VaeDecodeRequest& message,
                                   const FieldPath& path = FieldPath());
void to_wire(const VaeDecodeReply& reply, v1::VaeDecodeResponse* out);
Result<VaeDecodeReply> from_wire(v1::VaeDecodeResponse& message,
                                 const FieldPath& path = FieldPath());

}  // namespace luna::wire
