#pragma once

// The boundary of HTTP/1.1 (RFC 9112): every request has had its whole response, and neither side has said that the
// connection ends. Boost.Beast reads the messages. What two readers could understand differently is not understood here
// (a length and a transfer coding together, folded lines, codings other than chunked, ...), since the next process would
// pay for it.

#include <memory>

#include "engine/message/boundary.hpp"

namespace tlsmux::engine::message {

std::unique_ptr<Boundary> make_http1_boundary();

}  // namespace tlsmux::engine::message
