#pragma once

#include <string>

namespace tlsmux::bench {

// Under which a run was made, for the head of the report.
struct Conditions {
  std::string machine;  // processors and kernel
  std::string peers;    // versions
  std::string effort;   // how much was measured
};

// "2 processors, AMD EPYC, Linux 6.1.0"
std::string machine_text(unsigned processors);

// The versions of OpenSSL and of the sidecars, as far as they are installed.
std::string peers_text();

}  // namespace tlsmux::bench
