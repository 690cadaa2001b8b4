// The rules between settings.
#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

#include "config/check/config_check.hpp"
#include "config/limits.hpp"
#include "shm/geometry.hpp"
#include "tests/config/config_text.hpp"

namespace tlsmux::config::test {
namespace {

struct Broken {
  std::function<void(Config&)> change;
  std::string error;  // POINTER: message
};

UpstreamSettings& upstream(Config& config) { return config.upstreams[0]; }

const std::vector<Broken> kBroken = {
    // Names and references.
    {[](Config& config) {
       config.groups[1].name = "EBANKING";
       upstream(config).groups = {"EBANKING"};
     },
     "/groups/1/name: \"EBANKING\" is the name at /groups/0/name already; each needs its own"},
    {[](Config& config) { config.upstreams.push_back(config.upstreams[0]); },
     "/upstreams/1/name: \"acquirer\" is the name at /upstreams/0/name already; each needs its own"},
    {[](Config& config) { upstream(config).groups = {"EBANKNIG"}; },
     "/upstreams/0/groups/0: no group is named \"EBANKNIG\"; did you mean \"EBANKING\"?"},
    {[](Config& config) { upstream(config).groups = {"POS", "TRADING"}; },
     "/upstreams/0/groups/1: no group is named \"TRADING\"; give \"EBANKING\" or \"POS\""},
    {[](Config& config) { upstream(config).groups = {"POS", "POS"}; },
     "/upstreams/0/groups/1: \"POS\" stands in this list already; remove it"},
    {[](Config& config) { config.groups[0].users.clear(); },
     "/groups/0/users: nobody could use this group; name users here, or Unix groups in \"unix_groups\""},
    // Shards.
    {[](Config& config) { config.engine.cpus = {2, 3}; },
     "/engine/cpus: names 2 processors for 1 shards; give one for each, or none"},
    {[](Config& config) {
       config.engine.shards = 2;
       config.engine.cpus = {3, 3};
     },
     "/engine/cpus/1: 3 stands in this list already; each shard needs its own processor"},
    // Memory.
    {[](Config& config) { config.groups[0].memory.slots_per_channel = 3; },
     "/groups/0/memory/slots_per_channel: must be even, is 3; each request takes two slots, one for it and "
     "one for "
     "its answer"},
    {[](Config& config) {
       config.groups[0].memory = {
           .clients_max = 1, .channels_per_client = 64, .slots_per_channel = 4096, .slot_bytes = 4096};
     },
     "/groups/0/memory: a client would need 1208492032 bytes, the most is 1073741824; lower "
     "channels_per_client, "
     "slots_per_channel or slot_bytes"},
    // Framing.
    {[](Config& config) { upstream(config).framing.message_bytes_max = 8000; },
     "/upstreams/0/framing/message_bytes_max: is 8000, but a slot of group \"POS\" holds 4096 bytes; lower "
     "it, or "
     "raise /groups/1/memory/slot_bytes"},
    {[](Config& config) { upstream(config).framing.length_bytes = 1; },
     "/upstreams/0/framing/message_bytes_max: is 4096, but a length of 1 bytes (binary_be) reaches to 255 "
     "only; "
     "lower it, or give a longer length"},
    {[](Config& config) {
       upstream(config).framing = {.length_encoding = LengthEncoding::ascii,
                                   .length_bytes = 3,
                                   .length_includes_itself = true,
                                   .message_bytes_max = 997};
     },
     "/upstreams/0/framing/message_bytes_max: is 997, but a length of 3 bytes (ascii) that includes itself "
     "reaches "
     "to 996 only; lower it, or give a longer length"},
    // Correlation.
    {[](Config& config) { upstream(config).correlation.length = 0; },
     "/upstreams/0/correlation/length: must be between 1 and 64 where kind is \"bytes\", is 0 or missing"},
    {[](Config& config) { upstream(config).correlation.offset = 1019; },
     "/upstreams/0/correlation/offset: offset + length is 1025, but a key must end within the first 1024 "
     "bytes of a "
     "message"},
    {[](Config& config) { upstream(config).framing.message_bytes_max = 9; },
     "/upstreams/0/correlation/offset: offset + length is 10, but no message is longer than 9 bytes "
     "(/upstreams/0/framing/message_bytes_max)"},
    {[](Config& config) { upstream(config).correlation.mask = {0xff, 0xff}; },
     "/upstreams/0/correlation/mask: must hold as many bytes as the key, 6 (12 digits), holds 2"},
    {[](Config& config) { upstream(config).correlation.mask.assign(6, 0); },
     "/upstreams/0/correlation/mask: is all zero, so that all messages would have the same key"},
    {[](Config& config) {
       upstream(config).correlation = {.kind = CorrelationKind::fifo, .length = 6, .mask = {}, .iso8583 = {}};
     },
     "/upstreams/0/correlation/length: means nothing where kind is \"fifo\"; remove it, or set kind to "
     "\"bytes\""},
    // TLS.
    {[](Config& config) { upstream(config).tls.ca_file.clear(); },
     "/upstreams/0/tls/ca_file: is missing: to verify the host, give ca_file or ca_directory (on Debian, the "
     "public "
     "CAs are \"/etc/ssl/certs/ca-certificates.crt\"); or set verify_peer to false and trust anyone"},
    {[](Config& config) { upstream(config).tls.certificate_file = "/c"; },
     "/upstreams/0/tls/key_file: is missing: certificate_file needs its private key"},
    {[](Config& config) { upstream(config).tls.key_file = "/k"; },
     "/upstreams/0/tls/certificate_file: is missing: key_file needs its certificate"},
    {[](Config& config) {
       upstream(config).tls.version_min = TlsVersion::tls_1_3;
       upstream(config).tls.version_max = TlsVersion::tls_1_2;
     },
     "/upstreams/0/tls/version_min: is \"1.3\", higher than version_max, which is \"1.2\""},
    // The rest.
    {[](Config& config) { upstream(config).backoff = {.initial_ms = 10, .max_ms = 9}; },
     "/upstreams/0/backoff/initial_ms: must not be more than max_ms, which is 9, is 10"},
    {[](Config& config) {
       upstream(config).sessions = 64;
       for (int i = 1; i <= 16; ++i) {
         config.upstreams.push_back(config.upstreams[0]);
         config.upstreams.back().name += std::to_string(i);
       }
     },
     "/upstreams: all upstreams together ask for 1088 sessions, the most is 1024; lower \"sessions\" or "
     "\"sessions_max\" of some"},
    {[](Config& config) {
       upstream(config).sessions_max = 64;
       for (int i = 1; i <= 16; ++i) {
         config.upstreams.push_back(config.upstreams[0]);
         config.upstreams.back().name += std::to_string(i);
       }
     },
     "/upstreams: all upstreams together ask for 1088 sessions, the most is 1024; lower \"sessions\" or "
     "\"sessions_max\" of some"},
    {[](Config& config) { config.upstreams.clear(); },
     "/upstreams: are missing, and no group has ports: such an engine would be of no use; name a host"},
    // Values that no reader has seen.
    {[](Config& config) { upstream(config).timeouts.write_stall_ms = 0; },
     "/upstreams/0/timeouts/write_stall_ms: must be between 1 and 86400000, is 0"},
    {[](Config& config) { upstream(config).in_flight_max = 16385; },
     "/upstreams/0/in_flight_max: must be between 1 and 16384, is 16385"},
    {[](Config& config) { config.engine.control_socket = "relative"; },
     "/engine/control_socket: must be an absolute path, is \"relative\""},
    {[](Config& config) { upstream(config).endpoints.clear(); },
     "/upstreams/0/endpoints: must hold 1 to 16 entries, holds 0"},
    {[](Config& config) { config.groups[1].unix_groups = {""}; },
     "/groups/1/unix_groups/0: must be a Unix group's name or numeric gid, is empty"},
};

TEST_CASE("config.each broken rule has one error at its pointer") {
  CHECK(in_words(check(parsed(good_json()))).empty());
  for (const Broken& broken : kBroken) {
    CAPTURE(broken.error);
    Config config = parsed(good_json());
    broken.change(config);
    CHECK(in_words(check(config)) == "FILE: " + broken.error + "\n");
  }
}

TEST_CASE("config.settings at the edge of a rule are good") {
  const std::vector<std::function<void(Config&)>> changes = {
      [](Config& config) {
        upstream(config).framing = {.length_encoding = LengthEncoding::ascii,
                                    .length_bytes = 3,
                                    .length_includes_itself = true,
                                    .message_bytes_max = 996};
      },
      [](Config& config) {
        upstream(config).framing.length_bytes = 1;
        upstream(config).framing.message_bytes_max = 255;
      },
      [](Config& config) { upstream(config).framing.length_bytes = 8; },
      [](Config& config) { upstream(config).correlation.offset = 1018; },
      [](Config& config) { upstream(config).framing.message_bytes_max = 10; },
      [](Config& config) { upstream(config).backoff = {.initial_ms = 9, .max_ms = 9}; },
      [](Config& config) {
        upstream(config).tls.ca_file.clear();
        upstream(config).tls.verify_peer = false;
      },
      [](Config& config) {
        upstream(config).tls.ca_file.clear();
        upstream(config).tls.ca_directory = "/d";
      },
      [](Config& config) {
        upstream(config).tls.certificate_file = "/c";
        upstream(config).tls.key_file = "/k";
      },
      // Larger than a slot of POS, which may not use it.
      [](Config& config) {
        upstream(config).groups = {"EBANKING"};
        upstream(config).framing.message_bytes_max = 8192;
      },
  };
  for (const auto& change : changes) {
    Config config = parsed(good_json());
    change(config);
    CHECK(in_words(check(config)).empty());
  }
}

TEST_CASE("config.all broken rules are reported at once") {
  Config config = parsed(good_json());
  config.groups[0].users.clear();
  upstream(config).groups = {"NONE"};
  upstream(config).tls = {};
  upstream(config).backoff.max_ms = 0;
  const ConfigErrors errors = check(config);
  std::vector<std::string> pointers;
  for (const ConfigError& error : errors) pointers.push_back(error.pointer);
  CHECK(pointers == std::vector<std::string>{"/upstreams/0/backoff/max_ms", "/groups/0/users", "/upstreams/0/groups/0",
                                             "/upstreams/0/tls/ca_file"});
}

TEST_CASE("config.what follows from an earlier error is not reported again") {
  Config config = parsed(good_json());
  config.groups[1].name.clear();
  config.groups[0].memory.slot_bytes = 64;
  upstream(config).tls.ca_file.clear();
  const ConfigErrors earlier = {{.pointer = "/groups/1", .message = "x"},
                                {.pointer = "/groups/0/memory/slot_bytes", .message = "x"},
                                {.pointer = "/upstreams/0/tls/ca_file", .message = "x"}};
  CHECK(in_words(check(config, earlier)).empty());
  CHECK(check(config, std::span(earlier).first(2)).size() == 1);
}

TEST_CASE("config.memory settings that pass make a segment that shm can lay out") {
  Config config = parsed(good_json());
  upstream(config).groups = {"EBANKING"};
  std::uint32_t passed = 0;
  std::uint32_t refused = 0;
  for (const std::uint32_t channels : {1U, 2U, 63U, 64U}) {
    for (const std::uint32_t slots : {2U, 6U, 1026U, 2050U, 4096U}) {
      for (const std::uint32_t slot_bytes : {4096U, 4097U, 65535U, 262'144U, 1'048'575U, 1'048'576U}) {
        config.groups[0].memory = {
            .clients_max = 1, .channels_per_client = channels, .slots_per_channel = slots, .slot_bytes = slot_bytes};
        const bool good = check(config).empty();
        ++(good ? passed : refused);
        const shm::ClientGeometry geometry{channels, slots, slot_bytes};
        if (good) CHECK(geometry.valid());
      }
    }
  }
  CHECK(passed > 0);
  CHECK(refused > 0);
}

}  // namespace
}  // namespace tlsmux::config::test
