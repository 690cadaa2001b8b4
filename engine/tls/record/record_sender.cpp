#include "engine/tls/record/record_sender.hpp"

#include <array>

#include "shm/assert.hpp"

namespace tlsmux::engine::tls {
namespace {

constexpr auto kWarning = std::byte{1};
constexpr auto kFatal = std::byte{2};

bool is_warning(Alert alert) { return alert == Alert::close_notify || alert == Alert::no_renegotiation; }

}  // namespace

bool RecordSender::update_key(bool ask, WireBuffer& wire) {
  TMX_ASSERT(suite_.version == kTls13);
  const std::array<std::byte, kKeyUpdateBytes> message = {std::byte(PostHandshakeType::key_update), std::byte{0},
                                                          std::byte{0}, std::byte{1}, std::byte(ask ? 1 : 0)};
  const std::array parts = {std::span<const std::byte>(message)};
  if (!seal(ContentType::handshake, parts, wire)) return false;
  protection_->advance_key(traffic_secret(*state_, state_->role));
  state_->send_sequence = 0;
  return true;
}

bool RecordSender::alert(Alert description, WireBuffer& wire) {
  if (wire.room() < kAlertBytes + overhead_bytes()) return false;
  const std::array<std::byte, kAlertBytes> content = {is_warning(description) ? kWarning : kFatal,
                                                      std::byte(description)};
  const std::array parts = {std::span<const std::byte>(content)};
  return seal(ContentType::alert, parts, wire);
}

}  // namespace tlsmux::engine::tls
