#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

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
  TlsVersion version = TlsVersion::any;
  ClientCertificate client_certificate = ClientCertificate::none;
};

// How messages are answered. Counts are per connection; 0 means never.
struct Behaviour {
  Mode mode = Mode::iso8583;
  OnUnparsable on_unparsable = OnUnparsable::ignore;
  std::uint64_t delay_us = 0;
  std::uint64_t jitter_us = 0;
  bool out_of_order = false;
  double refuse_percent = 0;
  double silent_percent = 0;
  double duplicate_percent = 0;
  std::uint64_t close_after = 0;
  std::uint64_t unsolicited_every = 0;
  std::uint64_t oversize_after = 0;
  bool echo_keep_alives = false;
  std::uint64_t seed = 1;
};

struct Options {
  std::string listen = "127.0.0.1:0";
  TlsOptions tls;
  Framing framing;
  Behaviour behaviour;
  bool close_hard = false;
  bool handshake_stall = false;
  std::size_t connections_max = 0;  // at one time; 0: no limit
  std::string record_file;
  std::string report_file;
};

}  // namespace tlsmux::host
