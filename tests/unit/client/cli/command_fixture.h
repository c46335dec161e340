#pragma once

#include <sstream>

#include <gtest/gtest.h>

#include "client/cli/app.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/client/pipeline/fake_service.h"

namespace luna::client {

/// `luna` over a made-up server; files go to a folder of the test's own.
class CommandFixture : public testing::Test {
 protected:
  CommandFixture() {
    console_.out = &out_;
    console_.err = &err_;
    console_.connect = [this](const ClientOptions& options) -> Result<std::unique_ptr<Client>> {
      options_ = options;
      if (!connect_failure_.ok()) return connect_failure_;
      return std::make_unique<Client>(fake_, fake_, connection_);
    };
  }

  int luna(std::vector<std::string> arguments) {
    out_.str("");
    err_.str("");
    return run_luna(arguments, console_);
  }
  nlohmann::json json_out() const { return nlohmann::json::parse(out_.str()); }
  bool out_has(std::string_view text) const { return out_.str().find(text) != std::string::npos; }
  bool err_has(std::string_view text) const { return err_.str().find(text) != std::string::npos; }

  support::TempDir dir_;
  std::shared_ptr<FakeService> fake_ = std::make_shared<FakeService>();
  Connection connection_{"unix:/run/luna.sock", false, {}};
  Status connect_failure_;
  ClientOptions options_;
  Console console_;
  std::ostringstream out_;
  std::ostringstream err_;
};

}  // namespace luna::client
