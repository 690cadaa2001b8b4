#include "tests/simulation/real_session.hpp"

#include <string>
#include <utility>

#include "engine/tls/record/record_format.hpp"
#include "tests/simulation/real_host.hpp"
#include "tests/tls/tls_pair.hpp"

namespace tlsmux::simulation {

using engine::tls::HandshakeState;
using engine::tls::OpenState;
using engine::tls::TlsError;
using engine::tls::WireBuffer;

namespace {

bool is_about_certificate(shm::Reason reason) {
  return reason == shm::Reason::certificate_expired || reason == shm::Reason::certificate_wrong_name;
}

// What is appended to a wire from now on.
class Appended {
 public:
  explicit Appended(const WireBuffer& wire) : wire_(wire), begin_(wire.sealed_position()) {}
  [[nodiscard]] std::span<const std::byte> bytes() const {
    return wire_.pending().last(wire_.sealed_position() - begin_);
  }

 private:
  const WireBuffer& wire_;
  std::uint64_t begin_;
};

class RealSession final : public engine::tls::TlsSession {
 public:
  RealSession(Context& context, std::unique_ptr<engine::tls::TlsSession> real)
      : context_(context), real_(std::move(real)) {}
  ~RealSession() override {
    if (is_shaking_hands_) context_.note(Seen::tls_handshake_cut);
  }
  RealSession(const RealSession&) = delete;
  RealSession& operator=(const RealSession&) = delete;

  std::expected<HandshakeState, TlsError> handshake(std::span<const std::byte> received,
                                                    std::vector<std::byte>& output) override;
  [[nodiscard]] engine::tls::PeerFacts peer_facts() const override { return real_->peer_facts(); }
  [[nodiscard]] std::size_t record_bytes_max() const override { return real_->record_bytes_max(); }
  [[nodiscard]] std::size_t record_overhead_bytes() const override { return real_->record_overhead_bytes(); }
  std::expected<void, TlsError> seal(std::span<const std::span<const std::byte>> parts, WireBuffer& wire) override;
  [[nodiscard]] std::size_t bytes_before_record() const override { return real_->bytes_before_record(); }
  std::expected<OpenState, TlsError> open(std::span<std::byte> received,
                                          shm::FunctionRef<void(std::span<const std::byte>)> on_plaintext,
                                          WireBuffer& wire) override;
  void close_notify(WireBuffer& wire) override;
  [[nodiscard]] bool is_worn_out() const override { return real_->is_worn_out(); }

 private:
  // Others act; the engine's own memory stays scarce behind it.
  void let_world_act() { static_cast<void>(context_.engine_calls_world()); }
  void note(std::span<const std::byte> sealed, RecordKind kind, std::span<const std::byte> plaintext = {}) {
    const AmpleMemory memory;
    context_.seals.note(sealed, kind, plaintext);
  }
  void note_done();

  Context& context_;
  std::unique_ptr<engine::tls::TlsSession> real_;
  bool is_shaking_hands_ = true;
};

std::expected<HandshakeState, TlsError> RealSession::handshake(std::span<const std::byte> received,
                                                               std::vector<std::byte>& output) {
  const auto before = output.size();
  auto state = real_->handshake(received, output);
  note(std::span(output).subspan(before), RecordKind::tls);
  if (state && *state == HandshakeState::wants_bytes) return state;
  is_shaking_hands_ = false;
  if (state) {
    note_done();
  } else {
    context_.trace("a handshake fails: " + state.error().words);
    context_.note(is_about_certificate(state.error().reason) ? Seen::tls_certificate_refused
                                                             : Seen::tls_handshake_failed);
  }
  return state;
}

void RealSession::note_done() {
  const auto facts = real_->peer_facts();
  context_.note(facts.resumed ? Seen::tls_handshake_resumed : Seen::tls_handshake_full);
  if (facts.version_number == engine::tls::kTls12) context_.note(Seen::tls_1_2);
}

std::expected<void, TlsError> RealSession::seal(std::span<const std::span<const std::byte>> parts, WireBuffer& wire) {
  let_world_act();
  if (context_.strikes(Fault::seal_fails)) {
    return std::unexpected(TlsError{shm::Reason::record_corrupt, "no record could be sealed"});
  }
  const Appended appended(wire);
  auto sealed = real_->seal(parts, wire);
  if (!sealed) return sealed;
  const AmpleMemory memory;
  std::vector<std::byte> plaintext;
  for (const auto part : parts) plaintext.insert(plaintext.end(), part.begin(), part.end());
  // A key update may stand before the one record of data.
  const auto bytes = appended.bytes();
  const auto first = tls_record_bytes(bytes).value().value();
  const auto key_update_bytes = first < bytes.size() ? first : 0;
  note(bytes.first(key_update_bytes), RecordKind::tls);
  note(bytes.subspan(key_update_bytes), RecordKind::data, plaintext);
  return sealed;
}

std::expected<OpenState, TlsError> RealSession::open(std::span<std::byte> received,
                                                     shm::FunctionRef<void(std::span<const std::byte>)> on_plaintext,
                                                     WireBuffer& wire) {
  let_world_act();
  const Appended appended(wire);
  auto opened = real_->open(received, on_plaintext, wire);
  note(appended.bytes(), RecordKind::tls);
  if (!opened) {
    const AmpleMemory memory;
    context_.trace("a session ends: " + opened.error().words);
    if (opened.error().reason == shm::Reason::record_corrupt) context_.note(Seen::tls_record_refused);
  } else if (*opened == OpenState::closed_by_peer) {
    context_.note(Seen::tls_closed_by_host);
  }
  return opened;
}

void RealSession::close_notify(WireBuffer& wire) {
  const Appended appended(wire);
  real_->close_notify(wire);
  note(appended.bytes(), RecordKind::close_notify);
}

class RealClient final : public engine::tls::TlsClient {
 public:
  RealClient(Context& context, std::unique_ptr<engine::tls::TlsClient> real)
      : context_(context), real_(std::move(real)) {}

  std::expected<std::unique_ptr<engine::tls::TlsSession>, TlsError> start(const std::string& server_name) override {
    auto real = real_->start(server_name);
    if (!real) return real;
    return std::make_unique<RealSession>(context_, std::move(*real));
  }

 private:
  Context& context_;
  std::unique_ptr<engine::tls::TlsClient> real_;
};

}  // namespace

std::unique_ptr<engine::tls::TlsClient> make_real_client(Context& context) {
  engine::tls::TlsMaterial material;
  material.ca_pem.push_back({.name = "ca.pem", .pem = real_authority_pem()});
  return std::make_unique<RealClient>(context, test::make_client({}, material));
}

}  // namespace tlsmux::simulation
