#pragma once

#include <functional>
#include <utility>

#include "engine/tls/tls_session.hpp"

namespace tlsmux::test {

// A session whose handshake is a function of the test and that can do nothing else.
class ScriptedSession : public engine::tls::TlsSession {
 public:
  using Step = std::function<std::expected<engine::tls::HandshakeState, engine::tls::TlsError>(
      std::span<const std::byte> received, std::vector<std::byte>& output)>;

  explicit ScriptedSession(
      Step step, std::function<void()> at_end = [] {})
      : step_(std::move(step)), at_end_(std::move(at_end)) {}
  ~ScriptedSession() override { at_end_(); }

  std::expected<engine::tls::HandshakeState, engine::tls::TlsError> handshake(std::span<const std::byte> received,
                                                                              std::vector<std::byte>& output) override {
    return step_(received, output);
  }
  [[nodiscard]] engine::tls::PeerFacts peer_facts() const override { return {}; }
  [[nodiscard]] std::size_t record_bytes_max() const override { return 0; }
  [[nodiscard]] std::size_t record_overhead_bytes() const override { return 0; }
  std::expected<void, engine::tls::TlsError> seal(std::span<const std::span<const std::byte>>,
                                                  engine::tls::WireBuffer&) override {
    return std::unexpected(engine::tls::TlsError{});
  }
  std::expected<engine::tls::OpenState, engine::tls::TlsError> open(std::span<std::byte>,
                                                                    shm::FunctionRef<void(std::span<const std::byte>)>,
                                                                    engine::tls::WireBuffer&) override {
    return std::unexpected(engine::tls::TlsError{});
  }
  void close_notify(engine::tls::WireBuffer&) override {}

 private:
  Step step_;
  std::function<void()> at_end_;
};

}  // namespace tlsmux::test
