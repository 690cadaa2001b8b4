#include "config/check/check_upstream.hpp"

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/check/check_correlation.hpp"
#include "config/check/check_framing.hpp"
#include "config/check/check_iso8583.hpp"
#include "config/check/check_session_life.hpp"
#include "config/check/check_streams.hpp"
#include "config/check/check_tls.hpp"
#include "config/json/json_pointer.hpp"
#include "config/wording.hpp"

namespace tlsmux::config {
namespace {

std::string group_pointer(std::size_t index, std::string_view key) {
  return pointer_to(pointer_to("/groups", index), key);
}

void check_group_exists(const Config& config, const std::string& name, const std::string& pointer, Findings& findings) {
  std::vector<std::string_view> names;
  for (std::size_t i = 0; i < config.groups.size(); ++i) {
    const std::string& known = config.groups[i].name;
    if (known == name) return;
    if (known.empty()) return;  // reported there, and may be the one meant
    names.push_back(known);
  }
  if (!names.empty()) findings.add(pointer, "no group is named " + in_quotes(name) + "; " + suggestion(name, names));
}

void check_groups(const Config& config, const UpstreamSettings& upstream, const std::string& pointer,
                  Findings& findings) {
  for (std::size_t i = 0; i < upstream.groups.size(); ++i) {
    const std::string& name = upstream.groups[i];
    const std::string entry = pointer_to(pointer_to(pointer, "groups"), i);
    if (std::ranges::count(std::span(upstream.groups).first(i), name) > 0) {
      findings.add(entry, in_quotes(name) + " stands in this list already; remove it");
    } else {
      check_group_exists(config, name, entry, findings);
    }
  }
}

// A message lies in one slot of the client that sends or receives it.
void check_message_fits_slots(const Config& config, const UpstreamSettings& upstream, const std::string& pointer,
                              Findings& findings) {
  const std::uint32_t message_bytes_max = upstream.framing.message_bytes_max;
  for (std::size_t i = 0; i < config.groups.size(); ++i) {
    const GroupSettings& group = config.groups[i];
    if (std::ranges::find(upstream.groups, group.name) == upstream.groups.end()) continue;
    if (message_bytes_max <= group.memory.slot_bytes) continue;
    const std::string slot_bytes = pointer_to(group_pointer(i, "memory"), "slot_bytes");
    findings.add(pointer,
                 "is " + std::to_string(message_bytes_max) + ", but a slot of group " + in_quotes(group.name) +
                     " holds " + std::to_string(group.memory.slot_bytes) + " bytes; lower it, or raise " + slot_bytes,
                 {slot_bytes, group_pointer(i, "name")});
  }
}

}  // namespace

void check_upstream(const Config& config, std::size_t index, Findings& findings) {
  const UpstreamSettings& upstream = config.upstreams[index];
  const std::string pointer = pointer_to("/upstreams", index);
  const std::string framing = pointer_to(pointer, "framing");
  check_groups(config, upstream, pointer, findings);
  if (cuts_messages(upstream.framing.kind)) {
    check_message_fits_slots(config, upstream, pointer_to(framing, "message_bytes_max"), findings);
    check_framing(upstream.framing, framing, findings);
    check_private_copies(config.engine, upstream.framing, framing, findings);
    check_correlation(upstream, pointer, findings);
    check_iso8583(upstream, pointer, findings);
    check_requests(upstream, pointer, findings);
  }
  check_tls(upstream.tls, pointer_to(pointer, "tls"), findings);
  check_session_life(upstream, pointer, findings);
  check_streams(upstream, pointer, findings);
}

}  // namespace tlsmux::config
