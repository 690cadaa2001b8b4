#pragma once

// PlainTls that fails where a test says, or says something of its own.

#include <array>
#include <memory>
#include <optional>
#include <utility>

#include "tests/mux/mux_rig.hpp"
#include "tests/support/plain_tls.hpp"

namespace tlsmux::test {

struct TlsScript {
  int good_seals = 1'000'000;  // then sealing fails
  std::optional<engine::tls::TlsError> open_error;
  bool worn_out = false;
  bool says_something_first = false;  // before the next record of data: kPlainHeaderBytes
  engine::tls::PeerFacts facts{.version = "scripted", .suite = "NULL", .certificate_expires_s = 0, .resumed = false};
};

class ScriptedTlsSession final : public engine::tls::TlsSession {
 public:
  // `script` outlives it.
  explicit ScriptedTlsSession(TlsScript& script) : script_(script) {}

  std::expected<engine::tls::HandshakeState, engine::tls::TlsError> handshake(std::span<const std::byte> received,
                                                                              std::vector<std::byte>& output) override {
    return plain_.handshake(received, output);
  }
  [[nodiscard]] engine::tls::PeerFacts peer_facts() const override { return script_.facts; }
  [[nodiscard]] std::size_t record_bytes_max() const override { return plain_.record_bytes_max(); }
  [[nodiscard]] std::size_t record_overhead_bytes() const override { return plain_.record_overhead_bytes(); }
  std::expected<void, engine::tls::TlsError> seal(std::span<const std::span<const std::byte>> parts,
                                                  engine::tls::WireBuffer& wire) override {
    if (--script_.good_seals < 0) {
      return std::unexpected(engine::tls::TlsError{shm::Reason::record_corrupt, "no more records"});
    }
    if (std::exchange(script_.says_something_first, false)) {
      wire.append(std::array<std::byte, kPlainHeaderBytes>{std::byte(PlainType::data)});
    }
    return plain_.seal(parts, wire);
  }
  [[nodiscard]] std::size_t bytes_before_record() const override {
    return script_.says_something_first ? kPlainHeaderBytes : 0;
  }
  std::expected<engine::tls::OpenState, engine::tls::TlsError> open(
      std::span<std::byte> received, shm::FunctionRef<void(std::span<const std::byte>)> on_plaintext,
      engine::tls::WireBuffer& wire) override {
    if (script_.open_error) {
      plain_.close_notify(wire);  // the last word, as an alert would be
      return std::unexpected(*script_.open_error);
    }
    return plain_.open(received, on_plaintext, wire);
  }
  void close_notify(engine::tls::WireBuffer& wire) override { plain_.close_notify(wire); }
  [[nodiscard]] bool is_worn_out() const override { return script_.worn_out; }

 private:
  TlsScript& script_;
  PlainTlsSession plain_{std::nullopt};
};

// As MuxRig::bring_up, but the worker hands back a session that keeps to the script.
void bring_up_scripted(MuxRig& rig, std::size_t session, TlsScript& script);

}  // namespace tlsmux::test
