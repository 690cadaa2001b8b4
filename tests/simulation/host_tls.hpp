#pragma once

// One host's end of TLS on one connection: OpenSSL in a world with real TLS (real_host.hpp), else PlainTls.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "tests/simulation/context.hpp"
#include "tests/support/plain_tls.hpp"

namespace tlsmux::simulation {

enum class Manner : std::uint8_t { good, refuses, hangs };  // in the handshake

// All that it sends is appended to `output`.
class HostTls {
 public:
  enum class State : std::uint8_t { handshake, open, closed_by_client, failed };

  virtual ~HostTls() = default;

  // Feeds what came from the engine, and appends the data to `plaintext`. Throws Violation if the session fails, unless
  // something was done that makes the engine or the host end it.
  virtual State receive(std::span<const std::byte> received, std::vector<std::byte>& plaintext,
                        std::vector<std::byte>& output) = 0;
  [[nodiscard]] virtual State state() const = 0;

  // The following while it is open, or closed by the client.
  virtual void seal(std::span<const std::byte> plaintext, std::vector<std::byte>& output) = 0;
  virtual void close_notify(std::vector<std::byte>& output) = 0;
  // The host ends the connection. It may say so, if it has not.
  virtual void take_leave(std::vector<std::byte>& output) = 0;
  // What begins like no record.
  virtual void babble(std::span<const std::byte> garbage, std::vector<std::byte>& output) = 0;
  // Does something of its own accord that is no data. False: nothing.
  virtual bool act(std::vector<std::byte>& output) = 0;

  // Bytes have changed on their way to it or from it.
  virtual void note_spoilt() = 0;
};

inline constexpr std::byte kNoRecordType{0x99};

class PlainHostTls final : public HostTls {
 public:
  explicit PlainHostTls(Manner manner) : manner_(manner) {}

  State receive(std::span<const std::byte> received, std::vector<std::byte>& plaintext,
                std::vector<std::byte>& output) override;
  [[nodiscard]] State state() const override;
  void seal(std::span<const std::byte> plaintext, std::vector<std::byte>& output) override {
    test::PlainTlsHost::seal(plaintext, output);
  }
  void close_notify(std::vector<std::byte>& output) override { test::PlainTlsHost::close_notify(output); }
  void take_leave(std::vector<std::byte>& /*output*/) override {}
  void babble(std::span<const std::byte> garbage, std::vector<std::byte>& output) override;
  bool act(std::vector<std::byte>& /*output*/) override { return false; }
  void note_spoilt() override {}

 private:
  Manner manner_;
  test::PlainTlsHost host_;
};

std::unique_ptr<HostTls> make_host_tls(Context& context, std::uint32_t upstream, Manner manner);

}  // namespace tlsmux::simulation
