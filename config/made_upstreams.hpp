#pragma once

// Upstreams that a running engine makes by itself, for rules of ssl_wrapper with `create`. Pure.
//
// Such an upstream is what its name, its rule and the rule's model say, and nothing else: "HOST:PORT" has the settings of
// the model, with HOST and PORT as its endpoint and HOST as its server name. No colon is allowed in the name of any other.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.hpp"
#include "config/plan.hpp"

namespace tlsmux::config {

// A program's server name as a host that may be connected to: lower case, without a final dot. Nothing: it is no host name
// (RFC 952, RFC 1123 section 2.1, and underscores), or the system's resolver would take it for an address.
std::optional<std::string> host_of_server_name(std::string_view server_name);

// Nothing: it is too long for the name of an upstream.
std::optional<std::string> name_of_made(std::string_view host, std::uint16_t port);

inline bool is_made(const UpstreamSettings& upstream) { return upstream.name.contains(':'); }

// `host` and `port` as above.
UpstreamSettings made_upstream(const UpstreamSettings& model, const std::string& host, std::uint16_t port);

// That a rule leads to; null: there is none.
const UpstreamSettings* model_of(const Config& config, const SslWrapperRule& rule);
// Of an upstream that has been made, by the rule that its name fits now; null: that rule, or its model, has gone.
const UpstreamSettings* model_of(const Config& config, const UpstreamSettings& made);

// `to` with those that have been made under `from`, and still may be: as their models are now, at the end, in their order.
// The last ones beyond created_max may not.
Config with_made(const Config& from, Config to);

// Where the configuration file has the settings of the upstream at `place` of with_made(): there, or where its model is.
std::size_t place_in_file(const Config& with_made, std::size_t place);
// Changes from one configuration to with_made() that are about what was made point into the file, too; but for what was removed.
void point_into_file(const Config& with_made, std::vector<Change>& changes);

// What all of them together may need, beyond what there is.
struct MadeRoom {
  std::uint32_t upstreams = 0;
  std::uint32_t session_places = 0;  // of the largest
  std::uint32_t streams = 0;         // of the one with the most
};
MadeRoom room_for_made(const Config& config);
// For one of so many shards, among which they are dealt out in turn.
inline std::uint32_t share_of_made(const MadeRoom& room, std::uint32_t shards) {
  return (room.upstreams + shards - 1) / shards;
}

}  // namespace tlsmux::config
