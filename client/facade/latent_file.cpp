#include <nlohmann/json.hpp>

#include "client/include/luna/client/latents.h"
#include "common/image/whole_file.h"

namespace luna::client {

Result<std::string> encode_latents(const TensorRef& latents) {
  const BytesPtr bytes = latents.host_bytes();
  if (latents.spec.dtype != DType::kF32 || latents.spec.shape.size() != 4 || !bytes) {
    return error(StatusCode::kInvalidArgument,
                 "expected latents f32[B,C,h,w] with bytes, found {}{}", latents.spec.to_string(),
                 bytes ? "" : " without bytes");
  }
  LUNA_RETURN_IF_ERROR(latents.validate("latents"));
  const std::span<const std::byte> data = bytes->view();
  nlohmann::json header;
  header["latent_tensor"] = {
      {"dtype", "F32"}, {"shape", latents.spec.shape}, {"data_offsets", {0, data.size()}}};
  std::string text = header.dump();
  // safetensors: the data begins at a multiple of 8 bytes, the header is filled up with spaces.
  text.append((8 - text.size() % 8) % 8, ' ');

  std::string file;
  file.reserve(8 + text.size() + data.size());
  for (int shift = 0; shift < 64; shift += 8) file += static_cast<char>(text.size() >> shift & 255);
  file += text;
  file.append(reinterpret_cast<const char*>(data.data()), data.size());
  return file;
}

Status save_latents(const std::string& path, const TensorRef& latents) {
  LUNA_ASSIGN_OR_RETURN(const std::string file, encode_latents(latents));
  return write_whole_file(path, file, Existing::kReplace);
}

}  // namespace luna::client
