#include "engine/tls/record/record_suite.hpp"

namespace tlsmux::engine::tls {

std::optional<RecordSuite> record_suite(std::uint16_t version, std::uint16_t suite) {
  switch (suite) {
    case 0x1301:
    case 0xC02B:
    case 0xC02F: return RecordSuite{version, AeadAlgorithm::aes_128_gcm, HashAlgorithm::sha256};
    case 0x1302:
    case 0xC02C:
    case 0xC030: return RecordSuite{version, AeadAlgorithm::aes_256_gcm, HashAlgorithm::sha384};
    case 0x1303:
    case 0xCCA8:
    case 0xCCA9: return RecordSuite{version, AeadAlgorithm::chacha20_poly1305, HashAlgorithm::sha256};
    default: return std::nullopt;
  }
}

}  // namespace tlsmux::engine::tls
