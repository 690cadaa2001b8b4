// What must not open, what a failure leaves behind, and what a client can do by changing its memory meanwhile.
#include <doctest/doctest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>

#include "engine/tls/aead.hpp"
#include "shm/system/unique_fd.hpp"
#include "tests/support/seed.hpp"
#include "tests/tls/aead_oracle.hpp"

namespace tlsmux::test {
namespace {

using engine::tls::Aead;
using engine::tls::AeadNonce;
using engine::tls::kAeadTagBytes;

bool is_refused(Aead& aead, const AeadNonce& nonce, const Bytes& additional, const Bytes& sealed) {
  const auto is_zero = [](std::byte byte) { return byte == std::byte{0}; };
  Bytes opened(sealed.size() - kAeadTagBytes, std::byte{0x5a});
  Bytes in_place = sealed;
  const auto place = std::span(in_place).first(opened.size());
  return !aead.open(nonce, additional, sealed, opened) && std::ranges::all_of(opened, is_zero) &&
         !aead.open(nonce, additional, in_place, place) && std::ranges::all_of(place, is_zero);
}

void flip(std::span<std::byte> bytes, std::size_t bit) { bytes[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8)); }

TEST_CASE("record.aead refuses a change of any bit and zeros the output") {
  std::mt19937_64 random(seed());
  for (const auto algorithm : kAeadAlgorithms) {
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{40}, std::size_t{300}}) {
      CAPTURE(size);
      AeadCase with(algorithm, random, 13);
      const Bytes text = random_bytes(random, size);
      Bytes sealed = with.expected(text);
      for (const auto& aead : with.aeads) {
        for (std::size_t bit = 0; bit < sealed.size() * 8; ++bit) {  // ciphertext and tag
          flip(sealed, bit);
          REQUIRE(is_refused(*aead, with.nonce, with.additional, sealed));
          flip(sealed, bit);
        }
        for (std::size_t bit = 0; bit < with.additional.size() * 8; ++bit) {
          flip(with.additional, bit);
          REQUIRE(is_refused(*aead, with.nonce, with.additional, sealed));
          flip(with.additional, bit);
        }
        for (std::size_t bit = 0; bit < with.nonce.size() * 8; ++bit) {
          flip(with.nonce, bit);
          REQUIRE(is_refused(*aead, with.nonce, with.additional, sealed));
          flip(with.nonce, bit);
        }
        Bytes opened(size);
        CHECK(aead->open(with.nonce, with.additional, sealed, opened));
        CHECK(opened == text);
      }
    }
  }
}

TEST_CASE("record.aead refuses other lengths, other additional data and a tag of zeros or ones") {
  std::mt19937_64 random(seed());
  for (const auto algorithm : kAeadAlgorithms) {
    const AeadCase with(algorithm, random);
    const Bytes text = random_bytes(random, 100);
    const Bytes sealed = with.expected(text);
    for (const auto& aead : with.aeads) {
      for (std::size_t size = kAeadTagBytes; size < sealed.size(); ++size) {
        CHECK(is_refused(*aead, with.nonce, with.additional,
                         Bytes(sealed.begin(), sealed.begin() + static_cast<long>(size))));
      }
      Bytes longer = sealed;
      longer.insert(longer.begin() + static_cast<long>(text.size()), std::byte{0});
      CHECK(is_refused(*aead, with.nonce, with.additional, longer));
      CHECK(is_refused(*aead, with.nonce, {}, sealed));
      Bytes more = with.additional;
      more.push_back(std::byte{0});  // padding would hide it
      CHECK(is_refused(*aead, with.nonce, more, sealed));
      for (const int tag : {0x00, 0xff}) {
        Bytes forged = sealed;
        std::ranges::fill(std::span(forged).last(kAeadTagBytes), static_cast<std::byte>(tag));
        CHECK(is_refused(*aead, with.nonce, with.additional, forged));
      }
    }
  }
}

