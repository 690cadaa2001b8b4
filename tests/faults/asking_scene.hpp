#pragma once

// An engine and one client that asks, whose outcomes are held against the host's record in the end. The host, and whatever
// stands between it and the engine, is the test's.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/faults/rig.hpp"
#include "tests/faults/truth.hpp"

namespace tlsmux::test {

// Requests count from 1, see keyed_message().
struct AskingScene {
  static constexpr std::uint32_t kLongMs = 20'000;

  // With a session to this port, after `change`.
  void start_engine(std::uint16_t port, const std::function<void(config::Config&)>& change = {},
                    const EngineLaunch& launch = {});
  // Once the engine has a session.
  void begin();
  void submit(std::uint64_t count, std::uint32_t timeout_ms = kLongMs);
  std::vector<Ended> take(std::size_t count);
  std::vector<Ended> ask(std::uint64_t count, std::uint32_t timeout_ms = kLongMs);
  Ended ask_one(std::uint32_t timeout_ms = kLongMs) { return ask(1, timeout_ms).front(); }
  void await_received(std::uint64_t count) const;
  // Of the upstream.
  [[nodiscard]] UpstreamFacts facts() const;
  [[nodiscard]] std::map<std::string, Receipt> receipts() const { return read_host_records({record}); }
  // All that was asked has ended, and nothing that was told is a lie.
  void check_all() const;
  // The engine ends, and so it is.
  void end();

  Residue residue;
  TemporaryFolder folder;
  std::string record = folder.path("record");  // the host's
  std::size_t message_bytes = 64;
  config::Config config;
  std::unique_ptr<EngineProcess> engine;
  std::unique_ptr<Requester> requester;
  std::vector<Ended> all;
  std::uint64_t submitted = 0;
};

}  // namespace tlsmux::test
