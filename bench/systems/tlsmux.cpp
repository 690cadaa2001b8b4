#include "bench/systems/tlsmux.hpp"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>

#include "bench/message.hpp"
#include "bench/process/child_process.hpp"
#include "bench/process/cpu_time.hpp"
#include "bench/systems/config_template.hpp"
#include "config/limits.hpp"
#include "shm/group_part.hpp"
#include "shm/row.hpp"
#include "shm/segment.hpp"

namespace tlsmux::bench {
namespace {

constexpr int kTries = 3000;
constexpr int kTryMs = 10;
constexpr std::uint32_t kLatencySpinUs = 50;

struct Setting {
  std::string idle_strategy;
  std::uint32_t spin_us = 0;
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

std::string upstream_text(const Ground& ground, const Demand& demand, const std::string& group, std::uint32_t number) {
  const auto upstreams = upstreams_for(demand.sessions);
  const auto sessions = demand.sessions / upstreams + (number < demand.sessions % upstreams ? 1 : 0);
  return fill_in(kUpstream, {{"NAME", upstream_name(number)},
                             {"GROUP", group},
                             {"HOST", ground.host_address},
                             {"SESSIONS", std::to_string(sessions)},
                             {"CA", ground.ca_file},
                             {"MESSAGE_BYTES_MAX", std::to_string(demand.message_bytes_max)},
                             {"KEY_BYTES", std::to_string(kMessageKeyBytes)}});
}

std::string config_text(const Ground& ground, const Demand& demand, const Setting& setting, const std::string& group,
                        const std::string& folder) {
  constexpr std::uint32_t kSlotsMin = 8;
  constexpr std::uint32_t kSlotBytesMin = 512;
  std::string upstreams;
  for (std::uint32_t i = 0; i < upstreams_for(demand.sessions); ++i) {
    upstreams += (i == 0 ? "" : ",") + upstream_text(ground, demand, group, i);
  }
  return fill_in(kConfig,
                 {{"FOLDER", folder},
                  {"IDLE_STRATEGY", setting.idle_strategy},
                  {"GROUP", group},
                  {"USER", std::to_string(::getuid())},
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
    folder_ = ground.folder + "/" + demand.name;
    group_ = "BENCH-" + std::to_string(::getpid()) + "-" + demand.name;
    std::filesystem::create_directories(folder_);
    const auto config = folder_ + "/tlsmux.json";
    const auto log = folder_ + "/log";
    std::ofstream(config) << config_text(ground, demand, setting_, group_, folder_);
    process_.emplace(Launch{.command = {ground.program_folder + "/tlsmuxd", config},
                            .environment = {},
                            .log_file = log,
                            .descriptors = {},
                            .signal_if_orphaned = SIGTERM});
    for (int tries = 0; tries < kTries && !process_->has_ended(); ++tries) {
      if (sessions_ready() == demand.sessions) return;
      ::poll(nullptr, 0, kTryMs);
    }
    std::ifstream words(log);
    const std::string said{std::istreambuf_iterator<char>(words), {}};
    throw std::runtime_error("tlsmuxd does not serve; it says: " + said);
  }

  [[nodiscard]] ClientCommand client(std::uint32_t number) const override {
    return {.program = "tlsmux-bench-tlsmux",
            .target = upstream_name(number % upstreams_),
            .session_file = "",
            .spin_us = setting_.spin_us,
            .environment = {"TLSMUX_GROUP=" + group_, "TLSMUX_CONTROL_SOCKET=" + folder_ + "/control.sock"}};
  }

  [[nodiscard]] std::vector<pid_t> services() const override { return process_tree(process_->pid()); }

 private:
  [[nodiscard]] std::uint32_t sessions_ready() const {
    const auto object = shm::open_group_object(group_);
    struct stat status{};
    if (!object || ::fstat(object->get(), &status) != 0 || status.st_size == 0) return 0;
    const auto mapping =
        shm::Mapping::map(object->get(), static_cast<std::uint64_t>(status.st_size), shm::Access::read_only);
    if (!mapping) return 0;
    const auto view = shm::GroupView::open(mapping->bytes());
    if (!view) return 0;
    std::uint32_t ready = 0;
    for (std::uint32_t i = 0; i < view->upstreams().size(); ++i) {
      shm::UpstreamRow row{};
      if (shm::read_row(view->upstreams()[i], row) && row.in_use != 0) ready += row.sessions_ready;
    }
    return ready;
  }

  Setting setting_;
  std::uint32_t upstreams_ = 1;
  std::string folder_;
  std::string group_;
  std::optional<ChildProcess> process_;
};

}  // namespace

std::unique_ptr<System> make_tlsmux() { return std::make_unique<Tlsmux>(Setting{.idle_strategy = "balanced"}); }

std::unique_ptr<System> make_tlsmux_latency() {
  return std::make_unique<Tlsmux>(Setting{.idle_strategy = "latency", .spin_us = kLatencySpinUs});
}

}  // namespace tlsmux::bench
