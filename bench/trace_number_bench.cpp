// What a trace number costs: starts a tlsmuxd of its own, without a host, in a temporary folder. No arguments.
#include <poll.h>
#include <sys/stat.h>
#include <tlsmux/tlsmux.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "bench/process/child_process.hpp"
#include "tests/support/temporary_folder.hpp"

namespace {

using namespace tlsmux;
using Clock = std::chrono::steady_clock;

constexpr std::uint32_t kLargeBlock = 4096;
constexpr std::uint32_t kBurst = 32;
constexpr std::uint32_t kBursts = 2000;
constexpr std::uint32_t kFlatOut = 1'000'000;
constexpr auto kPauseAwake = std::chrono::microseconds(20);
constexpr std::uint32_t kAttachTimeoutMs = 10'000;
constexpr int kStartTries = 500;
constexpr int kStartTryMs = 20;

double ns_between(Clock::time_point start, Clock::time_point end) {
  return std::chrono::duration<double, std::nano>(end - start).count();
}

int checked(int result, const char* what) {
  if (result < 0) throw std::runtime_error(std::string(what) + ": " + tmx_error_text(result));
  return result;
}

std::string upstream_text(const char* name, const std::string& group, std::uint32_t block) {
  return R"({ "name": ")" + std::string(name) + R"(", "groups": [")" + group +
         R"("], "endpoints": ["127.0.0.1:9"], "tls": { "verify_peer": false },
         "trace_numbers": { "first": 1, "last": 999999999, "block": )" +
         std::to_string(block) + " } }";
}

std::string config_text(const std::string& group, const std::string& control_socket) {
  return R"({ "engine": { "control_socket": ")" + control_socket + R"(", "log": { "level": "error" } },
  "groups": [ { "name": ")" +
         group + R"(", "users": [")" + std::to_string(::getuid()) + R"("] } ],
  "upstreams": [ )" +
         upstream_text("usual", group, 64) + ",\n" + upstream_text("large", group, kLargeBlock) + " ] }\n";
}

class Channel {
 public:
  Channel(const std::string& group, const std::string& control_socket, const char* upstream) {
    tmx_attach_options options{};
    options.struct_bytes = sizeof options;
    options.group = group.c_str();
    options.control_socket = control_socket.c_str();
    options.timeout_ms = kAttachTimeoutMs;
    int error = tmx_attach(&options, &client_);
    for (int tries = 0; error == -ECONNREFUSED && tries < kStartTries; ++tries) {
      ::poll(nullptr, 0, kStartTryMs);  // the engine is starting
      error = tmx_attach(&options, &client_);
    }
    checked(error, "attaching");
    checked(tmx_channel_open(client_, upstream, &channel_), "opening a channel");
  }
  ~Channel() {
    tmx_channel_discard(channel_);
    tmx_detach(client_);
  }
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  [[nodiscard]] tmx_channel* get() const { return channel_; }

  // Takes them one right after the other. Nanoseconds in all.
  [[nodiscard]] double take(std::uint32_t count) const {
    const auto start = Clock::now();
    for (std::uint32_t i = 0; i < count; ++i) {
      std::uint32_t number = 0;
      checked(tmx_next_trace_number(channel_, &number), "taking a trace number");
    }
    return ns_between(start, Clock::now());
  }

  // A request that ends NOT_SENT: the engine is awake for a while.
  void ask() const {
    tmx_result result{};
    checked(tmx_call(channel_, "a", 1, nullptr, 0, kAttachTimeoutMs, &result), "a request");
  }

 private:
  tmx_client* client_ = nullptr;
  tmx_channel* channel_ = nullptr;
};

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const auto value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

// Of numbers of which none begins a block.
std::vector<double> inside_blocks(const Channel& channel) {
  constexpr std::uint32_t kTimed = kLargeBlock - 1;
  std::vector<double> each;
  for (int i = 0; i < 100; ++i) {
    static_cast<void>(channel.take(1));
    each.push_back(channel.take(kTimed) / kTimed);
  }
  return each;
}

std::vector<double> with_an_engine_asleep(const Channel& channel) {
  std::vector<double> each;
  for (std::uint32_t i = 0; i < kBursts; ++i) {
    tmx_completion nothing;
    checked(tmx_poll(channel.get(), &nothing, 1, 1), "a pause of a millisecond");
    each.push_back(channel.take(kBurst) / kBurst);
  }
  return each;
}

std::vector<double> with_an_engine_awake(const Channel& channel, const Channel& another) {
  std::atomic<bool> ends = false;
  std::thread busy([&] {
    while (!ends) another.ask();
  });
  std::vector<double> each;
  for (std::uint32_t i = 0; i < kBursts; ++i) {
    for (const auto until = Clock::now() + kPauseAwake; Clock::now() < until;) {
    }
    each.push_back(channel.take(kBurst) / kBurst);
  }
  ends = true;
  busy.join();
  return each;
}

void print(const char* what, const std::vector<double>& each) {
  std::printf("%-52s %7.1f %7.1f\n", what, median(each), mean(each));
}

void run() {
  const test::TemporaryFolder folder;
  const auto group = "BENCH-" + std::to_string(::getpid());
  const auto control_socket = folder.path("control.sock");
  std::ofstream(folder.path("tlsmux.json")) << config_text(group, control_socket);
  const auto programs = std::filesystem::read_symlink("/proc/self/exe").parent_path().string();
  bench::ChildProcess engine({.command = {programs + "/tlsmuxd", folder.path("tlsmux.json")},
                              .environment = {},
                              .log_file = {},
                              .descriptors = {},
                              .signal_if_orphaned = SIGTERM});
  const Channel usual(group, control_socket, "usual");
  const Channel another(group, control_socket, "usual");
  const Channel large(group, control_socket, "large");
  static_cast<void>(usual.take(1));

  std::printf("%-52s %7s %7s\n", "ns for a trace number", "median", "mean");
  print("inside a block", inside_blocks(large));
  print("32 at a time, a millisecond apart: engine asleep", with_an_engine_asleep(usual));
  print("32 at a time, 20 us apart: engine awake", with_an_engine_awake(usual, another));
  std::printf("%-52s %7s %7.1f\n", "1,000,000 without a pause, waits for blocks included", "",
              usual.take(kFlatOut) / kFlatOut);
}

}  // namespace

int main() {
  ::umask(022);  // tlsmuxd takes no configuration that others may change
  try {
    run();
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "trace_number_bench: %s\n", error.what());
    return 1;
  }
}
