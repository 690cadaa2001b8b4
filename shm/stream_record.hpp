#pragma once

// What the engine sends down a stream: records of a header and so many bytes. Upwards go plain bytes.
// engine/streams/STREAMS.md says what each means. Integers are in the machine's own order.

#include <array>
#include <cstdint>

#include "shm/outcome.hpp"

namespace tlsmux::shm {

enum class StreamRecordType : std::uint8_t {
  opened = 1,   // StreamOpened, then the certificates: each DER behind its length in four bytes, the host's own first
  data = 2,     // may be empty
  closed = 3,   // nothing follows
  lost = 4,     // StreamLost
  refused = 5,  // StreamLost
};

struct StreamRecordHeader {
  std::uint32_t type_and_bytes = 0;  // type in the upper 8 bits, and how many bytes follow
};
static_assert(sizeof(StreamRecordHeader) == 4);

constexpr StreamRecordHeader stream_record(StreamRecordType type, std::uint32_t bytes) {
  return {.type_and_bytes = static_cast<std::uint32_t>(type) << 24 | bytes};
}
constexpr StreamRecordType type_of(StreamRecordHeader header) {
  return static_cast<StreamRecordType>(header.type_and_bytes >> 24);
}
constexpr std::uint32_t bytes_of(StreamRecordHeader header) { return header.type_and_bytes & 0xff'ffff; }

inline constexpr std::uint32_t kStreamDataBytesMax = 16 * 1024;     // of one `data` record
inline constexpr std::uint32_t kStreamOpenedBytesMax = 256 * 1024;  // with all certificates

struct StreamOpened {
  std::uint32_t tls_version = 0;   // as on the wire: 0x0303, 0x0304
  std::uint32_t cipher_suite = 0;  // IANA's number
  std::uint32_t resumed = 0;
  std::uint32_t certificates = 0;       // how many follow
  std::array<char, 64> alpn{};          // zero-terminated; empty: none
  std::array<char, 256> server_name{};  // that the engine has verified; empty: it verifies none
};

// Of `lost` and `refused`.
struct StreamLost {
  std::uint32_t reason = 0;      // Reason
  std::uint32_t maybe_sent = 0;  // bytes written to the stream may have left, and were not answered
  std::array<char, 200> text{};  // zero-terminated words for people
};

// The first bytes upwards on a socket that was redirected to the engine's listener; on a socket from open_stream there is
// none, since that request has said it all.
inline constexpr std::size_t kStreamTicketBytes = 16;
struct StreamStart {
  std::array<std::uint8_t, kStreamTicketBytes> ticket{};  // from the announcement's answer
  std::array<char, 256> server_name{};                    // that the program has set; empty: none
  std::array<char, 256> alpn{};  // that it offers, as in RFC 7301: each behind its length; empty: none
};

}  // namespace tlsmux::shm
