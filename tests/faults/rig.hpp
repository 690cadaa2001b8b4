#pragma once

// The usual: one host, one engine with a session to it, and nothing left when the test is over.

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/host/host_process.hpp"
#include "tests/system/await.hpp"
#include "tests/system/engine_config.hpp"
#include "tests/system/engine_process.hpp"
#include "tests/system/group_status.hpp"
#include "tests/system/host_record.hpp"
#include "tests/system/requester.hpp"
#include "tests/system/residue.hpp"

namespace tlsmux::test {

class Rig {
 public:
  explicit Rig(const std::vector<std::string>& host_arguments, const std::function<void(config::Config&)>& change = {})
      : host(with_record(host_arguments)), config(engine_config(folder, {host.port()})), engine_(start(change)) {}

  [[nodiscard]] const std::string& group() const { return config.groups[0].name; }
  EngineProcess& engine() { return engine_; }
  // Of the upstream "acquirer", once `condition` holds. Fails the test if it does not come to hold.
  template <typename Condition>
  UpstreamFacts await_facts(Condition condition) {
    UpstreamFacts facts;
    await([&] {
      facts = upstream_facts(group(), config.upstreams[0].name);
      return condition(facts);
    });
    return facts;
  }
  [[nodiscard]] std::map<std::string, Receipt> receipts() const { return read_host_records({record_}); }
  [[nodiscard]] std::uint64_t received() const { return count_receipts(receipts()); }
  // Waits until the host has recorded so many messages.
  void await_received(std::uint64_t messages) {
    await([&] { return received() >= messages; });
  }
  void stop() { CHECK(engine_.stop() == 0); }

 private:
  std::vector<std::string> with_record(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--record", record_, "--message-bytes-max", "65535"});
    return arguments;
  }
  EngineProcess start(const std::function<void(config::Config&)>& change) {
    if (change) change(config);
    return EngineProcess(folder, config);
  }

  Residue residue_;

 public:
  TemporaryFolder folder;

 private:
  std::string record_ = folder.path() + "/record";

 public:
  host::HostProcess host;
  config::Config config;

 private:
  EngineProcess engine_;
};

inline std::size_t count_outcomes(const std::vector<Ended>& all, tmx_outcome outcome, tmx_reason reason) {
  return static_cast<std::size_t>(
      std::ranges::count_if(all, [&](const Ended& one) { return one.outcome == outcome && one.reason == reason; }));
}

}  // namespace tlsmux::test
