#include "bench/systems/stunnel.hpp"

#include "bench/systems/config_template.hpp"
#include "bench/systems/sidecar.hpp"

namespace tlsmux::bench {
namespace {

constexpr auto kConfig = R"(foreground = quiet
syslog = no
debug = emerg
pid =
socket = r:TCP_NODELAY=1
[bench]
client = yes
accept = @SOCKET@
connect = @HOST@
CAfile = @CA@
verifyChain = yes
checkHost = localhost
sni = localhost
sslVersion = TLSv1.3
sessionResume = @RESUMPTION@
)";

class Stunnel : public Sidecar {
 protected:
  [[nodiscard]] std::string config_text(const Ground& ground, const Demand& demand, const Files& files) const override {
    return fill_in(kConfig, {{"SOCKET", files.socket},
                             {"HOST", ground.host_address},
                             {"CA", ground.ca_file},
                             {"RESUMPTION", demand.resumption ? "yes" : "no"}});
  }

  [[nodiscard]] std::vector<std::string> command(const Files& files) const override {
    return {find_program("stunnel4"), files.config};
  }
};

}  // namespace

std::unique_ptr<System> make_stunnel() { return std::make_unique<Stunnel>(); }

}  // namespace tlsmux::bench
