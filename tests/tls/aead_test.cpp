// Sealing and opening with both libraries, against published vectors and against OpenSSL.
#include "engine/tls/aead.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <iterator>

#include "tests/support/seed.hpp"
#include "tests/tls/aead_oracle.hpp"
#include "tests/tls/aead_vectors.hpp"

namespace tlsmux::test {
namespace {

using engine::tls::Aead;
using engine::tls::AeadNonce;
using engine::tls::kAeadTagBytes;

// Where block ciphers, their groups of blocks, and counters of one byte begin anew; and the largest records.
constexpr std::size_t kSizes[] = {0,    1,    2,    15,   16,   17,   31,   32,    33,   47,  48,  49,
                                  63,   64,   65,   127,  128,  129,  191,  192,   193,  255, 256, 257,
                                  300,  319,  320,  321,  511,  512,  513,  767,   768,  769, 831, 1023,
                                  1024, 1025, 4064, 4079, 4080, 4081, 4096, 16384, 16401};

bool opens(Aead& aead, const AeadNonce& nonce, const Bytes& additional, const Bytes& sealed, const Bytes& text) {
  Bytes opened(text.size(), std::byte{0x5a});
  Bytes in_place = sealed;
  const std::span place(in_place);
  return aead.open(nonce, additional, sealed, opened) && opened == text &&
         aead.open(nonce, additional, place, place.first(text.size())) &&
         std::ranges::equal(place.first(text.size()), text);
}

TEST_CASE("record.aead seals and opens the published vectors at every split") {
  for (const auto& vector : kAeadVectors) {
    CAPTURE(vector.source);
    const Bytes key = from_hex(vector.key);
    const AeadNonce nonce = nonce_of(from_hex(vector.nonce));
    const Bytes additional = from_hex(vector.additional);
    const Bytes text = from_hex(vector.plaintext);
    Bytes expected = from_hex(vector.ciphertext);
    std::ranges::copy(from_hex(vector.tag), std::back_inserter(expected));
    for (const auto library : usable_aead_libraries()) {
      CAPTURE(name(library));
      for (const std::size_t gather_bytes_min : {kAlwaysGather, kNeverGather}) {
        const auto aead = make_aead(library, vector.algorithm, key, gather_bytes_min);
        REQUIRE(aead != nullptr);
        CHECK(seal(*aead, nonce, additional, {}).size() == kAeadTagBytes);  // leaves nothing behind
        for (std::size_t split = 0; split <= text.size(); ++split) {
          const std::span whole(text);
          REQUIRE(seal(*aead, nonce, additional, Parts{whole.first(split), whole.subspan(split)}) == expected);
        }
        CHECK(opens(*aead, nonce, additional, expected, text));
      }
    }
  }
}

TEST_CASE("record.aead gives OpenSSL's bytes for all sizes around blocks") {
  std::mt19937_64 random(seed());
  for (const auto algorithm : kAeadAlgorithms) {
    const AeadCase with(algorithm, random);
    for (const std::size_t size : kSizes) {
      CAPTURE(size);
      const Bytes text = random_bytes(random, size);
      const Bytes expected = with.expected(text);
      for (const auto& aead : with.aeads) {
        REQUIRE(seal(*aead, with.nonce, with.additional, Parts{text}) == expected);
        REQUIRE(opens(*aead, with.nonce, with.additional, expected, text));
        Bytes place = text;
        place.resize(size + kAeadTagBytes);
        aead->seal(with.nonce, with.additional, Parts{std::span(place).first(size)}, place);
        REQUIRE(place == expected);
        if (size == 0) continue;
        std::ranges::fill(place, std::byte{0});
        aead->seal(with.nonce, with.additional, Parts{std::span(text).first(size - 1)}, text.back(), place);
        REQUIRE(place == expected);
      }
    }
  }
}

TEST_CASE("record.aead gives the same bytes at every split in three") {
  std::mt19937_64 random(seed());
  for (const auto algorithm : kAeadAlgorithms) {
    const AeadCase with(algorithm, random);
    for (const std::size_t size : {std::size_t{17}, std::size_t{70}, std::size_t{131}}) {
      const Bytes text = random_bytes(random, size);
      const Bytes expected = with.expected(text);
      const std::span whole(text);
      for (std::size_t first = 0; first <= size; ++first) {
        for (std::size_t second = first; second <= size; ++second) {
          const Parts parts = {whole.first(first), whole.subspan(first, second - first), whole.subspan(second)};
          for (const auto& aead : with.aeads) {
            REQUIRE(seal(*aead, with.nonce, with.additional, parts) == expected);
          }
        }
      }
    }
  }
}

TEST_CASE("record.aead gives the same bytes for every first size of a long text and one byte at the end") {
  std::mt19937_64 random(seed());
  for (const auto algorithm : kAeadAlgorithms) {
    const AeadCase with(algorithm, random, 13);
    const Bytes text = random_bytes(random, 1200);
    const Bytes expected = with.expected(text);
    const std::span whole(text);
    for (std::size_t first = 0; first < text.size(); ++first) {
      const Parts parts = {whole.first(first), whole.subspan(first, text.size() - 1 - first), whole.last(1)};
      for (const auto& aead : with.aeads) {
        REQUIRE(seal(*aead, with.nonce, with.additional, parts) == expected);
        Bytes sealed(expected.size());
        aead->seal(with.nonce, with.additional, std::span(parts).first(2), text.back(), sealed);
        REQUIRE(sealed == expected);
      }
    }
  }
}

TEST_CASE("record.aead takes many parts, of one byte, empty or absent") {
  std::mt19937_64 random(seed());
  for (const auto algorithm : kAeadAlgorithms) {
    const AeadCase with(algorithm, random);
    const Bytes text = random_bytes(random, 600);
    const std::span whole(text);
    Parts parts = {{}};
    for (std::size_t i = 0; i < text.size(); ++i) {
      parts.push_back(whole.subspan(i, 1));
      parts.push_back(whole.subspan(i, 0));
      parts.emplace_back();
    }
    const Bytes nothing;
    for (const auto& aead : with.aeads) {
      CHECK(seal(*aead, with.nonce, with.additional, parts) == with.expected(text));
      CHECK(seal(*aead, with.nonce, with.additional, {}) == with.expected({}));
      CHECK(seal(*aead, with.nonce, with.additional, Parts{{}, {}}) == with.expected({}));
      CHECK(opens(*aead, with.nonce, with.additional, with.expected({}), nothing));
    }
  }
}

TEST_CASE("record.aead copies and gathers in one record, also where a part lies in place") {
  std::mt19937_64 random(seed());
  for (const auto algorithm : kAeadAlgorithms) {
    const AeadCase with(algorithm, random);
    const Bytes text = random_bytes(random, 5000);
    const std::span whole(text);
    for (const auto library : usable_aead_libraries()) {
      const auto aead = make_aead(library, algorithm, with.key, 1000);
      const Parts parts = {whole.first(7),
                           whole.subspan(7, 1000),
                           whole.subspan(1007, 1),
                           whole.subspan(1008, 999),
                           whole.subspan(2007, 1500),
                           whole.subspan(3507, 1492),
                           whole.last(1)};
      CHECK(seal(*aead, with.nonce, with.additional, parts) == with.expected(text));
      for (std::size_t placed = 0; placed < parts.size(); ++placed) {
        Bytes output(text.size() + kAeadTagBytes);
        Parts moved = parts;
        const auto offset = static_cast<std::size_t>(parts[placed].data() - text.data());
        const auto place = std::span(output).subspan(offset, parts[placed].size());
        std::ranges::copy(parts[placed], place.begin());
        moved[placed] = place;
        aead->seal(with.nonce, with.additional, moved, output);
        CHECK(output == with.expected(text));
      }
    }
  }
}

TEST_CASE("record.aead takes additional data of any length") {
  std::mt19937_64 random(seed());
  for (const auto algorithm : kAeadAlgorithms) {
    for (const std::size_t size : kSizes) {
      CAPTURE(size);
      const AeadCase with(algorithm, random, size);
      for (const std::size_t text_size : {std::size_t{0}, std::size_t{1}, std::size_t{16}, std::size_t{301}}) {
        const Bytes text = random_bytes(random, text_size);
        const Bytes expected = with.expected(text);
        for (const auto& aead : with.aeads) {
          REQUIRE(seal(*aead, with.nonce, with.additional, Parts{text}) == expected);
          REQUIRE(opens(*aead, with.nonce, with.additional, expected, text));
        }
      }
    }
  }
}

TEST_CASE("record.aead takes nonces of all ones and zeros") {
  std::mt19937_64 random(seed());
  for (const auto algorithm : kAeadAlgorithms) {
    AeadCase with(algorithm, random);
    const Bytes text = random_bytes(random, 16384);  // more than 255 blocks: the counter's lowest byte wraps
    for (const auto& ends :
         {std::pair{0x00, 0x00}, std::pair{0xff, 0xff}, std::pair{0x00, 0xff}, std::pair{0xff, 0x00}}) {
      with.nonce.fill(static_cast<std::byte>(ends.first));
      std::ranges::fill(std::span(with.nonce).last(4), static_cast<std::byte>(ends.second));
      const Bytes expected = with.expected(text);
      for (const auto& aead : with.aeads) {
        CHECK(seal(*aead, with.nonce, with.additional,
                   Parts{std::span(text).first(4097), std::span(text).subspan(4097)}) == expected);
        CHECK(opens(*aead, with.nonce, with.additional, expected, text));
      }
    }
  }
}

// Poly1305 and GHASH add up ciphertext: these are the sums that carry furthest and least.
TEST_CASE("record.aead computes tags over ciphertext of all ones, zeros and single bits") {
  std::mt19937_64 random(seed());
  for (const auto algorithm : kAeadAlgorithms) {
    const AeadCase with(algorithm, random);
    const Bytes zeros(1024);
    const Bytes key_stream = with.expected(zeros);
    for (const int pattern : {0x00, 0xff, 0x01, 0x80, 0xfb, 0x7f}) {
      Bytes text(zeros.size());
      std::ranges::transform(std::span(key_stream).first(text.size()), text.begin(),
                             [&](std::byte stream) { return stream ^ static_cast<std::byte>(pattern); });
      const Bytes expected = with.expected(text);
      REQUIRE(expected.front() == static_cast<std::byte>(pattern));
      for (const auto& aead : with.aeads) {
        CHECK(seal(*aead, with.nonce, with.additional, Parts{text}) == expected);
        CHECK(opens(*aead, with.nonce, with.additional, expected, text));
      }
    }
  }
}

TEST_CASE("record.aead agrees between libraries and with OpenSSL on random texts, splits and keys") {
  std::mt19937_64 random(seed());
  for (const auto algorithm : kAeadAlgorithms) {
    AeadCase with(algorithm, random, 13);
    for (int round = 0; round < 200; ++round) {
      with.key = random_bytes(random, with.key.size());
      with.nonce = nonce_of(random_bytes(random, with.nonce.size()));
      const Bytes text = random_bytes(random, random() % 3 == 0 ? random() % 17000 : random() % 700);
      Parts parts;
      for (auto rest = std::span<const std::byte>(text); !rest.empty();) {
        const std::size_t size = std::min<std::size_t>(rest.size(), random() % (2 + text.size() / 3));
        parts.push_back(rest.first(size));
        rest = rest.subspan(size);
      }
      const Bytes expected = with.expected(text);
      for (const auto& aead : with.aeads) {
        aead->set_key(with.key);
        REQUIRE(seal(*aead, with.nonce, with.additional, parts) == expected);
        REQUIRE(opens(*aead, with.nonce, with.additional, expected, text));
      }
    }
  }
}

}  // namespace
}  // namespace tlsmux::test
