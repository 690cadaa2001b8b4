#include "tests/simulation/faults.hpp"

namespace tlsmux::simulation {
namespace {

struct FaultOf {
  Fault fault;
  std::string_view name;
  std::uint32_t permille_max;
  bool needs_real_tls = false;
};

constexpr std::array<FaultOf, kFaultCount> kFaults{{
    {Fault::partial_io, "partial_io", 1000},
    {Fault::connect_refused, "connect_refused", 300},
    {Fault::connect_hangs, "connect_hangs", 100},
    {Fault::reset, "reset", 30},
    {Fault::half_open, "half_open", 20},
    {Fault::small_window, "small_window", 500},
    {Fault::endpoint_goes, "endpoint_goes", 10},
    {Fault::lookup_fails, "lookup_fails", 300},
    {Fault::lookup_hangs, "lookup_hangs", 100},
    {Fault::handshake_refused, "handshake_refused", 300},
    {Fault::handshake_fails, "handshake_fails", 200},
    {Fault::handshake_hangs, "handshake_hangs", 100},
    {Fault::seal_fails, "seal_fails", 20},
    {Fault::bad_certificate, "bad_certificate", 200, true},
    {Fault::record_spoilt, "record_spoilt", 100, true},
    {Fault::key_update, "key_update", 500, true},
    {Fault::new_ticket, "new_ticket", 300, true},
    {Fault::silent, "silent", 200},
    {Fault::shuffled, "shuffled", 500},
    {Fault::duplicate, "duplicate", 50},
    {Fault::unsolicited, "unsolicited", 20},
    {Fault::garbage, "garbage", 20},
    {Fault::close, "close", 30},
    {Fault::stops_reading, "stops_reading", 30},
    {Fault::client_dies, "client_dies", 20},
    {Fault::client_leaves, "client_leaves", 20},
    {Fault::client_scribbles, "client_scribbles", 10},
    {Fault::duplicate_key, "duplicate_key", 200},
    {Fault::stream_dies, "stream_dies", 20},
    {Fault::stream_closes, "stream_closes", 20},
    {Fault::stream_stops_reading, "stream_stops_reading", 100},
    {Fault::engine_dies, "engine_dies", 4},
    {Fault::engine_dies_within, "engine_dies_within", 4},
    {Fault::memory_runs_out, "memory_runs_out", 8},
    {Fault::engine_drains, "engine_drains", 2},
    {Fault::upstream_drains, "upstream_drains", 3},
    {Fault::refresh, "refresh", 10},
    {Fault::upstream_removed, "upstream_removed", 2},
    {Fault::group_removed, "group_removed", 2},
    {Fault::clock_leaps, "clock_leaps", 5},
}};

}  // namespace

std::string_view name_of(Fault fault) { return kFaults[static_cast<std::size_t>(fault)].name; }

Faults Faults::some(Random& random, bool is_tls_real) {
  Faults faults;
  for (const auto& [fault, name, permille_max, needs_real_tls] : kFaults) {
    if (needs_real_tls && !is_tls_real) continue;
    // There are few worlds to see these.
    const bool strikes = needs_real_tls ? random.below(4) != 0 : random.below(2) == 0;
    if (strikes) faults[fault] = static_cast<std::uint32_t>(random.between(1, permille_max));
  }
  return faults;
}

}  // namespace tlsmux::simulation
