#include <algorithm>
#include <stdexcept>

#include "bench/systems/direct.hpp"
#include "bench/systems/haproxy.hpp"
#include "bench/systems/nginx.hpp"
#include "bench/systems/stunnel.hpp"
#include "bench/systems/system.hpp"
#include "bench/systems/tlsmux.hpp"
#include "bench/systems/wrapper.hpp"

namespace tlsmux::bench {

const std::vector<SystemKind>& system_kinds() {
  static const std::vector<SystemKind> kinds = {
      {.name = "tlsmux", .program = "", .make = make_tlsmux},
      {.name = "tlsmux_latency", .program = "", .make = make_tlsmux_latency, .only_in = "warm"},
      {.name = "tlsmux_unconfined", .program = "", .make = make_tlsmux_unconfined, .only_in = "confinement"},
      {.name = "tlsmux_other", .program = "", .make = make_tlsmux_other, .only_in = "confinement"},
      {.name = "openssl", .program = "", .make = make_direct_openssl},
      {.name = "mbedtls", .program = "", .make = make_direct_mbedtls},
      {.name = "stunnel", .program = "stunnel4", .make = make_stunnel},
      {.name = "haproxy", .program = "haproxy", .make = make_haproxy},
      {.name = "nginx", .program = "nginx", .make = make_nginx},
      {.name = "stream", .program = "", .make = make_stream, .only_in = "wrapper"},
      {.name = "wrapper", .program = "", .make = make_wrapper, .only_in = "wrapper"},
      {.name = "wrapper_leased", .program = "", .make = make_wrapper_leased, .only_in = "wrapper"},
  };
  return kinds;
}

const SystemKind& system_kind(const std::string& name) {
  const auto found = std::ranges::find(system_kinds(), name, &SystemKind::name);
  if (found == system_kinds().end()) throw std::runtime_error("there is no system " + name);
  return *found;
}

}  // namespace tlsmux::bench
