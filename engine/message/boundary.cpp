#include "engine/message/boundary.hpp"

#include "engine/message/framing_boundary.hpp"
#include "engine/message/http1_boundary.hpp"

namespace tlsmux::engine::message {

std::unique_ptr<Boundary> make_boundary(const config::FramingSettings& settings, const Framing& framing) {
  switch (settings.kind) {
    case config::FramingKind::length:
    case config::FramingKind::delimiter: return std::make_unique<FramingBoundary>(framing);
    case config::FramingKind::http1: return make_http1_boundary();
    case config::FramingKind::none: break;
  }
  return nullptr;
}

}  // namespace tlsmux::engine::message
