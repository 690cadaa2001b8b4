#pragma once

// The files that TLS settings name, as bytes: the confined engine opens no file, it gets them through the broker. Key
// and passphrase are wiped when it goes away, which should be as soon as the client is made.

#include <memory>
#include <string>
#include <vector>

#include "engine/tls/key_log.hpp"
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

struct PassphraseFile {
  std::string name;
  SecretBytes bytes;  // the first line is the passphrase
};

struct TlsMaterial {
  std::vector<PemFile> ca_pem;      // ca_file and the files of ca_directory
  PemFile certificate_pem;          // of the client, with its chain; an empty name: none
  SecretPemFile key_pem;            // an empty name: none
  PassphraseFile passphrase;        // of the key; an empty name: none
  PemFile crl_pem;                  // revocation lists; an empty name: none
  std::shared_ptr<KeyLog> key_log;  // null: none
};

}  // namespace tlsmux::engine::tls
