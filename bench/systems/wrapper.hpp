#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bench/systems/engine_process.hpp"
#include "bench/systems/system.hpp"

namespace tlsmux::bench {

// What a shared connection leads to.
enum class SharedKind : std::uint8_t {
  messages,  // frames, among everybody's
  leased,    // frames, on a session for itself
  http1,     // HTTP/1.1, on a session for itself
};

// How a connection becomes a shared one.
enum class SharedBy : std::uint8_t {
  address,  // connect is redirected
  name,     // decided at the handshake, by the server name "localhost"
  no_rule,  // there is a rule, but it does not fit
};

// An engine for programs that are started under libtlsmux_ssl.so.
class WrapperEngine {
 public:
  // Throws std::runtime_error.
  void start(const Ground& ground, const Demand& demand, SharedKind kind, SharedBy by);

  // "ADDRESS:PORT" that programs are to connect to.
  [[nodiscard]] const std::string& target() const { return target_; }
  // Of programs under the wrapper, as NAME=VALUE.
  [[nodiscard]] const std::vector<std::string>& environment() const { return environment_; }
  // Of programs that use libtlsmux; the upstream is "host".
  [[nodiscard]] std::vector<std::string> library_environment() const { return engine_.environment(); }
  [[nodiscard]] std::vector<pid_t> processes() const { return engine_.processes(); }

 private:
  EngineProcess engine_;
  std::string target_;
  std::vector<std::string> environment_;
};

// The value of LD_PRELOAD, as NAME=VALUE.
std::string wrapper_preload(const Ground& ground);

// Clients that keep their connection: tmx_stream on a message upstream, and the client of make_direct_openssl under the wrapper.
std::unique_ptr<System> make_stream();
std::unique_ptr<System> make_wrapper();
std::unique_ptr<System> make_wrapper_leased();

}  // namespace tlsmux::bench
