#pragma once

// A way to seal and open TLS records, both ends in this process and nothing else around them: TLS 1.3, AES-128-GCM.

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace tlsmux::bench {

using Parts = std::span<const std::span<const std::byte>>;

// One thread. Room for kSealedBytesMax of records that were not opened.
class RecordPath {
 public:
  virtual ~RecordPath() = default;

  // Seals the parts, in their order, behind what was sealed before. False: it failed.
  virtual bool seal(Parts parts) = 0;
  // Opens the next so many bytes of what was sealed, which is what one seal() sealed. False: that is not what is there.
  virtual bool open(std::size_t bytes) = 0;
};

inline constexpr std::size_t kSealedBytesMax = 512 * 1024;

// The engine's. Throws std::runtime_error.
std::unique_ptr<RecordPath> make_tlsmux_records();
// mbedtls_ssl_write and mbedtls_ssl_read; parts are put together first. Throws std::runtime_error. `certificates` is a
// folder of scripts/make-certificates.
std::unique_ptr<RecordPath> make_mbedtls_records(const std::string& certificates);
// The bare call of IPsec-MB on bytes that lie together. Null where there is no IPsec-MB.
std::unique_ptr<RecordPath> make_ipsec_mb_records();

}  // namespace tlsmux::bench
