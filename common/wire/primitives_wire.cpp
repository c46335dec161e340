#include "common/wire/primitives_wire.h"

namespace luna::wire {
namespace {

using ChunkMap = google::protobuf::Map<std::string, v1::TokenChunks>;
using Strings = google::protobuf::RepeatedPtrField<std::string>;

void chunks_to_wire(const TokenChunks& chunks, ChunkMap* out) {
  for (const auto& [encoder, list] : chunks) {
    v1::TokenChunks& messages = (*out)[encoder];
    for (const std::vector<Token>& chunk : list) {
      v1::TokenChunk* message = messages.add_chunks();
      for (const Token& token : chunk) {
        v1::Token* to = message->add_tokens();
        to->set_id(token.id);
        to->set_weight(token.weight);
        to->mutable_embedding()->Add(token.embedding.begin(), token.embedding.end());
      }
    }
  }
}

Result<Token> token_from_wire(const v1::Token& message, const FieldPath& path) {
  Token token;
  if (message.id() < 0) {
    return path.field("id").invalid("expected no negative id, found {}", message.id());
  }
  token.id = message.id();
  if (message.has_weight()) {
    LUNA_RETURN_IF_ERROR(path.field("weight").check_finite(message.weight()));
    token.weight = message.weight();
  }
  token.embedding.assign(message.embedding().begin(), message.embedding().end());
  return token;
}

Result<TokenChunks> chunks_from_wire(const ChunkMap& field, std::string_view name,
                                     const FieldPath& parent) {
  TokenChunks chunks;
  for (const auto& [encoder, messages] : field) {
    const FieldPath encoder_path = parent.entry(name, encoder);
    auto& list = chunks[encoder];
    list.resize(static_cast<std::size_t>(messages.chunks_size()));
    for (std::size_t i = 0; i < list.size(); ++i) {
      const FieldPath chunk_path = encoder_path.item("chunks", i);
      const v1::TokenChunk& message = messages.chunks(static_cast<int>(i));
      list[i].resize(static_cast<std::size_t>(message.tokens_size()));
      for (std::size_t j = 0; j < list[i].size(); ++j) {
        LUNA_ASSIGN_OR_RETURN(list[i][j], token_from_wire(message.tokens(static_cast<int>(j)),
                                                          chunk_path.item("tokens", j)));
      }
    }
  }
  return chunks;
}

void strings_to_wire(const std::vector<std::string>& strings, Strings* out) {
  out->Add(strings.begin(), strings.end());
}

std::vector<std::string> strings_from_wire(Strings& field) {
  return {std::make_move_iterator(field.begin()), std::make_move_iterator(field.end())};
}

void to_wire(const TileOptions& tile, v1::TileOptions* out) {
  out->set_size(static_cast<std::uint32_t>(tile.size));
  out->set_overlap(static_cast<std::uint32_t>(tile.overlap));
}

Result<TileOptions> tile_from_wire(const v1::TileOptions& message, const FieldPath& path) {
  TileOptions tile;
  LUNA_ASSIGN_OR_RETURN(tile.size, path.field("size").to_int(message.size()));
  if (message.has_overlap()) {
    LUNA_ASSIGN_OR_RETURN(tile.overlap, path.field("overlap").to_int(message.overlap()));
  }
  return tile;
}

/// Reads a tensor that the message cannot do without; null where it is absent.
Status read_required(v1::TensorRef* message, const FieldPath& path, TensorRef* out) {
  if (!message) return path.invalid("missing");
  LUNA_ASSIGN_OR_RETURN(*out, from_wire(*message, path));
  return {};
}

}  // namespace

void to_wire(const TokenizeRequest& request, v1::TokenizeRequest* out) {
  out->set_text(request.text);
}

Result<TokenizeRequest> from_wire(v1::TokenizeRequest& message, const FieldPath&) {
  return TokenizeRequest{std::move(*message.mutable_text())};
}

void to_wire(const TokenizeReply& reply, v1::TokenizeResponse* out) {
  chunks_to_wire(reply.chunks, out->mutable_chunks());
  strings_to_wire(reply.warnings, out->mutable_warnings());
}

Result<TokenizeReply> from_wire(v1::TokenizeResponse& message, const FieldPath& path) {
  TokenizeReply reply;
  LUNA_ASSIGN_OR_RETURN(reply.chunks, chunks_from_wire(message.chunks(), "chunks", path));
  reply.warnings = strings_from_wire(*message.mutable_warnings());
  return reply;
}

void to_wire(const EncodeTextRequest& request, v1::EncodeTextRequest* out) {
  out->set_text(request.text);
  chunks_to_wire(request.tokens, out->mutable_tokens());
  out->set_clip_skip(static_cast<std::uint32_t>(request.clip_skip));
  loras_to_wire(request.loras, out->mutable_loras());
  out->set_keep(request.keep);
}

Result<EncodeTextRequest> from_wire(v1::EncodeTextRequest& message, const FieldPath& path) {
  EncodeTextRequest request;
  request.text = std::move(*message.mutable_text());
  LUNA_ASSIGN_OR_RETURN(request.tokens, chunks_from_wire(message.tokens(), "tokens", path));
  LUNA_ASSIGN_OR_RETURN(request.clip_skip, path.field("clip_skip").to_int(message.clip_skip()));
  LUNA_ASSIGN_OR_RETURN(request.loras, loras_from_wire(*message.mutable_loras(), path));
  request.keep = message.keep();
  return request;
}

void to_wire(const EncodeTextReply& reply, v1::EncodeTextResponse* out) {
  to_wire(reply.cross_attn, out->mutable_cross_attn());
  if (reply.pooled) to_wire(*reply.pooled, out->mutable_pooled());
  strings_to_wire(reply.warnings, out->mutable_warnings());
}

Result<EncodeTextReply> from_wire(v1::EncodeTextResponse& message, const FieldPath& path) {
  EncodeTextReply reply;
  LUNA_RETURN_IF_ERROR(
      read_required(message.has_cross_attn() ? message.mutable_cross_attn() : nullptr,
                    path.field("cross_attn"), &reply.cross_attn));
  if (message.has_pooled()) {
    LUNA_ASSIGN_OR_RETURN(reply.pooled, from_wire(*message.mutable_pooled(), path.field("pooled")));
  }
  reply.warnings = strings_from_wire(*message.mutable_warnings());
  return reply;
}

void to_wire(const VaeEncodeRequest& request, v1::VaeEncodeRequest* out) {
  to_wire(request.pixels, out->mutable_pixels());
  to_wire(request.tile, out->mutable_tile());
  out->set_keep(request.keep);
}

Result<VaeEncodeRequest> from_wire(v1::VaeEncodeRequest& message, const FieldPath& path) {
  VaeEncodeRequest request;
  LUNA_RETURN_IF_ERROR(read_required(message.has_pixels() ? message.mutable_pixels() : nullptr,
                                     path.field("pixels"), &request.pixels));
  LUNA_ASSIGN_OR_RETURN(request.tile, tile_from_wire(message.tile(), path.field("tile")));
  request.keep = message.keep();
  return request;
}

void to_wire(const VaeEncodeReply& reply, v1::VaeEncodeResponse* out) {
  to_wire(reply.latent, out->mutable_latent());
}

Result<VaeEncodeReply> from_wire(v1::VaeEncodeResponse& message, const FieldPath& path) {
  VaeEncodeReply reply;
  LUNA_RETURN_IF_ERROR(read_required(message.has_latent() ? message.mutable_latent() : nullptr,
                                     path.field("latent"), &reply.latent));
  return reply;
}

void to_wire(const VaeDecodeRequest& request, v1::VaeDecodeRequest* out) {
  to_wire(request.latent, out->mutable_latent());
  to_wire(request.tile, out->mutable_tile());
  out->set_as_u8(request.as_u8);
  out->set_keep(request.keep);
}

Result<VaeDecodeRequest> from_wire(v1::VaeDecodeRequest& message, const FieldPath& path) {
  VaeDecodeRequest request;
  LUNA_RETURN_IF_ERROR(read_required(message.has_latent() ? message.mutable_latent() : nullptr,
                                     path.field("latent"), &request.latent));
  LUNA_ASSIGN_OR_RETURN(request.tile, tile_from_wire(message.tile(), path.field("tile")));
  request.as_u8 = message.as_u8();
  request.keep = message.keep();
  return request;
}

void to_wire(const VaeDecodeReply& reply, v1::VaeDecodeResponse* out) {
  to_wire(reply.pixels, out->mutable_pixels());
}

Result<VaeDecodeReply> from_wire(v1::VaeDecodeResponse& message, const FieldPath& path) {
  VaeDecodeReply reply;
  LUNA_RETURN_IF_ERROR(read_required(message.has_pixels() ? message.mutable_pixels() : nullptr,
                                     path.field("pixels"), &reply.pixels));
  return reply;
}

}  // namespace luna::wire
