#include "bench/systems/wrapper.hpp"

#include <utility>

#include "bench/message.hpp"
#include "bench/systems/config_template.hpp"

namespace tlsmux::bench {
namespace {

// Sessions of a pool are never replaced for having been idle: nothing but programs is to make handshakes here.
constexpr auto kConfig = R"({
  "engine": {
    "control_socket": "@FOLDER@/control.sock",
    "drain_timeout_ms": 1000,
    "log": { "level": "warning" }
  },
  "groups": [{ "name": "@GROUP@", "users": ["@USER@"], "memory": { "slot_bytes": 16384 } }],
  "upstreams": [
    {
      "name": "host",
      "groups": ["@GROUP@"],
      "endpoints": ["@HOST@"],
      "sessions": @SESSIONS@,
      "tls": { "ca_file": "@CA@", "server_name": "localhost", "version_min": "1.3" },
      @UPSTREAM@
    }
  ],
  "ssl_wrapper": { "rules": [{ @RULE@, "port": @PORT@, "upstream": "host" }] }
}
)";

constexpr auto kMessages = R"("framing": { "preset": "length16", "message_bytes_max": @MESSAGE_BYTES_MAX@ },
      "correlation": { "kind": "bytes", "offset": 0, "length": @KEY_BYTES@ })";
constexpr auto kLeased = R"("framing": { "preset": "length16", "message_bytes_max": @MESSAGE_BYTES_MAX@ },
      "streams": { "kind": "leased", "idle_max_ms": 0 })";
constexpr auto kHttp1 = R"("framing": "http1",
      "streams": { "idle_max_ms": 0 })";

// Nobody listens there: who connects to it has been redirected.
constexpr auto kRedirected = "127.0.0.2";

std::string upstream_text(SharedKind kind) {
  switch (kind) {
    case SharedKind::messages: return kMessages;
    case SharedKind::leased: return kLeased;
    case SharedKind::http1: return kHttp1;
  }
  return {};
}

}  // namespace

std::string wrapper_preload(const Ground& ground) {
  return "LD_PRELOAD=" + ground.program_folder + "/../lib/libtlsmux_ssl.so";
}

void WrapperEngine::start(const Ground& ground, const Demand& demand, SharedKind kind, SharedBy by) {
  const auto colon = ground.host_address.rfind(':');
  const auto port = ground.host_address.substr(colon + 1);
  const std::string rule =
      by == SharedBy::name ? R"("name": "localhost")" : R"("address": ")" + std::string(kRedirected) + R"(/32")";
  target_ = by == SharedBy::address ? kRedirected + (":" + port) : ground.host_address;
  const auto config = fill_in(kConfig, {{"UPSTREAM", upstream_text(kind)},
                                        {"RULE", rule},
                                        {"PORT", port},
                                        {"SESSIONS", std::to_string(demand.sessions)},
                                        {"CA", ground.ca_file},
                                        {"MESSAGE_BYTES_MAX", std::to_string(demand.message_bytes_max)},
                                        {"KEY_BYTES", std::to_string(kMessageKeyBytes)}});
  engine_.start(ground, demand.name, config, demand.sessions);
  environment_ = engine_.environment();
  environment_.push_back(wrapper_preload(ground));
}

namespace {

class Streaming : public System {
 public:
  Streaming(SharedKind kind, bool is_wrapped) : kind_(kind), is_wrapped_(is_wrapped) {}

  void start(const Ground& ground, const Demand& demand) override {
    engine_.start(ground, demand, kind_, SharedBy::address);
  }
  [[nodiscard]] ClientCommand client(std::uint32_t /*number*/) const override {
    if (!is_wrapped_) {
      return {.program = "tlsmux-bench-stream",
              .target = "host",
              .session_file = "",
              .environment = engine_.library_environment()};
    }
    return {.program = "tlsmux-bench-openssl",
            .target = engine_.target(),
            .session_file = "",
            .environment = engine_.environment()};
  }
  [[nodiscard]] std::vector<pid_t> services() const override { return engine_.processes(); }

 private:
  SharedKind kind_;
  bool is_wrapped_;
  WrapperEngine engine_;
};

}  // namespace

std::unique_ptr<System> make_stream() { return std::make_unique<Streaming>(SharedKind::messages, false); }
std::unique_ptr<System> make_wrapper() { return std::make_unique<Streaming>(SharedKind::messages, true); }
std::unique_ptr<System> make_wrapper_leased() { return std::make_unique<Streaming>(SharedKind::leased, true); }

}  // namespace tlsmux::bench
