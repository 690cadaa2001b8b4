#pragma once

// What the fuzz targets of this folder share: decisions out of a fuzzer's bytes, and an end that it notices.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string_view>

namespace tlsmux::fuzz {

// Zeros behind the end.
class Choices {
 public:
  explicit Choices(std::span<const std::uint8_t> data) : data_(data) {}

  [[nodiscard]] bool empty() const { return data_.empty(); }
  std::uint8_t next() {
    if (data_.empty()) return 0;
    const auto value = data_.front();
    data_ = data_.subspan(1);
    return value;
  }
  std::uint16_t next_16() {
    const auto high = next();
    return static_cast<std::uint16_t>(high << 8 | next());
  }
  std::uint64_t next_64() {
    std::uint64_t value = 0;
    for (int i = 0; i < 8; ++i) value = value << 8 | next();
    return value;
  }
  // At most so many.
  std::span<const std::uint8_t> take(std::size_t count) {
    const auto taken = data_.first(std::min(count, data_.size()));
    data_ = data_.subspan(taken.size());
    return taken;
  }

  // Overwrites some bytes of `bytes`: how many, then for each a place and a value.
  void bend(std::span<std::byte> bytes) {
    for (auto count = next() % 16; count > 0 && !bytes.empty(); --count) {
      const auto place = next_16() % bytes.size();
      bytes[place] = std::byte{next()};
    }
  }

 private:
  std::span<const std::uint8_t> data_;
};

[[noreturn]] inline void fail(std::string_view what) {
  std::fprintf(stderr, "fuzz: %.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}

inline void require(bool holds, std::string_view what) {
  if (!holds) fail(what);
}

}  // namespace tlsmux::fuzz
