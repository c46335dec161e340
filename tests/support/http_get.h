#pragma once

#include <string>

namespace luna::support {

struct HttpReply {
  int status = 0;  ///< 0: nobody answered
  std::string body;
};

/// GET http://127.0.0.1:`port``path`, over a connection of its own.
HttpReply http_get(int port, const std::string& path);

/// A port of 127.0.0.1 that was free a moment ago.
int free_port();

}  // namespace luna::support
