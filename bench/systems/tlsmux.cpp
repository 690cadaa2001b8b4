#include "bench/systems/tlsmux.hpp"

#include <algorithm>
#include <bit>
#include <filesystem>
#include <utility>

#include "bench/message.hpp"
#include "bench/systems/config_template.hpp"
#include "bench/systems/engine_process.hpp"
#include "config/limits.hpp"

namespace tlsmux::bench {
namespace {

constexpr std::uint32_t kLatencySpinUs = 50;

struct Setting {
  std::string idle_strategy;
  std::uint32_t spin_us = 0;
  bool is_confined = true;
  bool is_other_build = false;
};

// More sessions than one upstream may have are shared out over several.
std::uint32_t upstreams_for(std::uint32_t sessions) {
  return (sessions + config::kSessionsPerUpstreamMax - 1) / config::kSessionsPerUpstreamMax;
}

std::string upstream_name(std::uint32_t number) { return "host" + std::to_string(number); }

constexpr auto kUpstream = R"(
    {
      "name": "@NAME@",
      "groups": ["@GROUP@"],
      "endpoints": ["@HOST@"],
      "sessions": @SESSIONS@,
      "tls": { "ca_file": "@CA@", "server_name": "localhost", "version_min": "1.3" },
      "framing": { "preset": "length16", "message_bytes_max": @MESSAGE_BYTES_MAX@ },
      "correlation": { "kind": "bytes", "offset": 0, "length": @KEY_BYTES@ }
    })";

constexpr auto kConfig = R"({
  "engine": {
    "control_socket": "@FOLDER@/control.sock",
    "drain_timeout_ms": 1000,
    "idle_strategy": "@IDLE_STRATEGY@",
    @CONFINEMENT@
    "log": { "level": "warning" }
  },
  "groups": [
    {
      "name": "@GROUP@",
      "users": ["@USER@"],
      "memory": {
        "clients_max": @CLIENTS_MAX@,
        "channels_per_client": 1,
        "slots_per_channel": @SLOTS@,
        "slot_bytes": @SLOT_BYTES@
      }
    }
  ],
  "upstreams": [@UPSTREAMS@
  ]
}
)";

std::string upstream_text(const Ground& ground, const Demand& demand, std::uint32_t number) {
  const auto upstreams = upstreams_for(demand.sessions);
  const auto sessions = demand.sessions / upstreams + (number < demand.sessions % upstreams ? 1 : 0);
  return fill_in(kUpstream, {{"NAME", upstream_name(number)},
                             {"SESSIONS", std::to_string(sessions)},
                             {"CA", ground.ca_file},
                             {"MESSAGE_BYTES_MAX", std::to_string(demand.message_bytes_max)},
                             {"KEY_BYTES", std::to_string(kMessageKeyBytes)}});
}

std::string config_text(const Ground& ground, const Demand& demand, const Setting& setting) {
  constexpr std::uint32_t kSlotsMin = 8;
  constexpr std::uint32_t kSlotBytesMin = 512;
  std::string upstreams;
  for (std::uint32_t i = 0; i < upstreams_for(demand.sessions); ++i) {
    upstreams += (i == 0 ? "" : ",") + upstream_text(ground, demand, i);
  }
  return fill_in(kConfig,
                 {{"IDLE_STRATEGY", setting.idle_strategy},
                  {"CONFINEMENT", setting.is_confined ? "" : R"("confinement": "off",)"},
                  {"CLIENTS_MAX", std::to_string(demand.clients + 8)},
                  {"SLOTS", std::to_string(std::max(kSlotsMin, 2 * demand.in_flight))},
                  {"SLOT_BYTES", std::to_string(std::bit_ceil(std::max(kSlotBytesMin, demand.message_bytes_max)))},
                  {"UPSTREAMS", upstreams}});
}

class Tlsmux : public System {
 public:
  explicit Tlsmux(Setting setting) : setting_(std::move(setting)) {}

  void start(const Ground& ground, const Demand& demand) override {
    upstreams_ = upstreams_for(demand.sessions);
    auto own = ground;
    if (setting_.is_other_build) own.program_folder = std::filesystem::absolute(ground.other_folder).string();
    client_program_ = own.program_folder + "/tlsmux-bench-tlsmux";
    engine_.start(own, demand.name, config_text(own, demand, setting_), demand.sessions);
  }

  [[nodiscard]] ClientCommand client(std::uint32_t number) const override {
    return {.program = client_program_,
            .target = upstream_name(number % upstreams_),
            .session_file = "",
            .spin_us = setting_.spin_us,
            .environment = engine_.environment()};
  }

  [[nodiscard]] std::vector<pid_t> services() const override { return engine_.processes(); }

 private:
  Setting setting_;
  std::uint32_t upstreams_ = 1;
  std::string client_program_;
  EngineProcess engine_;
};

}  // namespace

std::unique_ptr<System> make_tlsmux() { return std::make_unique<Tlsmux>(Setting{.idle_strategy = "balanced"}); }

std::unique_ptr<System> make_tlsmux_unconfined() {
  return std::make_unique<Tlsmux>(Setting{.idle_strategy = "balanced", .is_confined = false});
}

std::unique_ptr<System> make_tlsmux_other() {
  return std::make_unique<Tlsmux>(Setting{.idle_strategy = "balanced", .is_other_build = true});
}

std::unique_ptr<System> make_tlsmux_latency() {
  return std::make_unique<Tlsmux>(Setting{.idle_strategy = "latency", .spin_us = kLatencySpinUs});
}

}  // namespace tlsmux::bench
