#pragma once

// A notice as `tlsmux listen` prints it: a line, without payload unless `hex` is set.

#include <string>

#include <tlsmux/tlsmux.hpp>

namespace tlsmux::client::cli {

// "late", "unsolicited", "orphan".
const char* kind_name(tmx_kind kind);

std::string notice_text(const Completion& notice, bool hex);
// One JSON object.
std::string notice_json(const Completion& notice, bool hex);

}  // namespace tlsmux::client::cli