TEST_CASE("record.aead has another key after set_key and works on after a refusal") {
  std::mt19937_64 random(seed());
  for (const auto algorithm : kAeadAlgorithms) {
    AeadCase with(algorithm, random);
    const Bytes text = random_bytes(random, 333);
    const Bytes before = with.expected(text);
    with.key = random_bytes(random, with.key.size());
    const Bytes after = with.expected(text);
    for (const auto& aead : with.aeads) {
      CHECK(is_refused(*aead, with.nonce, with.additional, after));
      aead->set_key(with.key);
      CHECK(is_refused(*aead, with.nonce, with.additional, before));
      CHECK(seal(*aead, with.nonce, with.additional, Parts{text}) == after);
      Bytes opened(text.size());
      CHECK(aead->open(with.nonce, with.additional, after, opened));
      CHECK(opened == text);
    }
  }
}

// A page of memory at two addresses, as a client and the engine have it.
class SharedMemory {
 public:
  static constexpr std::size_t kBytes = 4096;

  SharedMemory() : fd_(::memfd_create("tlsmux-test", MFD_CLOEXEC)) {
    REQUIRE(::ftruncate(fd_.get(), kBytes) == 0);
    for (auto& view : views_) {
      void* mapped = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
      REQUIRE(mapped != MAP_FAILED);
      view = static_cast<std::byte*>(mapped);
    }
  }
  ~SharedMemory() {
    for (std::byte* view : views_) {
      ::munmap(view, kBytes);
    }
  }
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  [[nodiscard]] std::span<std::byte> of_engine() { return {views_[0], kBytes}; }
  [[nodiscard]] std::span<std::byte> of_client() { return {views_[1], kBytes}; }

 private:
  shm::UniqueFd fd_;
  std::byte* views_[2] = {};
};

// Writes zeros and ones over `memory`, again and again, while `work` runs.
template <typename Work>
void while_it_changes(std::span<std::byte> memory, Work work) {
  std::atomic<bool> stop = false;
  std::atomic<bool> running = false;
  std::thread client([&] {
    auto* words = reinterpret_cast<volatile std::uint64_t*>(memory.data());
    for (std::uint64_t value = 0; !stop.load(std::memory_order_relaxed); value = ~value) {
      for (std::size_t i = 0; i < memory.size() / sizeof(value); ++i) {
        words[i] = value;
      }
      running.store(true);
    }
  });
  while (!running.load()) {
    std::this_thread::yield();
  }
  work();
  stop.store(true);
  client.join();
}

TEST_CASE("record.aead seals a valid record from parts that change meanwhile") {
  std::mt19937_64 random(seed());
  SharedMemory slot;
  for (const auto algorithm : kAeadAlgorithms) {
    const AeadCase with(algorithm, random);
    while_it_changes(slot.of_client(), [&] {
      Bytes sealed(SharedMemory::kBytes + 1 + kAeadTagBytes);
      Bytes opened(SharedMemory::kBytes + 1);
      const Bytes type = {std::byte{0x17}};
      for (int round = 0; round < 1000; ++round) {
        const std::size_t split = random() % SharedMemory::kBytes;
        const std::span<const std::byte> whole = slot.of_engine();
        const Parts parts = {whole.first(split), whole.subspan(split), type};
        for (const auto& aead : with.aeads) {
          aead->seal(with.nonce, with.additional, parts, sealed);
          REQUIRE(aead->open(with.nonce, with.additional, sealed, opened));
          REQUIRE(opened.back() == type.front());
          const auto is_written = [](std::byte byte) { return byte == std::byte{0} || byte == std::byte{0xff}; };
          REQUIRE(std::ranges::all_of(std::span(opened).first(SharedMemory::kBytes), is_written));
        }
      }
    });
  }
}

TEST_CASE("record.aead judges by the sealed bytes where the output is changed meanwhile") {
  std::mt19937_64 random(seed());
  SharedMemory slot;
  for (const auto algorithm : kAeadAlgorithms) {
    const AeadCase with(algorithm, random);
    const Bytes text = random_bytes(random, SharedMemory::kBytes);
    const Bytes sealed = with.expected(text);
    Bytes forged = sealed;
    forged[100] ^= std::byte{1};
    while_it_changes(slot.of_client(), [&] {
      for (int round = 0; round < 1000; ++round) {
        for (const auto& aead : with.aeads) {
          REQUIRE(aead->open(with.nonce, with.additional, sealed, slot.of_engine()));
          REQUIRE(!aead->open(with.nonce, with.additional, forged, slot.of_engine()));
        }
      }
    });
  }
}

}  // namespace
}  // namespace tlsmux::test
