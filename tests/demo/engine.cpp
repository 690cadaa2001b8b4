#include "tests/demo/engine.hpp"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <stdexcept>
#include <utility>

#include "shm/group_part.hpp"
#include "shm/row.hpp"
#include "shm/segment.hpp"
#include "tests/demo/purchase.hpp"
#include "tests/host/host_process.hpp"

namespace tlsmux::demo {
namespace {

std::string config_text(const std::string& group, const std::string& control_socket,
                        const std::vector<std::uint16_t>& ports) {
  std::string endpoints;
  for (const auto port : ports) {
    endpoints += std::string(endpoints.empty() ? "" : ", ") + "\"127.0.0.1:" + std::to_string(port) + "\"";
  }
  return R"({
  "engine": { "control_socket": ")" +
         control_socket + R"(", "drain_timeout_ms": 3000 },
  "groups": [
    {
      "name": ")" +
         group + R"(",
      "users": [")" +
         std::to_string(::getuid()) + R"("],
      "memory": { "clients_max": 16, "channels_per_client": 1, "slots_per_channel": 32, "slot_bytes": 256 }
    }
  ],
  "upstreams": [
    {
      "name": ")" +
         std::string(kUpstream) + R"(",
      "groups": [")" +
         group + R"("],
      "endpoints": [)" +
         endpoints + R"(],
      "sessions": )" +
         std::to_string(kSessions) + R"(,
      "tls": { "ca_file": ")" +
         host::certificate_file("ca.pem") + R"(", "server_name": "localhost" },
      "framing": { "preset": "length16", "message_bytes_max": 256 },
      "correlation": {
        "kind": "iso8583",
        "iso8583": {
          "spec": "1987_ascii",
          "key_fields": [11, 41],
          "key_rules": [{ "mti": "080", "fields": [11] }]
        }
      },
      "backoff": { "initial_ms": 100, "max_ms": 1000 }
    }
  ]
}
)";
}

std::uint32_t sessions_ready(const shm::GroupView& view) {
  shm::UpstreamRow row{};
  return view.upstreams().size() > 0 && shm::read_row(view.upstreams()[0], row) ? row.sessions_ready : 0;
}

}  // namespace

Engine::Engine(const Interrupt& interrupt, const std::string& folder, const std::vector<std::uint16_t>& ports)
    : interrupt_(interrupt), group_("DEMO-" + std::to_string(::getpid())), control_socket_(folder + "/control.sock") {
  const auto config_file = folder + "/tlsmux.json";
  std::ofstream(config_file) << config_text(group_, control_socket_, ports);
  broker_ = std::make_unique<Process>(Launch{.program = program_folder() + "/tlsmuxd",
                                             .arguments = {config_file},
                                             .log_file = folder + "/tlsmuxd.log",
                                             .signal_if_orphaned = SIGTERM});
}

EngineFacts Engine::await_sessions() {
  EngineFacts now;
  const auto serves = [&] {
    now = facts().value_or(EngineFacts{});
    return now.sessions_ready == kSessions;
  };
  interrupt_.wait_until([&] { return has_died() || serves(); }, "tlsmuxd gets no sessions to the hosts");
  if (has_died()) throw std::runtime_error("tlsmuxd cannot start");
  return now;
}

Engine::~Engine() {
  if (!has_died()) broker_->send_signal(SIGTERM);
  // Not to be interrupted; the broker gives its engine some seconds to end.
  for (int waits = 0; waits < 1000 && !has_died(); ++waits) ::poll(nullptr, 0, 10);
  if (broker_->exit_code() != 0) remove_remains();
}

// What a broker that did not end in good order could not take away.
void Engine::remove_remains() {
  broker_->send_signal(SIGKILL);
  if (const auto now = facts(); now && now->pid > 1) ::kill(now->pid, SIGKILL);
  shm::remove_group_object(group_);
  shm::remove_group_object(group_ + ".lock");
}

std::optional<EngineFacts> Engine::facts() const {
  const auto object = shm::open_group_object(group_);
  if (!object) return std::nullopt;
  struct stat status{};
  if (::fstat(object->get(), &status) != 0 || status.st_size == 0) return std::nullopt;
  const auto mapping =
      shm::Mapping::map(object->get(), static_cast<std::uint64_t>(status.st_size), shm::Access::read_only);
  if (!mapping) return std::nullopt;
  const auto view = shm::GroupView::open(mapping->bytes());
  if (!view) return std::nullopt;
  return EngineFacts{.pid = static_cast<pid_t>(view->header().engine_pid), .sessions_ready = sessions_ready(*view)};
}

pid_t Engine::kill() {
  const auto now = facts();
  if (!now || now->pid <= 1 || now->pid == broker_->pid()) throw std::runtime_error("there is no engine to kill");
  ::kill(now->pid, SIGKILL);
  return now->pid;
}

void Engine::stop() {
  broker_->send_signal(SIGTERM);
  interrupt_.wait_until([&] { return has_died(); }, "tlsmuxd does not end");
  if (const auto code = broker_->exit_code().value_or(0); code != 0) {
    throw std::runtime_error("tlsmuxd ended with exit code " + std::to_string(code));
  }
}

}  // namespace tlsmux::demo
