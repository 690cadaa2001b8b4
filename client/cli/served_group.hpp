#pragma once

#include <optional>
#include <string>

namespace tlsmux::client::cli {

// "group payments is served by a live engine (pid 5)", and what to look at where another user may only pretend. Nothing: it is
// not served.
std::optional<std::string> served_by(const std::string& group);

}  // namespace tlsmux::client::cli
