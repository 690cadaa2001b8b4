#pragma once

// An Aead made of a library's Cipher: how many parts become one sealed text, and the checks common to all libraries.

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <utility>

#include "engine/tls/aead.hpp"
#include "engine/tls/secret_bytes.hpp"
#include "shm/assert.hpp"

namespace tlsmux::engine::tls {

using AeadTag = std::span<std::byte, kAeadTagBytes>;

// What a library has to offer, one direction at a time. `update` and `seal` may be given the same place as source and
// destination. A source that changes while it is read must still give a tag that fits what was written to the destination.
// No span with bytes to read or write is empty, except `additional`, and `text` of `seal` and `open`.
template <typename Cipher>
concept AeadCipher = requires(Cipher& cipher, const AeadNonce& nonce, std::span<const std::byte> source,
                              std::byte* destination, AeadTag tag) {
  cipher.set_key(source);
  cipher.seal(nonce, source /*additional*/, source /*text*/, destination, tag);
  cipher.begin(nonce, source /*additional*/);
  cipher.update(source, destination);
  cipher.finish(tag);
  // The ciphertext is decrypted and the tag it should have is computed; comparing is left to the caller.
  cipher.open(nonce, source /*additional*/, source /*text*/, destination, tag);
};

// Takes a time that depends on nothing.
inline bool tags_are_equal(std::span<const std::byte, kAeadTagBytes> a, std::span<const std::byte, kAeadTagBytes> b) {
  std::uint64_t left[2];
  std::uint64_t right[2];
  std::memcpy(left, a.data(), kAeadTagBytes);
  std::memcpy(right, b.data(), kAeadTagBytes);
  return ((left[0] ^ right[0]) | (left[1] ^ right[1])) == 0;
}

// Clients wrote the parts on other processors: fetching all of them at once takes half the time of waiting for each line
// when its turn comes (bench/aead_bench.cpp). It reads nothing by itself.
inline void prefetch(std::span<const std::span<const std::byte>> parts) {
  constexpr std::size_t kCacheLineBytes = 64;
  for (const auto part : parts) {
    const auto begin = reinterpret_cast<std::uintptr_t>(part.data());
    for (auto line = begin & ~(kCacheLineBytes - 1); line < begin + part.size(); line += kCacheLineBytes) {
      // NOLINTNEXTLINE(performance-no-int-to-ptr): of the line, which may begin before the part
      __builtin_prefetch(reinterpret_cast<const void*>(line));
      // GCC 12 takes a loop of prefetches alone for one that does nothing, and leaves it out.
      __asm__ volatile("");
    }
  }
}

template <AeadCipher Cipher>
class PartsAead final : public Aead {
 public:
  template <typename... Arguments>
  PartsAead(std::size_t key_bytes, std::size_t gather_bytes_min, Arguments&&... arguments)
      : cipher_(std::forward<Arguments>(arguments)...), key_bytes_(key_bytes), gather_bytes_min_(gather_bytes_min) {}

  void set_key(std::span<const std::byte> key) override {
    TMX_ASSERT(key.size() == key_bytes_);
    cipher_.set_key(key);
  }

  // Neighbours that are small are copied to where they will lie sealed, and sealed there in one go; a large part is sealed
  // from where it is. Copied bytes are private before the cipher sees them.
  void seal(const AeadNonce& nonce, std::span<const std::byte> additional,
            std::span<const std::span<const std::byte>> parts, std::optional<std::byte> last,
            std::span<std::byte> output) override {
    prefetch(parts);
    std::byte* end = output.data();       // of what is in place, sealed or copied
    std::byte* unsealed = output.data();  // from here to `end` it is copied only
    std::size_t room = output.size();
    TMX_ASSERT(room >= kAeadTagBytes);
    room -= kAeadTagBytes;
    bool begun = false;
    for (const auto part : parts) {
      TMX_ASSERT(part.size() <= room);
      room -= part.size();
      if (part.empty()) {
        continue;
      }
      const bool is_in_place = part.data() == end;
      if (is_in_place || part.size() < gather_bytes_min_) {
        if (!is_in_place) {
          std::memcpy(end, part.data(), part.size());
        }
      } else {
        if (!begun) {
          cipher_.begin(nonce, additional);
          begun = true;
        }
        update_in_place(unsealed, end);
        cipher_.update(part, end);
        unsealed = end + part.size();
      }
      end += part.size();
    }
    if (last) {
      TMX_ASSERT(room > 0);
      --room;
      *end++ = *last;
    }
    TMX_ASSERT(room == 0);
    const AeadTag tag(end, kAeadTagBytes);
    if (begun) {
      update_in_place(unsealed, end);
      cipher_.finish(tag);
    } else {
      cipher_.seal(nonce, additional, {output.data(), end}, output.data(), tag);
    }
  }

  bool open(const AeadNonce& nonce, std::span<const std::byte> additional, std::span<const std::byte> sealed,
            std::span<std::byte> output) override {
    TMX_ASSERT(sealed.size() == output.size() + kAeadTagBytes);
    std::array<std::byte, kAeadTagBytes> tag;
    cipher_.open(nonce, additional, sealed.first(output.size()), output.data(), tag);
    const bool matches = tags_are_equal(tag, sealed.last<kAeadTagBytes>());
    // Whoever saw the tag that a forgery should have had could forge one.
    wipe(tag);
    if (!matches) {
      wipe(output);
    }
    return matches;
  }

 private:
  void update_in_place(std::byte* first, std::byte* last) {
    if (first != last) {
      cipher_.update({first, last}, first);
    }
  }

  Cipher cipher_;
  std::size_t key_bytes_;
  std::size_t gather_bytes_min_;
};

}  // namespace tlsmux::engine::tls
