#include "tests/simulation/faults.hpp"

namespace tlsmux::simulation {

Faults Faults::some(Random& random) {
  Faults faults;
  const auto maybe = [&](std::uint32_t& fault, std::uint32_t most) {
    if (random.below(2) == 0) fault = static_cast<std::uint32_t>(random.between(1, most));
  };
  maybe(faults.partial_io, 1000);
  maybe(faults.connect_refused, 300);
  maybe(faults.connect_hangs, 100);
  maybe(faults.reset, 30);
  maybe(faults.small_window, 500);
  maybe(faults.endpoint_goes, 10);
  maybe(faults.lookup_fails, 300);
  maybe(faults.lookup_hangs, 100);
  maybe(faults.handshake_refused, 300);
  maybe(faults.handshake_fails, 200);
  maybe(faults.handshake_hangs, 100);
  maybe(faults.seal_fails, 20);
  maybe(faults.silent, 200);
  maybe(faults.shuffled, 500);
  maybe(faults.duplicate, 50);
  maybe(faults.unsolicited, 20);
  maybe(faults.garbage, 20);
  maybe(faults.close, 30);
  maybe(faults.stops_reading, 30);
  maybe(faults.client_dies, 20);
  maybe(faults.client_leaves, 20);
  maybe(faults.client_scribbles, 10);
  maybe(faults.duplicate_key, 200);
  maybe(faults.stream_dies, 20);
  maybe(faults.stream_closes, 20);
  maybe(faults.stream_stops_reading, 100);
  maybe(faults.engine_dies, 4);
  maybe(faults.engine_dies_within, 4);
  maybe(faults.engine_drains, 2);
  maybe(faults.upstream_drains, 3);
  maybe(faults.refresh, 10);
  maybe(faults.upstream_removed, 2);
  return faults;
}

}  // namespace tlsmux::simulation
