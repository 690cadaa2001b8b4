#include "engine/tls/locked_memory.hpp"

#include <doctest/doctest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "engine/tls/aead.hpp"
#include "tests/support/skip.hpp"

namespace tlsmux::test {
namespace {

using engine::tls::Locked;
using engine::tls::LockedMemory;

constexpr std::size_t kChunkBlocks = LockedMemory::kChunkBytes / LockedMemory::kBlockBytes;

bool is_zero(const std::byte* block) {
  return std::all_of(block, block + LockedMemory::kBlockBytes, [](std::byte byte) { return byte == std::byte{0}; });
}

// The flags of the mapping that holds `address`, as in /proc/self/smaps: "rd wr mr mw me lo dd wf ...".
std::string mapping_flags(const void* address) {
  std::ifstream maps("/proc/self/smaps");
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  bool found = false;
  for (std::string line; std::getline(maps, line);) {
    unsigned long first = 0;
    unsigned long last = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &first, &last) == 2) {
      found = first <= wanted && wanted < last;
    } else if (found && line.starts_with("VmFlags:")) {
      return line + " ";
    }
  }
  return "";
}

// Runs `body` in a forked process, which has a lock limit of zero and no privilege to pass it. True if it returns true.
template <typename Body>
bool holds_in_child(Body body) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const rlimit none{0, 0};
    const bool limited = ::setrlimit(RLIMIT_MEMLOCK, &none) == 0 && (::geteuid() != 0 || ::setuid(65534) == 0);
    ::_exit(limited && body() ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST_CASE("record.locked memory is locked, not dumped and zero after a fork") {
  LockedMemory memory;
  std::byte* block = memory.acquire();
  REQUIRE(block != nullptr);
  const std::string flags = mapping_flags(block);
  CHECK(flags.find(" dd ") != std::string::npos);
  CHECK(flags.find(" wf ") != std::string::npos);
  std::memset(block, 0x77, LockedMemory::kBlockBytes);
  CHECK(holds_in_child([block] { return is_zero(block); }));
  memory.release(block);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  MESSAGE("sanitizers make mlock do nothing: whether the memory is locked is not looked at");
#else
  CHECK(memory.all_locked() == (flags.find(" lo ") != std::string::npos));
  rlimit limit{};
  REQUIRE(::getrlimit(RLIMIT_MEMLOCK, &limit) == 0);
  if (limit.rlim_cur >= 4 * LockedMemory::kChunkBytes) {
    CHECK(memory.all_locked());
  }
#endif
}

TEST_CASE("record.locked memory gives aligned blocks of zeros, each once, and wipes what comes back") {
  LockedMemory memory;
  std::set<std::byte*> blocks;
  for (std::size_t i = 0; i < 3 * kChunkBlocks; ++i) {
    std::byte* block = memory.acquire();
    REQUIRE(block != nullptr);
    CHECK(reinterpret_cast<std::uintptr_t>(block) % LockedMemory::kBlockAlignment == 0);
    REQUIRE(is_zero(block));
    std::memset(block, 0x77, LockedMemory::kBlockBytes);
    REQUIRE(blocks.insert(block).second);
  }
  const auto first = *blocks.begin();
  for (std::byte* previous = nullptr; std::byte * block : blocks) {
    CHECK((previous == nullptr || previous + LockedMemory::kBlockBytes <= block));
    previous = block;
  }
  for (std::byte* block : blocks) {
    memory.release(block);
  }
  CHECK(is_zero(first));
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    std::byte* block = memory.acquire();
    CHECK(blocks.contains(block));  // nothing new is mapped
    REQUIRE(is_zero(block));
  }
  for (std::byte* block : blocks) {
    memory.release(block);
  }
}

TEST_CASE("record.locked memory goes on unlocked where the limit is reached, and says so") {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  skip("sanitizers make mlock do nothing");
#else
  CHECK(holds_in_child([] {
    LockedMemory memory;
    std::byte* block = memory.acquire();
    const bool works = block != nullptr && is_zero(block) && !memory.all_locked() &&
                       mapping_flags(block).find(" dd ") != std::string::npos;
    memory.release(block);
    return works;
  }));
  CHECK(holds_in_child([] {
    const std::vector<std::byte> key(32);
    std::vector<std::unique_ptr<engine::tls::Aead>> aeads;
    for (std::size_t i = 0; i < 2 * kChunkBlocks; ++i) {
      aeads.push_back(make_aead(engine::tls::fastest_aead_library(), engine::tls::AeadAlgorithm::aes_256_gcm, key));
      if (aeads.back() == nullptr) {
        return false;
      }
    }
    return !engine::tls::aead_keys_are_locked();
  }));
#endif
}

TEST_CASE("record.locked values are zero when made, move, and are wiped when they go") {
  struct Secret {
    std::uint64_t words[8];
  };
  Secret* address = nullptr;
  {
    Locked<Secret> secret;
    REQUIRE(secret);
    CHECK(secret->words[7] == 0);
    secret->words[7] = 42;
    address = &*secret;
    Locked<Secret> moved = std::move(secret);
    CHECK(&*moved == address);
    CHECK(moved->words[7] == 42);
  }
  CHECK(is_zero(reinterpret_cast<const std::byte*>(address)));  // the memory stays mapped
}

TEST_CASE("record.locked memory is shared by threads") {
  LockedMemory memory;
  std::vector<std::thread> threads;
  threads.reserve(4);
  std::atomic<int> failures = 0;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&memory, &failures, mark = std::byte(thread + 1)] {
      for (int round = 0; round < 200; ++round) {
        std::vector<std::byte*> blocks;
        for (std::size_t i = 0; i < kChunkBlocks; ++i) {
          blocks.push_back(memory.acquire());
          failures += blocks.back() == nullptr || !is_zero(blocks.back()) ? 1 : 0;
          std::fill_n(blocks.back(), LockedMemory::kBlockBytes, mark);
        }
        for (std::byte* block : blocks) {
          failures += block[0] != mark || block[LockedMemory::kBlockBytes - 1] != mark ? 1 : 0;
          memory.release(block);
        }
      }
    });
  }
  for (auto& thread : threads) {
    thread.join();
  }
  CHECK(failures == 0);
}

}  // namespace
}  // namespace tlsmux::test
