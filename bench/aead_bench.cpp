// Nanoseconds to seal n slots and a content type into one record, and to open one, with each library, with slots copied to
// the output first or sealed from where they are. kAeadGatherBytesMin comes from here.
//
// usage: aead_bench [--json]
//
// All ways to do the same take turns, so that a change of the processor's clock hits them alike: compare within a row.
// "warm": the same slots again and again. "cold": slots that no cache holds, in no order. "remote": slots that another
// processor has just written, which is what an engine reads; times include that of the clock, spread over the records.
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "engine/tls/aead.hpp"

using namespace tlsmux::engine::tls;

namespace {

constexpr std::size_t kSizes[] = {64, 256, 300, 1024, 4096, 8192, 12288, 16384};
constexpr std::size_t kBatches[] = {1, 4, 16};
constexpr std::size_t kRecordBytesMax = 16384;
constexpr std::size_t kRounds = 21;
constexpr std::size_t kPoolSlots = 8192;
constexpr std::size_t kSlotBytes = 16384 + 64;        // neighbours do not share cache sets
constexpr std::size_t kRemoteBytesMax = 512U << 10U;  // what is written at a time: no more than a processor's own cache
constexpr std::size_t kAlwaysGather = 0;
constexpr std::size_t kNeverGather = ~std::size_t{0};
constexpr AeadAlgorithm kAlgorithms[] = {AeadAlgorithm::aes_128_gcm, AeadAlgorithm::aes_256_gcm,
                                         AeadAlgorithm::chacha20_poly1305};

const char* text(AeadAlgorithm algorithm) {
  switch (algorithm) {
    case AeadAlgorithm::aes_128_gcm: return "AES-128-GCM";
    case AeadAlgorithm::aes_256_gcm: return "AES-256-GCM";
    case AeadAlgorithm::chacha20_poly1305: return "ChaCha20-Poly1305";
  }
  return "";
}

enum class Way { copy, gather, open };
constexpr const char* kWays[] = {"seal_copy", "seal_gather", "open"};

struct Contender {
  AeadLibrary library;
  Way way;
  std::unique_ptr<Aead> aead;
  std::vector<double> times_ns;

  [[nodiscard]] double best() const { return *std::ranges::min_element(times_ns); }
  [[nodiscard]] double median() {
    std::ranges::sort(times_ns);
    return times_ns[times_ns.size() / 2];
  }
};

enum class Memory { warm, cold, remote };
constexpr const char* kMemories[] = {"warm", "cold", "remote"};

struct Setting {
  AeadAlgorithm algorithm;
  std::size_t size;
  std::size_t slots;
  Memory memory;
};

void run_on(int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  (void)sched_setaffinity(0, sizeof(set), &set);  // where it is not allowed the numbers are worse, not wrong
}

// A pool of slots, handed out in an order that no prefetcher follows, and a thread on another processor that fills them.
class SlotPool {
 public:
  SlotPool() : memory_(kPoolSlots * kSlotBytes, std::byte{0x31}), writer_([this] { write_when_asked(); }) { run_on(0); }
  ~SlotPool() {
    ask(kEnd);
    writer_.join();
  }
  SlotPool(const SlotPool&) = delete;
  SlotPool& operator=(const SlotPool&) = delete;

  std::byte* next(Memory memory) {
    position_ = following(position_, memory);
    return memory_.data() + position_ * kSlotBytes;
  }

  // The other processor writes the next `slots` ones.
  void write_remotely(std::size_t slots, std::size_t bytes) {
    slots_ = slots;
    bytes_ = bytes;
    ask(kWrite);
    state_.wait(kWrite);
  }

 private:
  static constexpr int kIdle = 0;
  static constexpr int kWrite = 1;
  static constexpr int kEnd = 2;

  static std::size_t following(std::size_t position, Memory memory) {
    return memory == Memory::warm ? (position + 1) % 16 : (position * 5 + 1) % kPoolSlots;  // 5 and 1: a full period
  }

  void ask(int what) {
    state_.store(what);
    state_.notify_all();
  }

  void write_when_asked() {
    run_on(1);
    for (std::byte value{1};; value ^= std::byte{3}) {
      state_.wait(kIdle);
      if (state_.load() == kEnd) {
        return;
      }
      std::size_t position = position_;
      for (std::size_t i = 0; i < slots_; ++i) {
        position = following(position, Memory::remote);
        std::memset(memory_.data() + position * kSlotBytes, static_cast<int>(value), bytes_);
      }
      ask(kIdle);
    }
  }

  std::vector<std::byte> memory_;
  std::size_t position_ = 0;
  std::size_t slots_ = 0;
  std::size_t bytes_ = 0;
  std::atomic<int> state_ = kIdle;
  std::thread writer_;
};

std::vector<Contender> contenders(AeadAlgorithm algorithm) {
  const std::vector<std::byte> key(aead_key_bytes(algorithm), std::byte{0x42});
  std::vector<Contender> all;
  for (const auto library : {AeadLibrary::ipsec_mb, AeadLibrary::mbedtls}) {
    for (const Way way : {Way::copy, Way::gather, Way::open}) {
      if (aead_is_usable(library)) {
        all.push_back(
            {library, way, make_aead(library, algorithm, key, way == Way::gather ? kAlwaysGather : kNeverGather), {}});
      }
    }
  }
  return all;
}

class Bench {
 public:
  double seal_ns(Aead& aead, const Setting& setting, std::size_t times) {
    const std::array<std::byte, 5> additional{};
    const std::byte type{0x17};
    const auto record = std::span(output_).first(setting.size * setting.slots + 1 + kAeadTagBytes);
    std::array<std::span<const std::byte>, 16> parts;
    prepare(setting, times);
    const auto start = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < times; ++i) {
      for (std::size_t slot = 0; slot < setting.slots; ++slot) {
        parts[slot] = {pool_.next(setting.memory), setting.size};
      }
      std::memcpy(nonce_.data(), &i, sizeof(i));
      aead.seal(nonce_, additional, std::span(parts).first(setting.slots), type, record);
    }
    return elapsed_ns(start) / static_cast<double>(times);
  }

