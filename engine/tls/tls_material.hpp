#pragma once

// The files that TLS settings name, as bytes: the confined engine opens no file, it gets them through the broker.

#include <string>
#include <vector>

#include "engine/tls/secret_bytes.hpp"

namespace tlsmux::engine::tls {

struct PemFile {
  std::string name;  // for error texts: the file's path
  std::string pem;
  bool from_directory = false;  // then it is left out, not an error, if it holds no certificate
};

struct SecretPemFile {
  std::string name;
  SecretBytes pem;
};

struct TlsMaterial {
  std::vector<PemFile> ca_pem;  // ca_file and the files of ca_directory
  PemFile certificate_pem;      // of the client, with its chain; an empty name: none
  SecretPemFile key_pem;        // an empty name: none
};

}  // namespace tlsmux::engine::tls
