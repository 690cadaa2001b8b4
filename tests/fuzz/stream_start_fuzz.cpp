// Any bytes as what a process says first on a redirected socket: what it offers lies within them, entry by entry.
#include <cstring>

#include "engine/wrapper/stream_start.hpp"
#include "tests/fuzz/choices.hpp"

using namespace tlsmux;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  shm::StreamStart start;
  std::memcpy(&start, data, std::min(size, sizeof start));
  if (const auto alpn = engine::wrapper::alpn_of(start)) {
    fuzz::require(alpn->size() <= start.alpn.size(), "more than was offered");
    fuzz::require(alpn->compare(0, alpn->size(), start.alpn.data(), alpn->size()) == 0, "something else was offered");
    std::size_t at = 0;
    while (at < alpn->size()) {
      const auto length = static_cast<std::uint8_t>((*alpn)[at]);
      fuzz::require(length > 0, "an empty name");
      at += 1 + length;
    }
    fuzz::require(at == alpn->size(), "a name that is cut off");
  }
  const auto reason = static_cast<shm::Reason>(start.ticket[0]);
  const std::string_view words(start.server_name.data(), start.server_name.size());
  const auto record = engine::wrapper::refused_record(reason, words);
  fuzz::require(record.size() == sizeof(shm::StreamRecordHeader) + sizeof(shm::StreamLost), "a record of a wrong size");
  fuzz::require(record.back() == std::byte{0}, "words without an end");
  return 0;
}
