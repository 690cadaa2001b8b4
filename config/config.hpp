#pragma once

// The settings of an engine as plain values. `config_json` fills them, `config_check` judges them; everybody
// else only reads. A default here is the default of the JSON key with the same name.

#include <cstdint>
#include <string>
#include <vector>

namespace tlsmux::config {

enum class LogLevel : std::uint8_t { debug, info, warning, error };

struct LogSettings {
  LogLevel level = LogLevel::info;
  std::string file;  // empty: standard error
};

struct EngineSettings {
  std::string control_socket = "/run/tlsmux/control.sock";
  std::string user;                         // the engine runs as this user; empty: as whoever starts tlsmuxd
  std::uint32_t worker_threads = 2;         // for handshakes
  std::uint32_t in_flight_max = 16384;      // requests held by the engine, over all clients
  std::uint32_t drain_timeout_ms = 10'000;  // how long SIGTERM waits for open requests
  LogSettings log;
};

// What one client of the group gets is channels_per_client x slots_per_channel x slot_bytes, plus rings.
struct MemorySettings {
  std::uint32_t clients_max = 64;
  std::uint32_t channels_per_client = 4;
  std::uint32_t slots_per_channel = 64;  // two for each request in flight: one for it, one for its answer
  std::uint32_t slot_bytes = 4096;       // the largest message
};

struct GroupSettings {
  std::string name;
  std::vector<std::string> users;        // names or numeric uids
  std::vector<std::string> unix_groups;  // names or numeric gids
  MemorySettings memory;
};

struct EndpointSettings {
  std::string host;  // name or literal address
  std::uint16_t port = 0;
};

enum class TlsVersion : std::uint8_t { tls_1_2, tls_1_3 };

struct TlsSettings {
  bool verify_peer = true;
  std::string server_name;  // SNI and the name to verify; empty: the endpoint's host
  std::string ca_file;
  std::string ca_directory;
  std::string certificate_file;  // of the client; needs key_file
  std::string key_file;
  TlsVersion version_min = TlsVersion::tls_1_2;
  TlsVersion version_max = TlsVersion::tls_1_3;
};

enum class LengthEncoding : std::uint8_t { binary_be, ascii };

// A message on the wire is a length, then the message.
struct FramingSettings {
  LengthEncoding length_encoding = LengthEncoding::binary_be;
  std::uint32_t length_bytes = 2;
  bool length_includes_itself = false;
  std::uint32_t message_bytes_max = 4096;
};

enum class CorrelationKind : std::uint8_t {
  fifo,   // answers come in the order of the requests
  bytes,  // a run of bytes, equal in request and answer, tells
};

struct CorrelationSettings {
  CorrelationKind kind = CorrelationKind::fifo;
  std::uint32_t offset = 0;  // of the key in the message, for `bytes`
  std::uint32_t length = 0;
  std::vector<std::uint8_t> mask;  // ANDed with the key; empty: all ones; else `length` bytes
};

struct TimeoutSettings {
  std::uint32_t connect_ms = 5'000;
  std::uint32_t handshake_ms = 10'000;
  std::uint32_t request_ms = 30'000;      // for a request that brings no deadline of its own
  std::uint32_t late_answer_ms = 60'000;  // how long after its deadline a request's answer is still recognised
  std::uint32_t write_stall_ms = 10'000;  // a host that takes no bytes for so long is given up
};

struct BackoffSettings {
  std::uint32_t initial_ms = 100;
  std::uint32_t max_ms = 30'000;
  std::uint32_t jitter_percent = 20;
};

struct UpstreamSettings {
  std::string name;
  std::vector<std::string> groups;  // that may use it
  std::vector<EndpointSettings> endpoints;
  std::uint32_t sessions = 2;         // spread over the endpoints in turn
  std::uint32_t in_flight_max = 256;  // on each session
  std::uint32_t queue_max = 4096;     // waiting for a session
  TlsSettings tls;
  FramingSettings framing;
  CorrelationSettings correlation;
  TimeoutSettings timeouts;
  BackoffSettings backoff;
};

struct Config {
  EngineSettings engine;
  std::vector<GroupSettings> groups;
  std::vector<UpstreamSettings> upstreams;
};

}  // namespace tlsmux::config
