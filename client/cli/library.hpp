#pragma once

// What the commands that use the library have in common.

#include <expected>
#include <string>

#include <tlsmux/tlsmux.hpp>

#include "client/cli/exit_code.hpp"

namespace tlsmux::client::cli {

struct Failure {
  int exit_code = kExitFailed;
  std::string text;
};

// `words` of the library say more than the error's own text, if there are any.
Failure failure_of(const std::string& doing, Error error, const std::string& words);

// Room for one channel. Empty texts: from the environment.
std::expected<Client, Failure> attach(const std::string& group, const std::string& control_socket);

}  // namespace tlsmux::client::cli
