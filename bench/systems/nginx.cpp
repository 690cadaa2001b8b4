#include "bench/systems/nginx.hpp"

#include <unistd.h>

#include "bench/systems/config_template.hpp"
#include "bench/systems/sidecar.hpp"

namespace tlsmux::bench {
namespace {

constexpr auto kStreamModule = "/usr/lib/nginx/modules/ngx_stream_module.so";  // Debian's; elsewhere it is built in

constexpr auto kConfig = R"(@MODULE@
@USER@
daemon off;
pid @FOLDER@/pid;
error_log stderr emerg;
worker_processes @PROCESSORS@;
worker_rlimit_nofile 16384;
events { worker_connections 8192; }
stream {
  access_log off;
  tcp_nodelay on;
  server {
    listen unix:@SOCKET@;
    proxy_pass @HOST@;
    proxy_timeout 1h;
    proxy_buffer_size 32k;
    proxy_ssl on;
    proxy_ssl_protocols TLSv1.3;
    proxy_ssl_verify on;
    proxy_ssl_trusted_certificate @CA@;
    proxy_ssl_name localhost;
    proxy_ssl_server_name on;
    proxy_ssl_session_reuse @RESUMPTION@;
  }
}
)";

class Nginx : public Sidecar {
 protected:
  [[nodiscard]] std::string config_text(const Ground& ground, const Demand& demand, const Files& files) const override {
    const bool is_module = ::access(kStreamModule, R_OK) == 0;
    return fill_in(kConfig, {{"MODULE", is_module ? "load_module " + std::string(kStreamModule) + ";" : ""},
                             {"USER", ::geteuid() == 0 ? "user root;" : ""},  // or its workers may not open the socket
                             {"FOLDER", files.folder},
                             {"PROCESSORS", std::to_string(ground.processors)},
                             {"SOCKET", files.socket},
                             {"HOST", ground.host_address},
                             {"CA", ground.ca_file},
                             {"RESUMPTION", demand.resumption ? "on" : "off"}});
  }

  [[nodiscard]] std::vector<std::string> command(const Files& files) const override {
    return {find_program("nginx"), "-p", files.folder, "-c", files.config, "-e", "stderr"};
  }
};

}  // namespace

std::unique_ptr<System> make_nginx() { return std::make_unique<Nginx>(); }

}  // namespace tlsmux::bench
