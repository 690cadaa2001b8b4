#pragma once

// What a process says first on a redirected socket, and what it is told when it gets no stream. Pure.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shm/outcome.hpp"
#include "shm/stream_record.hpp"

namespace tlsmux::engine::wrapper {

// As in RFC 7301 section 3.1, without the list's own length; empty: none. Nothing: it is malformed.
std::optional<std::string> alpn_of(const shm::StreamStart& start);

// A `refused` record.
std::vector<std::byte> refused_record(shm::Reason reason, std::string_view words);

}  // namespace tlsmux::engine::wrapper