  // The record, of one slot, lies in warm memory as after a receive; the output is the slot.
  double open_ns(Aead& aead, const Setting& setting, std::size_t times) {
    const std::array<std::byte, 5> additional{};
    const auto record = std::span(output_).first(setting.size + kAeadTagBytes);
    const std::span<const std::byte> plain(pool_.next(Memory::warm), setting.size);
    nonce_ = {};
    aead.seal(nonce_, additional, std::span(&plain, 1), record);
    bool opened = true;
    prepare(setting, times);
    const auto start = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < times; ++i) {
      opened = aead.open(nonce_, additional, record, {pool_.next(setting.memory), setting.size}) && opened;
    }
    const double time_ns = elapsed_ns(start) / static_cast<double>(times);
    if (!opened) {
      std::fprintf(stderr, "aead_bench: a record did not open\n");
      std::exit(1);
    }
    return time_ns;
  }

 private:
  void prepare(const Setting& setting, std::size_t times) {
    if (setting.memory == Memory::remote) {
      pool_.write_remotely(times * setting.slots, setting.size);
    }
  }

  static double elapsed_ns(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count();
  }

  SlotPool pool_;
  std::vector<std::byte> output_ = std::vector<std::byte>(kRecordBytesMax + 1 + kAeadTagBytes);
  AeadNonce nonce_{};
};

void measure(Bench& bench, const Setting& setting, std::vector<Contender>& all) {
  const std::size_t bytes = setting.size * setting.slots;
  for (auto& contender : all) {
    contender.times_ns.clear();
  }
  for (std::size_t round = 0; round < kRounds; ++round) {
    for (auto& contender : all) {
      const std::size_t slow = contender.library == AeadLibrary::mbedtls ? 8 : 1;
      std::size_t times = std::max<std::size_t>(4, 400'000 / (1000 + bytes) / slow);
      if (setting.memory == Memory::remote) {
        times = std::min({times, kRemoteBytesMax / bytes, kPoolSlots / setting.slots});
      }
      if (contender.way != Way::open) {
        contender.times_ns.push_back(bench.seal_ns(*contender.aead, setting, times));
      } else if (setting.slots == 1) {
        contender.times_ns.push_back(bench.open_ns(*contender.aead, setting, times));
      }
    }
  }
}

void print_row(const Setting& setting, std::vector<Contender>& all) {
  std::printf("%-17s %-6s %2zu x %5zu", text(setting.algorithm), kMemories[static_cast<int>(setting.memory)],
              setting.slots, setting.size);
  for (auto& contender : all) {
    if (contender.times_ns.empty()) {
      std::printf(" %14s", "");
    } else {
      const double median = contender.median();
      std::printf(" %7.0f/%6.0f", median, contender.best());
    }
  }
  std::printf("\n");
}

void print_json(const Setting& setting, std::vector<Contender>& all, bool& first) {
  for (auto& contender : all) {
    if (contender.times_ns.empty()) {
      continue;
    }
    const double median = contender.median();
    std::printf(
        "%s\n  {\"algorithm\": \"%s\", \"library\": \"%s\", \"operation\": \"%s\", \"memory\": \"%s\", \"slots\": %zu, "
        "\"slot_bytes\": %zu, \"median_ns\": %.1f, \"best_ns\": %.1f}",
        first ? "[" : ",", text(setting.algorithm), std::string(name(contender.library)).c_str(),
        kWays[static_cast<int>(contender.way)], kMemories[static_cast<int>(setting.memory)], setting.slots,
        setting.size, median, contender.best());
    first = false;
  }
}

}  // namespace

int main(int argc, char** argv) {
  const bool json = argc == 2 && std::strcmp(argv[1], "--json") == 0;
  if (argc > 2 || (argc == 2 && !json)) {
    std::fprintf(stderr, "usage: aead_bench [--json]\n");
    return 2;
  }
  Bench bench;
  bool first = true;
  for (const auto algorithm : kAlgorithms) {
    auto all = contenders(algorithm);
    if (!json) {
      std::printf("\nns, median/best of %zu%14s", kRounds, "");
      for (const auto& contender : all) {
        std::printf(" %s %s", contender.library == AeadLibrary::ipsec_mb ? "imb" : "mbed",
                    kWays[static_cast<int>(contender.way)]);
      }
      std::printf("\n");
    }
    for (const Memory memory : {Memory::warm, Memory::cold, Memory::remote}) {
      for (const std::size_t size : kSizes) {
        for (const std::size_t slots : kBatches) {
          if (size * slots > kRecordBytesMax) {
            continue;
          }
          const Setting setting{algorithm, size, slots, memory};
          measure(bench, setting, all);
          json ? print_json(setting, all, first) : print_row(setting, all);
        }
      }
    }
  }
  if (json) {
    std::printf("\n]\n");
  }
}
