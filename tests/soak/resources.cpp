#include "tests/soak/report.hpp"

namespace tlsmux::soak {

// Memory may waver by what an allocator keeps at hand; the rest is counted, and one session more or less in the moment of
// looking is no leak.
const std::vector<Resource>& resources() {
  static const std::vector<Resource> kResources = {
      {"engine resident kB", [](const QuietPoint& at) { return double(at.engine.resident_kb); }, 512, false},
      {"engine anonymous kB", [](const QuietPoint& at) { return double(at.engine.anonymous_kb); }, 512, false},
      {"engine locked kB", [](const QuietPoint& at) { return double(at.engine.locked_kb); }, 64, false},
      {"engine descriptors", [](const QuietPoint& at) { return double(at.engine.descriptors); }, 2, false},
      {"engine threads", [](const QuietPoint& at) { return double(at.engine.threads); }, 1, false},
      {"engine mappings", [](const QuietPoint& at) { return double(at.engine.mappings); }, 8, false},
      {"broker resident kB", [](const QuietPoint& at) { return double(at.broker.resident_kb); }, 256, true},
      {"broker descriptors", [](const QuietPoint& at) { return double(at.broker.descriptors); }, 2, true},
      {"residents anonymous kB", [](const QuietPoint& at) { return double(at.residents.anonymous_kb); }, 512, true},
      {"residents descriptors", [](const QuietPoint& at) { return double(at.residents.descriptors); }, 2, true},
      {"residents mappings", [](const QuietPoint& at) { return double(at.residents.mappings); }, 8, true},
      {"slots held", [](const QuietPoint& at) { return double(at.held.slots); }, 0, false},
      {"ports held", [](const QuietPoint& at) { return double(at.held.ports); }, 0, false},
      {"ports leased", [](const QuietPoint& at) { return double(at.held.ports_leased); }, 4, false},
      {"clients", [](const QuietPoint& at) { return double(at.held.clients); }, 1, false},
      {"channels", [](const QuietPoint& at) { return double(at.held.channels); }, 1, false},
      {"streams", [](const QuietPoint& at) { return double(at.held.streams); }, 0, false},
      {"sessions", [](const QuietPoint& at) { return double(at.held.sessions); }, 2, false},
  };
  return kResources;
}

}  // namespace tlsmux::soak
