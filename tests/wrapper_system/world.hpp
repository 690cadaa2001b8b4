#pragma once

// Hosts, an engine with a rule for each, and programs under libtlsmux_ssl.so. The engine is stopped, and nothing may be
// left, at its end.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/system/engine_process.hpp"
#include "tests/system/residue.hpp"
#include "tests/wrapper_system/exchange_host.hpp"
#include "tests/wrapper_system/program.hpp"

namespace tlsmux::test {

// Of ssl_script.
using Calls = std::vector<std::string>;
inline Calls operator+(Calls first, const Calls& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

// Of an answer of the host's, with a length of one digit.
inline constexpr std::size_t kHttpHeadBytes = std::string_view("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").size();

struct WorldUpstream {
  Protocol protocol = Protocol::messages;
  std::function<void(config::UpstreamSettings&)> change = {};
};

class World {
 public:
  // Each upstream has one session, and never more.
  explicit World(const std::vector<WorldUpstream>& upstreams, const EngineLaunch& launch = {});
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  ExchangeHost& host(std::size_t index = 0) { return *hosts_[index]; }
  EngineProcess& engine() { return *engine_; }
  [[nodiscard]] const config::Config& config() const { return config_; }
  // Whatever was connected to it is over; nobody listens at its port.
  void stop_host() { hosts_[0].reset(); }
  void start_host_again();

  // In TLSMUX_SSL; empty: not under the wrapper at all.
  [[nodiscard]] std::vector<std::string> environment(const std::string& mode) const;
  // ssl_script, with these calls after a handshake that verifies the host.
  [[nodiscard]] std::vector<std::string> script(const Calls& calls, std::size_t index = 0) const;
  [[nodiscard]] Calls connecting(std::size_t index = 0) const;
  // A program that asks and looks at its answers; `name` has 10 letters.
  [[nodiscard]] std::vector<std::string> exchange(const std::string& name, int exchanges, std::size_t index = 0) const;
  // One of these, from beginning to end, on a shared session.
  void check_exchange(const std::string& name, int exchanges = 2, std::size_t index = 0) const;

 private:
  const Residue residue_;
  const TemporaryFolder folder_;
  std::vector<Protocol> protocols_;
  std::vector<std::uint16_t> ports_;
  std::vector<std::unique_ptr<ExchangeHost>> hosts_;
  config::Config config_;
  std::optional<EngineProcess> engine_;
};

}  // namespace tlsmux::test
