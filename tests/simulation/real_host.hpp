#pragma once

// The hosts of a world with real TLS: OpenSSL, so that two implementations face each other. How each host has its TLS,
// and how each of its connections goes, follows from the seed.
//
// The world must not depend on keys, which are random. What does is no length and no order: keys and signatures are
// RSA's, whose length is fixed (ECDSA's is not), tickets of TLS 1.3 are numbers of 32 bytes (what OpenSSL else puts into
// them has a random number of varying length).

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/simulation/context.hpp"
#include "tests/simulation/host_tls.hpp"

namespace tlsmux::test {
class OpenSslHost;
}

namespace tlsmux::simulation {

// Of the authority by which the hosts are known.
std::string real_authority_pem();

class RealHosts {
 public:
  explicit RealHosts(Context& context);
  ~RealHosts();
  RealHosts(const RealHosts&) = delete;
  RealHosts& operator=(const RealHosts&) = delete;

  std::unique_ptr<HostTls> accept(std::uint32_t upstream, Manner manner);

 private:
  Context& context_;
  std::vector<std::unique_ptr<test::OpenSslHost>> hosts_;  // by upstream
};

}  // namespace tlsmux::simulation
