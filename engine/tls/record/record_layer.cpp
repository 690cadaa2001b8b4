#include "engine/tls/record/record_layer.hpp"

#include <algorithm>
#include <new>
#include <utility>

#include "engine/tls/record/key_schedule.hpp"
#include "shm/assert.hpp"
#include "shm/deliberate_bug.hpp"

namespace tlsmux::engine::tls {
namespace {

using std::unexpected;

RecordFault invalid(Alert alert, std::string_view words) {
  return {.kind = RecordFaultKind::invalid, .alert = alert, .words = words};
}

RecordFault no_memory() {
  return {.kind = RecordFaultKind::no_memory, .words = "no memory for the next key of a TLS session"};
}

std::string_view words_of_bad_record(Alert alert) {
  return alert == Alert::bad_record_mac ? "a record from the host did not verify"
                                        : "the host sent what is no valid TLS record";
}

}  // namespace

std::unique_ptr<RecordLayer> RecordLayer::make(SessionState& state, AeadLibrary library) {
  const auto suite = record_suite(state.version, state.suite);
  TMX_ASSERT(suite.has_value());
  Wiped<KeyBlock> keys;
  if (suite->version == kTls13) {
    derive_traffic_key(*suite, traffic_secret(state, Role::client), keys->client);
    derive_traffic_key(*suite, traffic_secret(state, Role::server), keys->server);
  } else if (!derive_key_block(*suite, state, *keys)) {
    return nullptr;
  }
  const bool is_client = state.role == Role::client;
  auto sending = RecordProtection::make(*suite, library, is_client ? keys->client : keys->server);
  auto receiving = RecordProtection::make(*suite, library, is_client ? keys->server : keys->client);
  if (sending == nullptr || receiving == nullptr) return nullptr;
  return std::make_unique<RecordLayer>(state, *suite, RecordSender(state, *suite, std::move(sending)),
                                       RecordReceiver(state, *suite, std::move(receiving)));
}

// ---- Sending ----

std::size_t RecordLayer::overhead_bytes() const {
  const std::size_t record = sender_.overhead_bytes();
  return suite_.version == kTls13 ? 2 * record + RecordSender::kKeyUpdateBytes : record;
}

std::size_t RecordLayer::bytes_before_record() const {
  return is_key_update_due() ? sender_.overhead_bytes() + RecordSender::kKeyUpdateBytes : 0;
}

RecordFault RecordLayer::fail(const RecordFault& fault) {
  fault_ = fault;
  return fault;
}

std::expected<void, RecordFault> RecordLayer::seal(std::span<const std::span<const std::byte>> parts,
                                                   WireBuffer& wire) {
  if (fault_) return unexpected(*fault_);
  if (is_key_update_due()) {
    if (auto updated = update_key(wire); !updated) return unexpected(fail(updated.error()));
  }
  if (sender_.seal(ContentType::application_data, parts, wire)) return {};
  return unexpected(fail({.kind = RecordFaultKind::used_up, .words = "the session has used up its sequence numbers"}));
}

bool RecordLayer::must_ask_peer() const {
  return suite_.is_gcm() && state_->receive_sequence >= kGcmRecordsMax && !has_asked_peer_;
}

bool RecordLayer::is_key_update_due() const {
  if (suite_.version != kTls13) return false;
  // The KeyUpdate is the last record under the old key.
  const bool is_used_up = suite_.is_gcm() && state_->send_sequence >= kGcmRecordsMax - 1;
  return must_update_key_ || is_used_up || must_ask_peer();
}

// However often the peer has asked since the last record of data, it gets one KeyUpdate (RFC 8446 section 4.6.3).
RecordLayer::Handled RecordLayer::update_key(WireBuffer& wire) {
  const bool asks_peer = must_ask_peer();
  must_update_key_ = false;
  has_asked_peer_ = has_asked_peer_ || asks_peer;
  try {
    if (sender_.update_key(asks_peer, wire)) return {};
  } catch (const std::bad_alloc&) {
    return unexpected(no_memory());
  }
  return unexpected(
      RecordFault{.kind = RecordFaultKind::used_up, .words = "the session has used up its sequence numbers"});
}

void RecordLayer::close_notify(WireBuffer& wire) {
  if (!fault_) static_cast<void>(sender_.alert(Alert::close_notify, wire));
}

bool RecordLayer::is_worn_out() const {
  return suite_.version == kTls12 && suite_.is_gcm() &&
         std::max(state_->send_sequence, state_->receive_sequence) >= kGcmRecordsMax;
}

// ---- Receiving ----

std::expected<OpenState, RecordFault> RecordLayer::open(std::span<std::byte> received, OnPlaintext on_plaintext,
                                                        OnTicket on_ticket, WireBuffer& wire) {
  if (fault_) return unexpected(*fault_);
  while (!received.empty() && !is_closed_by_peer_) {
    const auto record = receiver_.next(received);
    if (!record) return unexpected(end(invalid(record.error(), words_of_bad_record(record.error())), wire));
    if (*record == nullptr) break;
    const auto& opened = **record;
    if (opened.type == ContentType::application_data && !opened.content.empty() && !handshake_.is_within_message()) {
      records_without_data_ = 0;
      on_plaintext(opened.content);
    } else if (auto handled = handle(opened, on_ticket, wire); !handled) {
      return unexpected(end(handled.error(), wire));
    }
  }
  receiver_.forget();
  return is_closed_by_peer_ ? OpenState::closed_by_peer : OpenState::open;
}

RecordFault RecordLayer::end(const RecordFault& fault, WireBuffer& wire) {
  receiver_.forget();
  // Told if there is room: the session is over either way.
  if (fault.kind == RecordFaultKind::invalid) static_cast<void>(sender_.alert(fault.alert, wire));
  return fail(fault);
}

RecordLayer::Handled RecordLayer::handle(const OpenedRecord& record, const OnTicket& on_ticket, WireBuffer& wire) {
  if (handshake_.is_within_message() && record.type != ContentType::handshake) {
    return unexpected(invalid(Alert::unexpected_message, "the host broke off a TLS handshake message"));
  }
  if (++records_without_data_ > kRecordsWithoutDataMax) {
    return unexpected(invalid(Alert::unexpected_message, "the host sends TLS messages without end, and no data"));
  }
  switch (record.type) {
    case ContentType::application_data: return {};  // empty: a way to hide traffic (RFC 8446 section 5.1)
    case ContentType::handshake: return handle_handshake(record.content, on_ticket, wire);
    case ContentType::alert: return handle_alert(record.content);
    case ContentType::change_cipher_spec: break;
  }
  return unexpected(invalid(Alert::unexpected_message, "the host sent a TLS record of a type that has no place here"));
}

RecordLayer::Handled RecordLayer::handle_handshake(std::span<const std::byte> content, OnTicket on_ticket,
                                                   WireBuffer& wire) {
  if (content.empty()) {
    return unexpected(invalid(Alert::unexpected_message, "the host sent an empty TLS handshake record"));
  }
  bool wants_renegotiation = false;
  while (true) {
    const auto read = handshake_.next(content);
    if (!read) return unexpected(invalid(read.error(), "the host sent an overlong TLS handshake message"));
    const auto& message = *read;
    if (!message) break;
    if (suite_.version == kTls13) {
      if (auto handled = handle_tls_1_3_message(*message, content.empty(), on_ticket); !handled) return handled;
      continue;
    }
    const auto asking =
        state_->role == Role::client ? PostHandshakeType::hello_request : PostHandshakeType::client_hello;
    if (message->type != asking) {
      return unexpected(
          invalid(Alert::unexpected_message, "the host sent a TLS message that has no place after the handshake"));
    }
    wants_renegotiation = true;
  }
  // Refused as RFC 5246 section 7.2.2 says; whether it goes on without is for the peer to decide.
  if (wants_renegotiation && !sender_.alert(Alert::no_renegotiation, wire)) {
    return unexpected(RecordFault{.kind = RecordFaultKind::no_room,
                                  .words = "the host wants a TLS answer from here but takes no bytes"});
  }
  return {};
}

RecordLayer::Handled RecordLayer::handle_tls_1_3_message(const HandshakeMessage& message, bool ends_record,
                                                         OnTicket on_ticket) {
  if (message.type == PostHandshakeType::key_update) return handle_key_update(message, ends_record);
  if (message.type != PostHandshakeType::new_session_ticket || state_->role != Role::client) {
    return unexpected(
        invalid(Alert::unexpected_message, "the host sent a TLS message that has no place after the handshake"));
  }
  const auto taken = on_ticket(message.bytes);
  if (!taken) return unexpected(invalid(taken.error(), "the host sent a malformed session ticket"));
  return {};
}

// RFC 8446 section 4.6.3. What comes behind it in its record would have been sealed under the wrong key (section 5.1).
RecordLayer::Handled RecordLayer::handle_key_update(const HandshakeMessage& message, bool ends_record) {
  if (message.body().size() != 1) {
    return unexpected(invalid(Alert::decode_error, "the host sent a malformed key update"));
  }
  const auto request = message.body()[0];
  if (request > std::byte{1}) {
    return unexpected(invalid(Alert::illegal_parameter, "the host sent a malformed key update"));
  }
  if (!ends_record) {
    return unexpected(invalid(Alert::unexpected_message, "the host sent messages right behind a key update"));
  }
  try {
    if (!TMX_HAS_BUG(miss_key_update)) receiver_.update_key();
  } catch (const std::bad_alloc&) {
    return unexpected(no_memory());
  }
  is_peer_key_updated_ = true;
  has_asked_peer_ = false;
  must_update_key_ = must_update_key_ || request == std::byte{1};
  return {};
}

RecordLayer::Handled RecordLayer::handle_alert(std::span<const std::byte> content) {
  constexpr auto kWarning = std::byte{1};
  if (content.size() != 2) return unexpected(invalid(Alert::decode_error, "the host sent a malformed alert"));
  const auto description = static_cast<Alert>(content[1]);
  if (description == Alert::close_notify) {
    is_closed_by_peer_ = true;
    return {};
  }
  // Java says user_canceled before it closes. Otherwise TLS 1.3 knows no warnings (RFC 8446 section 6).
  const bool is_ignored = suite_.version == kTls13 ? description == Alert::user_canceled : content[0] == kWarning;
  if (is_ignored) return {};
  return unexpected(RecordFault{.kind = RecordFaultKind::alerted, .alert = description, .words = {}});
}

}  // namespace tlsmux::engine::tls
