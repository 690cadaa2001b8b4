// What the reader makes of each kind of value, right and wrong.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "config/config_json.hpp"
#include "tests/config/config_text.hpp"

namespace tlsmux::config::test {
namespace {

struct BadValue {
  std::string pointer;
  std::string value;
  std::string error;  // POINTER: message
};

const std::vector<BadValue> kBadValues = {
    // Numbers.
    {"/upstreams/0/timeouts/connect_ms", "0", "/upstreams/0/timeouts/connect_ms: must be between 1 and 86400000, is 0"},
    {"/upstreams/0/timeouts/connect_ms", "86400001",
     "/upstreams/0/timeouts/connect_ms: must be between 1 and 86400000, is 86400001"},
    {"/upstreams/0/timeouts/connect_ms", "-1",
     "/upstreams/0/timeouts/connect_ms: must be a whole number between 1 and 86400000, is -1"},
    {"/upstreams/0/timeouts/connect_ms", "1.5",
     "/upstreams/0/timeouts/connect_ms: must be a whole number between 1 and 86400000, is 1.5"},
    {"/upstreams/0/timeouts/connect_ms", "\"5000\"",
     "/upstreams/0/timeouts/connect_ms: must be a whole number between 1 and 86400000 (without quotes), is "
     "the text "
     "\"5000\""},
    {"/upstreams/0/sessions", "4294967298", "/upstreams/0/sessions: must be between 0 and 64, is 4294967298"},
    {"/upstreams/0/sessions", "18446744073709551615",
     "/upstreams/0/sessions: must be between 0 and 64, is 18446744073709551615"},
    {"/upstreams/0/sessions", "18446744073709551617",
     "/upstreams/0/sessions: must be a whole number between 0 and 64, is 1.8446744073709552e+19"},
    {"/upstreams/0/sessions", "null", "/upstreams/0/sessions: must be a whole number between 0 and 64, is null"},
    {"/upstreams/0/sessions", "[1]", "/upstreams/0/sessions: must be a whole number between 0 and 64, is a list"},
    {"/upstreams/0/endpoints/0/port", "65536", "/upstreams/0/endpoints/0/port: must be between 1 and 65535, is 65536"},
    // Words, flags.
    {"/engine/log/level", "\"loud\"",
     "/engine/log/level: must be \"debug\", \"info\", \"warning\" or \"error\", is \"loud\""},
    {"/engine/log/level", "3", "/engine/log/level: must be \"debug\", \"info\", \"warning\" or \"error\", is 3"},
    {"/upstreams/0/tls/version_min", "1.2", "/upstreams/0/tls/version_min: must be \"1.2\" or \"1.3\", is 1.2"},
    {"/upstreams/0/tls/verify_peer", "\"no\"",
     "/upstreams/0/tls/verify_peer: must be true or false, without quotes, is the text \"no\""},
    {"/upstreams/0/tls/verify_peer", "1", "/upstreams/0/tls/verify_peer: must be true or false, without quotes, is 1"},
    // Texts.
    {"/groups/0/name", "\"E BANKING\"",
     "/groups/0/name: must be a name of 1 to 63 letters, digits, \"_\", \".\" and \"-\", is \"E BANKING\""},
    {"/groups/0/name", "\"a/b\"",
     "/groups/0/name: must be a name of 1 to 63 letters, digits, \"_\", \".\" and \"-\", is \"a/b\""},
    {"/groups/0/name", "\"\"",
     "/groups/0/name: must be a name of 1 to 63 letters, digits, \"_\", \".\" and \"-\", is empty"},
    {"/groups/0/users/0", "1000", "/groups/0/users/0: must be a user's name or numeric uid in quotes, is 1000"},
    {"/groups/0/users", "\"ebanking\"", "/groups/0/users: must be a list [ ... ], is the text \"ebanking\""},
    {"/engine/control_socket", "\"control.sock\"",
     "/engine/control_socket: must be an absolute path, is \"control.sock\""},
    {"/engine/control_socket", "\"\"", "/engine/control_socket: must be an absolute path, is empty"},
    {"/engine/control_socket", "\"/" + std::string(107, 's') + "\"",
     "/engine/control_socket: must be at most 107 bytes long, is 108"},
    {"/upstreams/0/tls/ca_file", "\"ca.pem\"", "/upstreams/0/tls/ca_file: must be an absolute path, is \"ca.pem\""},
    {"/upstreams/0/tls/ca_file", "\"/etc/ca\\u0000.pem\"",
     "/upstreams/0/tls/ca_file: must not hold control characters, is \"/etc/ca\\u0000.pem\""},
    {"/upstreams/0/tls/key_file", "false", "/upstreams/0/tls/key_file: must be an absolute path in quotes, is false"},
    {"/upstreams/0/endpoints/0/host", "\"host:443\"",
     "/upstreams/0/endpoints/0/host: must be a host name or address without a port, is \"host:443\"; the "
     "port has its "
     "own key"},
    {"/upstreams/0/endpoints/0/host", "\"[::1]\"",
     "/upstreams/0/endpoints/0/host: must be written without brackets here, is \"[::1]\""},
    {"/upstreams/0/tls/server_name", "\"https://x\"",
     "/upstreams/0/tls/server_name: must be a host name or address, is \"https://x\""},
    // Runs of bytes.
    {"/upstreams/0/correlation/mask", "\"ff0\"",
     "/upstreams/0/correlation/mask: must be two hexadecimal digits for each byte, is 3 digits long"},
    {"/upstreams/0/correlation/mask", "\"ffx0\"",
     "/upstreams/0/correlation/mask: must be hexadecimal digits, two for each byte; character 3 is none"},
    {"/upstreams/0/correlation/mask", "\"" + std::string(130, 'f') + "\"",
     "/upstreams/0/correlation/mask: must hold 0 to 64 bytes, holds 65"},
    {"/upstreams/0/correlation/mask", "255",
     "/upstreams/0/correlation/mask: must be hexadecimal digits in quotes, is 255"},
    // Signed numbers, lists of numbers.
    {"/upstreams/0/framing/length_adjust", "-1025",
     "/upstreams/0/framing/length_adjust: must be between -1024 and 1024, is -1025"},
    {"/upstreams/0/framing/length_adjust", "18446744073709551615",
     "/upstreams/0/framing/length_adjust: must be a whole number between -1024 and 1024, is 18446744073709551615"},
    {"/upstreams/0/framing/length_adjust", "\"1\"",
     "/upstreams/0/framing/length_adjust: must be a whole number between -1024 and 1024 (without quotes), is the "
     "text "
     "\"1\""},
    {"/upstreams/0/correlation/iso8583", "{\"key_fields\": []}",
     "/upstreams/0/correlation/iso8583/key_fields: must hold 1 to 16 numbers, holds 0"},
    {"/upstreams/0/correlation/iso8583", "{\"key_fields\": [11, 1]}",
     "/upstreams/0/correlation/iso8583/key_fields/1: must be between 2 and 192, is 1"},
    {"/upstreams/0/correlation/iso8583", "{\"key_fields\": [\"11\"]}",
     "/upstreams/0/correlation/iso8583/key_fields/0: must be a whole number between 2 and 192, is the text \"11\""},
    {"/upstreams/0/correlation/iso8583", "{\"key_rules\": [{}]}",
     "/upstreams/0/correlation/iso8583/key_rules/0/fields: is missing, and has no default"},
    // Values of fields.
    {"/upstreams/0/heartbeat", R"({"message": {"fields": {"70": 301}}})",
     "/upstreams/0/heartbeat/message/fields/70: must be a text in quotes, is 301"},
    {"/upstreams/0/heartbeat", R"({"message": {"fields": {"070": "301"}}})",
     "/upstreams/0/heartbeat/message/fields/070: unknown key; give a field's number, \"2\" to \"192\""},
    {"/upstreams/0/heartbeat", R"({"message": {"fields": {"193": "301"}}})",
     "/upstreams/0/heartbeat/message/fields/193: unknown key; give a field's number, \"2\" to \"192\""},
    {"/upstreams/0/heartbeat", R"({"message": {"fields": []}})",
     "/upstreams/0/heartbeat/message/fields: must be an object of field numbers with their texts, as in { \"70\": "
     "\"001\" }, is a list"},
    {"/upstreams/0/heartbeat", R"({"message": {"fields": {"48": "\u00e9"}}})",
     "/upstreams/0/heartbeat/message/fields/48: must be printable ASCII, is \"\u00e9\"; bytes of binary fields are "
     "written as hexadecimal digits"},
    // Texts of further kinds.
    {"/upstreams/0/heartbeat", R"({"message": {"mti": "800"}})",
     "/upstreams/0/heartbeat/message/mti: must be an MTI, four digits, is \"800\""},
    {"/upstreams/0/tls/pins", R"(["sha256/abc="])",
     "/upstreams/0/tls/pins/0: must be \"sha256/\" and the SHA-256 of the host's public key in base64 (44 characters), "
     "is \"sha256/abc=\""},
    {"/upstreams/0/correlation/iso8583", R"({"mti_map": ["0123456789", "012345678", "0123456789"]})",
     "/upstreams/0/correlation/iso8583/mti_map/1: must be ten digits: what 0, 1 and so on to 9 count as, is "
     "\"012345678\""},
    {"/upstreams/0/correlation/iso8583", R"({"spec": "specs/own.json"})",
     "/upstreams/0/correlation/iso8583/spec: must be the name of a specification, or an absolute path, is "
     "\"specs/own.json\""},
    // Objects and lists.
    {"/engine", "[]", "/engine: must be an object { ... }, is a list"},
    {"/upstreams", "{}", "/upstreams: must be a list [ ... ], is an object"},
    {"/upstreams/0/groups", "[]", "/upstreams/0/groups: must hold 1 to 64 texts, holds 0"},
    {"/upstreams/0/endpoints/0", "443",
     "/upstreams/0/endpoints/0: must be \"host:port\", \"address:port\" or \"[IPv6 address]:port\" or an "
     "object { ... "
     "}, is 443"},
    {"/upstreams/0/framing", "\"length17\"",
     "/upstreams/0/framing: unknown framing \"length17\"; did you mean \"length16\"?"},
    {"/upstreams/0/framing", "{\"preset\": 16}", "/upstreams/0/framing/preset: must be the name of a framing, is 16"},
    // Unknown keys.
    {"/engine/worker_thread", "4", "/engine/worker_thread: unknown key; did you mean \"worker_threads\"?"},
    {"/engine/wroker_threads", "4", "/engine/wroker_threads: unknown key; did you mean \"worker_threads\"?"},
    {"/upstreams/0/backoff/quickly", "4",
     "/upstreams/0/backoff/quickly: unknown key; give \"initial_ms\", \"max_ms\" or \"jitter_percent\""},
    {"/listeners", "[]", "/listeners: unknown key; give \"engine\", \"groups\", \"upstreams\" or \"ssl_wrapper\""},
    {"/engine/a~1b~0c", "1",
     "/engine/a~1b~0c: unknown key; give \"control_socket\", \"state_directory\", \"user\", \"shards\", "
     "\"cpus\", \"idle_strategy\", \"worker_threads\", \"in_flight_max\", "
     "\"drain_timeout_ms\", \"port_sweep_ms\", \"port_guard\", \"confinement\" or \"log\""},
};

TEST_CASE("config.each wrong value has one error that says what would be right") {
  for (const BadValue& bad : kBadValues) {
    CAPTURE(bad.pointer);
    CAPTURE(bad.value);
    const auto config = parse(with(bad.pointer, bad.value).dump());
    REQUIRE(!config.has_value());
    CHECK(in_words(config.error()) == "FILE: " + bad.error + "\n");
  }
}

TEST_CASE("config.keys without a default must be there") {
  for (const std::string pointer :
       {"/groups", "/groups/0/name", "/upstreams/0/name", "/upstreams/0/groups", "/upstreams/0/endpoints",
        "/upstreams/0/endpoints/0/host", "/upstreams/0/endpoints/0/port"}) {
    const auto config = parse(without(pointer).dump());
    REQUIRE(!config.has_value());
    CHECK(in_words(config.error()) == "FILE: " + pointer + ": is missing, and has no default\n");
  }
}

TEST_CASE("config.all errors are reported at once") {
  const auto config = parse(R"({
    "engine": {"worker_threads": 0, "usr": "x", "log": {"level": "all"}},
    "groups": [{"name": "A"}, "B", {"name": 3}],
    "upstreams": [{"endpoints": ["nowhere"], "sessions": "2", "tls": {"verify": true}}]
  })");
  REQUIRE(!config.has_value());
  CHECK(in_words(config.error()) ==
        "FILE: /engine/worker_threads: must be between 1 and 64, is 0\n"
        "FILE: /engine/log/level: must be \"debug\", \"info\", \"warning\" or \"error\", is \"all\"\n"
        "FILE: /engine/usr: unknown key; did you mean \"user\"?\n"
        "FILE: /groups/1: must be an object { ... }, is the text \"B\"\n"
        "FILE: /groups/2/name: must be a name of 1 to 63 letters, digits, \"_\", \".\" and \"-\" in quotes, "
        "is 3\n"
        "FILE: /upstreams/0/name: is missing, and has no default\n"
        "FILE: /upstreams/0/groups: is missing, and has no default\n"
        "FILE: /upstreams/0/endpoints/0: must be \"host:port\", \"address:port\" or \"[IPv6 address]:port\", "
        "is "
        "\"nowhere\", which has no port\n"
        "FILE: /upstreams/0/sessions: must be a whole number between 0 and 64 (without quotes), is the text "
        "\"2\"\n"
        "FILE: /upstreams/0/tls/verify: unknown key; give \"verify_peer\", \"server_name\", \"ca_file\", "
        "\"ca_directory\", \"certificate_file\", \"key_file\", \"passphrase_file\", \"crl_file\", \"pins\", \"alpn\", "
        "\"suites\", \"groups\", \"key_log_file\", \"version_min\" or \"version_max\"\n");
}

TEST_CASE("config.what is written arrives in its field") {
  const Config config = parsed(nlohmann::json::parse(R"({
    "$schema": "tlsmux.schema.json",
    "engine": {"control_socket": "/s", "user": "u", "shards": 2, "cpus": [1, 0],
               "idle_strategy": "power", "worker_threads": 3, "in_flight_max": 4, "drain_timeout_ms": 5,
               "confinement": "off", "log": {"level": "debug", "file": "/l"}},
    "groups": [{"name": "G", "users": ["a", "1"], "unix_groups": ["b"],
                "memory": {"clients_max": 6, "channels_per_client": 7, "slots_per_channel": 8, "slot_bytes": 99,
                           "wipe_slots": true}}],
    "upstreams": [{"name": "U", "groups": ["G"], "endpoints": [{"host": "::1", "port": 9}, "h:10"], "sessions": 11,
      "in_flight_max": 12, "queue_max": 13,
      "tls": {"verify_peer": false, "server_name": "n", "ca_file": "/a", "ca_directory": "/b",
              "certificate_file": "/c", "key_file": "/d", "version_min": "1.3", "version_max": "1.2"},
      "framing": {"length_encoding": "ascii", "length_bytes": 3, "length_includes_itself": true,
                  "message_bytes_max": 14},
      "correlation": {"kind": "bytes", "offset": 15, "length": 2, "mask": "0fF0"},
      "timeouts": {"connect_ms": 16, "handshake_ms": 17, "request_ms": 18, "late_answer_ms": 19, "write_stall_ms": 20},
      "backoff": {"initial_ms": 21, "max_ms": 22, "jitter_percent": 23}}]
  })"));
  const EngineSettings& engine = config.engine;
  CHECK(engine.control_socket == "/s");
  CHECK(engine.user == "u");
  CHECK(engine.shards == 2);
  CHECK(engine.cpus == std::vector<std::uint32_t>{1, 0});
  CHECK(engine.idle_strategy == IdleStrategy::power);
  CHECK(engine.worker_threads == 3);
  CHECK(engine.in_flight_max == 4);
  CHECK(engine.drain_timeout_ms == 5);
  CHECK(engine.confinement == Confinement::off);
  CHECK(engine.log.level == LogLevel::debug);
  CHECK(engine.log.file == "/l");
  REQUIRE(config.groups.size() == 1);
  const GroupSettings& group = config.groups[0];
  CHECK(group.name == "G");
  CHECK(group.users == std::vector<std::string>{"a", "1"});
  CHECK(group.unix_groups == std::vector<std::string>{"b"});
  CHECK(group.memory.clients_max == 6);
  CHECK(group.memory.channels_per_client == 7);
  CHECK(group.memory.slots_per_channel == 8);
  CHECK(group.memory.slot_bytes == 99);
  CHECK(group.memory.wipe_slots);
  REQUIRE(config.upstreams.size() == 1);
  const UpstreamSettings& upstream = config.upstreams[0];
  CHECK(upstream.name == "U");
  CHECK(upstream.groups == std::vector<std::string>{"G"});
  REQUIRE(upstream.endpoints.size() == 2);
  CHECK(upstream.endpoints[0].host == "::1");
  CHECK(upstream.endpoints[0].port == 9);
  CHECK(upstream.endpoints[1].host == "h");
  CHECK(upstream.endpoints[1].port == 10);
  CHECK(upstream.sessions == 11);
  CHECK(upstream.in_flight_max == 12);
  CHECK(upstream.queue_max == 13);
  CHECK(upstream.tls.verify_peer == false);
  CHECK(upstream.tls.server_name == "n");
  CHECK(upstream.tls.ca_file == "/a");
  CHECK(upstream.tls.ca_directory == "/b");
  CHECK(upstream.tls.certificate_file == "/c");
  CHECK(upstream.tls.key_file == "/d");
  CHECK(upstream.tls.version_min == TlsVersion::tls_1_3);
  CHECK(upstream.tls.version_max == TlsVersion::tls_1_2);
  CHECK(upstream.framing.length_encoding == LengthEncoding::ascii);
  CHECK(upstream.framing.length_bytes == 3);
  CHECK(upstream.framing.length_includes_itself == true);
  CHECK(upstream.framing.message_bytes_max == 14);
  CHECK(upstream.correlation.kind == CorrelationKind::bytes);
  CHECK(upstream.correlation.offset == 15);
  CHECK(upstream.correlation.length == 2);
  CHECK(upstream.correlation.mask == std::vector<std::uint8_t>{0x0f, 0xf0});
  CHECK(upstream.timeouts.connect_ms == 16);
  CHECK(upstream.timeouts.handshake_ms == 17);
  CHECK(upstream.timeouts.request_ms == 18);
  CHECK(upstream.timeouts.late_answer_ms == 19);
  CHECK(upstream.timeouts.write_stall_ms == 20);
  CHECK(upstream.backoff.initial_ms == 21);
  CHECK(upstream.backoff.max_ms == 22);
  CHECK(upstream.backoff.jitter_percent == 23);
}

TEST_CASE("config.what could not be read keeps its default and its place in lists") {
  const auto partial = parse_partially(R"({
    "groups": [7, {"name": "B", "memory": {"slot_bytes": 1}}], "upstreams": []})");
  REQUIRE(partial.has_value());
  REQUIRE(partial->config.groups.size() == 2);
  CHECK(partial->config.groups[1].name == "B");
  CHECK(partial->config.groups[1].memory.slot_bytes == MemorySettings{}.slot_bytes);
}

}  // namespace
}  // namespace tlsmux::config::test
