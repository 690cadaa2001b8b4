#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tests/host/framing.hpp"

namespace tlsmux::host {

enum class Mode : std::uint8_t { iso8583, echo, sink };
enum class TlsVersion : std::uint8_t { v1_2, v1_3, any };
enum class ClientCertificate : std::uint8_t { none, request, require };
enum class OnUnparsable : std::uint8_t { ignore, close };

struct TlsOptions {
  std::string certificate_file;
  std::string key_file;
  std::string ca_file;           // checks client certificates
  std::string ticket_keys_file;  // made when missing, so that a restarted host still resumes sessions
  std::string ciphers;           // OpenSSL names, TLS 1.2 and 1.3 mixed; empty: OpenSSL's own
  std::string groups;            // OpenSSL names of key exchange groups; empty: OpenSSL's own
  // Protocols, best first, each after a byte with its length (RFC 7301). If the client offers others, the
  // handshake fails.
  std::string alpn_list;
  TlsVersion version = TlsVersion::any;
  ClientCertificate client_certificate = ClientCertificate::none;
};

// What stands around an ISO 8583 message within a frame.
struct EnvelopeOptions {
  std::string tpdu = {};  // the 5 bytes that the client puts before its messages; empty: none
  bool base1 = false;     // each message begins with a VISA BASE I header
};

enum class SignOnRule : std::uint8_t { none, connection, host };  // once on each connection, or once in all
enum class OnMissingSignOn : std::uint8_t { ignore, close };

struct SignOnOptions {
  SignOnRule rule = SignOnRule::none;
  OnMissingSignOn on_missing = OnMissingSignOn::ignore;
  std::string response_code = "00";  // field 39; anything but "00" refuses; empty: no answer
  std::uint64_t refusals_max = 0;    // later ones are accepted; 0: all are refused
};

enum class OwnMessageKind : std::uint8_t { echo_test, key_exchange, advice };

// Requests that the host itself sends.
struct OwnMessageOptions {
  OwnMessageKind kind = OwnMessageKind::echo_test;
  std::uint64_t every_messages = 0;
  std::uint64_t every_ms = 0;
};

// How messages are answered. Counts are per connection; 0 means never.
struct Behaviour {
  Mode mode = Mode::iso8583;
  OnUnparsable on_unparsable = OnUnparsable::ignore;
  EnvelopeOptions envelope;
  std::size_t split_bytes = 0;  // longer answers go out in several frames
  std::uint64_t delay_us = 0;
  std::uint64_t jitter_us = 0;
  bool out_of_order = false;
  double refuse_percent = 0;
  double silent_percent = 0;
  double duplicate_percent = 0;
  double late_percent = 0;
  std::uint64_t late_ms = 0;
  std::vector<unsigned> omit_fields;  // of answers
  SignOnOptions sign_on;
  OwnMessageOptions own_messages;
  std::uint64_t echo_interval_min_ms = 0;
  std::uint64_t close_after = 0;
  std::uint64_t oversize_after = 0;
  bool echo_keep_alives = false;
  std::uint64_t seed = 1;
};

// What is wrong below the messages. Counts are per connection; 0 means never.
struct WireTrouble {
  bool handshake_reset = false;  // as soon as the client has said something
  bool byte_records = false;     // each byte in a record of its own
  std::uint64_t garbage_after = 0;
  std::uint64_t renegotiate_after = 0;
  std::uint64_t chatter_after = 0;
};

struct Options {
  std::string listen = "127.0.0.1:0";
  TlsOptions tls;
  Framing framing;
  Behaviour behaviour;
  WireTrouble wire;
  bool close_hard = false;
  bool handshake_stall = false;
  std::uint64_t handshake_delay_ms = 0;
  std::uint64_t keep_alive_every_ms = 0;
  std::size_t shuffle = 0;  // answers that are collected and sent in random order
  std::uint64_t shuffle_wait_ms = 100;
  bool answer_on_any_session = false;
  std::optional<std::uint64_t> silent_after;        // messages of a connection; then it is sent nothing more
  std::optional<std::uint64_t> stop_reading_after;  // then nothing more is read from it
  std::size_t connections_max = 0;                  // at one time; 0: no limit
  std::string record_file;
  std::string report_file;
};

}  // namespace tlsmux::host
