#include <stdexcept>
#include <vector>

#include "bench/record/record_path.hpp"
#include "engine/tls/record/record_layer.hpp"

namespace tlsmux::bench {
namespace {

using namespace engine::tls;

constexpr std::uint16_t kTlsAes128GcmSha256 = 0x1301;  // RFC 8446 appendix B.4

SessionState state_of(Role role) {
  SessionState state{.role = role, .version = kTls13, .suite = kTlsAes128GcmSha256, .secret_bytes = 32};
  state.client_secret.fill(0x11);
  state.server_secret.fill(0x22);
  return state;
}

class TlsmuxRecords : public RecordPath {
 public:
  TlsmuxRecords()
      : client_(RecordLayer::make(client_state_, fastest_aead_library())),
        server_(RecordLayer::make(server_state_, fastest_aead_library())) {
    if (!client_ || !server_) throw std::runtime_error("no memory for two record layers");
  }

  bool seal(Parts parts) override { return client_->seal(parts, wire_).has_value(); }

  bool open(std::size_t bytes) override {
    const auto pending = wire_.pending();
    const auto record_bytes = bytes + RecordSuite{}.overhead_bytes();
    if (pending.size() < record_bytes) return false;
    // What is opened is overwritten, as in the engine.
    const std::span<std::byte> received(memory_.data() + (pending.data() - memory_.data()), record_bytes);
    std::size_t opened = 0;
    const auto result = server_->open(
        received, [&](std::span<const std::byte> plaintext) { opened += plaintext.size(); },
        [](std::span<const std::byte>) -> std::expected<void, Alert> { return {}; }, answers_);
    wire_.accept(record_bytes);
    return result.has_value() && opened == bytes;
  }

 private:
  SessionState client_state_ = state_of(Role::client);
  SessionState server_state_ = state_of(Role::server);
  std::unique_ptr<RecordLayer> client_;
  std::unique_ptr<RecordLayer> server_;
  std::vector<std::byte> memory_ = std::vector<std::byte>(kSealedBytesMax);
  std::vector<std::byte> answers_memory_ = std::vector<std::byte>(kRecordBytesMax);
  WireBuffer wire_{memory_};
  WireBuffer answers_{answers_memory_};
};

}  // namespace

std::unique_ptr<RecordPath> make_tlsmux_records() { return std::make_unique<TlsmuxRecords>(); }

}  // namespace tlsmux::bench
