// A program under libtlsmux_ssl.so and libtlsmux_ports.so at once.

#include <cstdlib>
#include <optional>

#include <doctest/doctest.h>

#include "tests/host/host_process.hpp"
#include "tests/programs/https_host.hpp"
#include "tests/programs/program_scene.hpp"
#include "tests/system/eventually.hpp"
#include "tests/system/port_scene.hpp"
#include "tests/system/preloaded_program.hpp"

namespace tlsmux::test {
namespace {

const std::string kPython = "/usr/bin/python3";

// In the scene's network, with one session of the engine's, which a rule leads to.
class SharedHost {
 public:
  SharedHost(PortScene& scene, const std::string& name, const config::SslWrapperRule& rule) {
    scene.network().in_thread([&] { host_.emplace(TLS1_3_VERSION); });
    auto upstream = scene.config.upstreams[0];
    upstream.name = name;
    upstream.endpoints[0].port = host_->port();
    upstream.framing = {.kind = config::FramingKind::http1};
    upstream.streams.kind = config::StreamKind::leased;
    upstream.streams.idle_max_ms = 0;
    scene.config.upstreams.push_back(upstream);
    scene.config.ssl_wrapper.rules.push_back(rule);
    scene.config.ssl_wrapper.rules.back().port = host_->port();
    scene.config.ssl_wrapper.rules.back().upstream = name;
  }

  [[nodiscard]] const HttpsHost& host() const { return *host_; }

 private:
  std::optional<HttpsHost> host_;
};

std::size_t number_in(PreloadedProgram& program, const std::string& text) {
  const auto line = program.line_with(text);
  return static_cast<std::size_t>(std::atoi(line.c_str() + line.rfind(' ')));
}

bool is_of_first(std::size_t port) { return kFirstRange.from <= port && port <= kFirstRange.to; }

}  // namespace

TEST_CASE("wrapper.a program under both libraries has the group's ports and the pool's sessions") {
  if (skip_without_network_namespaces() || skip_without(kPython, "python3")) return;
  PortScene scene;
  config::SslWrapperRule by_address;
  by_address.address = "127.0.0.1";
  config::SslWrapperRule by_name;
  by_name.name = "localhost";
  const SharedHost first(scene, "by-address", by_address);
  const SharedHost second(scene, "by-name", by_name);
  const auto refreshed = scene.refresh();
  REQUIRE_MESSAGE(refreshed.exit_code == 0, refreshed.text);
  scene.engine().await_sessions(2);
  const auto ssl = copy_into(scene, TLSMUX_SSL_LIBRARY);
  const auto ports = copy_into(scene, TLSMUX_PORTS_LIBRARY);
  const auto script = copy_into(scene, client("both_libraries.py"));
  const auto authority = copy_into(scene, host::certificate_file("ca.pem"));
  for (const auto& preload : {ssl + ":" + ports, ports + ":" + ssl}) {
    CAPTURE(preload);
    for (const auto* const shared : {&first, &second}) {
      CAPTURE(shared == &first);
      PreloadedProgram program(scene,
                               {kPython, script, shared == &first ? "127.0.0.1" : "localhost",
                                std::to_string(shared->host().port()), authority},
                               {"LD_PRELOAD=" + preload, "TLSMUX_SOURCE_PORTS=1"});
      const auto listening = number_in(program, "listening at port");
      const auto source = number_in(program, "connected from port");
      CHECK(is_of_first(listening));
      CHECK(is_of_first(source));
      CHECK(listening != source);
      CHECK(number_in(program, "page of bytes") == HttpsHost::page("/first").size());
      CHECK(program.wait() == 0);
    }
  }
  CHECK(first.host().handshakes() == 1);
  CHECK(second.host().handshakes() == 1);
  scene.stop();
}

}  // namespace tlsmux::test
