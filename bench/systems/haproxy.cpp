#include "bench/systems/haproxy.hpp"

#include "bench/systems/config_template.hpp"
#include "bench/systems/sidecar.hpp"

namespace tlsmux::bench {
namespace {

constexpr auto kConfig = R"(global
  nbthread @PROCESSORS@
  maxconn @CONNECTIONS@
  tune.bufsize 32768
defaults
  mode tcp
  timeout connect 10s
  timeout client 1h
  timeout server 1h
listen bench
  bind @SOCKET@
  server host @HOST@ ssl verify required ca-file @CA@ sni str(localhost) verifyhost localhost ssl-min-ver TLSv1.3@REUSE@
)";

class Haproxy : public Sidecar {
 protected:
  [[nodiscard]] std::string config_text(const Ground& ground, const Demand& demand, const Files& files) const override {
    return fill_in(kConfig, {{"PROCESSORS", std::to_string(ground.processors)},
                             {"CONNECTIONS", std::to_string(demand.clients + 64)},
                             {"SOCKET", files.socket},
                             {"HOST", ground.host_address},
                             {"CA", ground.ca_file},
                             {"REUSE", demand.resumption ? "" : " no-ssl-reuse"}});
  }

  [[nodiscard]] std::vector<std::string> command(const Files& files) const override {
    return {find_program("haproxy"), "-db", "-q", "-f", files.config};
  }
};

}  // namespace

std::unique_ptr<System> make_haproxy() { return std::make_unique<Haproxy>(); }

}  // namespace tlsmux::bench
