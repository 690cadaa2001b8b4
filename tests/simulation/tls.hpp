#pragma once

// PlainTls whose sessions may fail where TLS can fail, and whose sealing is a moment at which others act.

#include <memory>
#include <string>

#include "tests/simulation/context.hpp"
#include "tests/support/plain_tls.hpp"

namespace tlsmux::simulation {

class TlsSession final : public engine::tls::TlsSession {
 public:
  TlsSession(Context& context, std::unique_ptr<engine::tls::TlsSession> plain)
      : context_(context), version_(context.random.below(4) == 0 ? kTls12 : kTls13), plain_(std::move(plain)) {}

  std::expected<engine::tls::HandshakeState, engine::tls::TlsError> handshake(std::span<const std::byte> received,
                                                                              std::vector<std::byte>& output) override {
    return plain_->handshake(received, output);
  }
  [[nodiscard]] engine::tls::PeerFacts peer_facts() const override {
    auto facts = plain_->peer_facts();
    facts.version_number = version_;
    return facts;
  }
  [[nodiscard]] std::size_t record_bytes_max() const override { return plain_->record_bytes_max(); }
  [[nodiscard]] std::size_t record_overhead_bytes() const override { return plain_->record_overhead_bytes(); }
  std::expected<void, engine::tls::TlsError> seal(std::span<const std::span<const std::byte>> parts,
                                                  engine::tls::WireBuffer& wire) override {
    const auto memory = context_.engine_calls_world();
    if (context_.strikes(Fault::seal_fails)) {
      return std::unexpected(engine::tls::TlsError{shm::Reason::record_corrupt, "no record could be sealed"});
    }
    return plain_->seal(parts, wire);
  }
  std::expected<engine::tls::OpenState, engine::tls::TlsError> open(
      std::span<std::byte> received, shm::FunctionRef<void(std::span<const std::byte>)> on_plaintext,
      engine::tls::WireBuffer& wire) override {
    const auto memory = context_.engine_calls_world();
    return plain_->open(received, on_plaintext, wire);
  }
  void close_notify(engine::tls::WireBuffer& wire) override { plain_->close_notify(wire); }

 private:
  static constexpr std::uint16_t kTls12 = 0x0303;
  static constexpr std::uint16_t kTls13 = 0x0304;

  Context& context_;
  std::uint16_t version_;
  std::unique_ptr<engine::tls::TlsSession> plain_;
};

class TlsClient final : public engine::tls::TlsClient {
 public:
  explicit TlsClient(Context& context) : context_(context) {}

  std::expected<std::unique_ptr<engine::tls::TlsSession>, engine::tls::TlsError> start(
      const std::string& server_name) override {
    std::optional<engine::tls::TlsError> failure;
    if (context_.strikes(Fault::handshake_fails)) {
      failure = {shm::Reason::certificate_untrusted, "the host's certificate is not trusted"};
    }
    plain_.fail_handshakes(failure);
    auto plain = plain_.start(server_name);
    if (!plain) return std::unexpected(plain.error());
    return std::make_unique<TlsSession>(context_, std::move(*plain));
  }

 private:
  Context& context_;
  test::PlainTlsClient plain_;
};

}  // namespace tlsmux::simulation
