// How the bytes of a stream are to travel between a process and the engine: by a socket, or by rings in shared memory with
// something on a descriptor that says when there is anything to read, since a program polls. README.md has what came out.
//
// Two processes pass messages to and fro, as client and engine do, without TLS: the process's go upwards as they are, the
// engine's come downwards in records. The rings are less than what a stream would need: no room to wait for, no end, nothing that
// must be checked because the other side may be hostile.
//
// usage: stream_bench [REPEATS]

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bench/monotonic_clock.hpp"
#include "bench/process/cpu_time.hpp"
#include "bench/statistics.hpp"
#include "shm/doorbell.hpp"
#include "shm/stream_record.hpp"
#include "shm/system/unique_fd.hpp"

namespace {

using namespace tlsmux;

constexpr std::size_t kBytesMax = 16 * 1024;
constexpr std::uint64_t kSliceNs = 150'000'000;
constexpr std::byte kEnd{0xff};  // the first byte of a message after which nothing comes

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::_Exit(1);
}

void require(bool holds, const char* what) {
  if (!holds) fail(what);
}

// One side: whole messages, each of a length that both know. Blocks.
class Side {
 public:
  virtual ~Side() = default;
  virtual void put(std::span<std::byte> message) = 0;
  virtual void get(std::span<std::byte> message) = 0;
};

void receive_all(int socket, std::span<std::byte> to) {
  while (!to.empty()) {
    const auto got = ::recv(socket, to.data(), to.size(), 0);
    require(got > 0, "recv");
    to = to.subspan(static_cast<std::size_t>(got));
  }
}

// As it is built: client/streams/stream_socket reads like this.
class SocketSide : public Side {
 public:
  SocketSide(int socket, bool is_engine) : socket_(socket), is_engine_(is_engine) {}

  void put(std::span<std::byte> message) override {
    auto header = shm::stream_record(shm::StreamRecordType::data, static_cast<std::uint32_t>(message.size()));
    const std::array parts = {iovec{.iov_base = &header, .iov_len = sizeof header},
                              iovec{.iov_base = message.data(), .iov_len = message.size()}};
    const auto used = is_engine_ ? std::span(parts) : std::span(parts).subspan(1);
    const auto bytes = message.size() + (is_engine_ ? sizeof header : 0);
    // A blocking write of a socket gives back less than all only when a signal comes.
    require(::writev(socket_, used.data(), static_cast<int>(used.size())) == static_cast<ssize_t>(bytes), "writev");
  }

  void get(std::span<std::byte> message) override {
    if (!is_engine_) {
      std::array<std::byte, sizeof(shm::StreamRecordHeader)> header{};
      receive_all(socket_, header);
    }
    receive_all(socket_, message);
  }

 private:
  int socket_;
  bool is_engine_;
};

struct Direction {
  static constexpr std::size_t kSlots = 16;
  alignas(64) std::atomic<std::uint64_t> written;
  alignas(64) std::atomic<std::uint32_t> reader_armed;
  alignas(64) std::array<std::array<std::byte, kBytesMax>, kSlots> slots;
};

enum class Signal : std::uint8_t {
  byte_on_socket,  // one for each message, taken with it: the socket is readable while, and only while, a message is unread
  eventfd,         // counts likewise
  bell,            // is rung only for a reader that sleeps, so nobody can poll for a message: what tmx_call has
};

class RingSide : public Side {
 public:
  RingSide(Direction& out, Direction& in, int out_descriptor, int in_descriptor, Signal signal)
      : out_(out), in_(in), out_descriptor_(out_descriptor), in_descriptor_(in_descriptor), signal_(signal) {}

  void put(std::span<std::byte> message) override {
    std::memcpy(out_.slots[put_ % Direction::kSlots].data(), message.data(), message.size());
    out_.written.store(++put_, std::memory_order_release);
    if (signal_ == Signal::bell && !shm::must_ring(out_.reader_armed)) return;
    if (signal_ == Signal::byte_on_socket) {
      require(::send(out_descriptor_, "", 1, 0) == 1, "send");
    } else {
      ::eventfd_write(out_descriptor_, 1);
    }
  }

  void get(std::span<std::byte> message) override {
    await();
    std::memcpy(message.data(), in_.slots[got_++ % Direction::kSlots].data(), message.size());
  }

 private:
  void await() {
    std::uint64_t rung = 0;
    if (signal_ == Signal::byte_on_socket) {
      char byte = 0;
      require(::recv(in_descriptor_, &byte, 1, 0) == 1, "recv");
    } else if (signal_ == Signal::eventfd) {
      ::eventfd_read(in_descriptor_, &rung);
    }
    while (in_.written.load(std::memory_order_acquire) == got_) {
      shm::arm(in_.reader_armed);
      if (in_.written.load(std::memory_order_acquire) == got_) ::eventfd_read(in_descriptor_, &rung);
      shm::disarm(in_.reader_armed);
    }
  }

  Direction& out_;
  Direction& in_;
  int out_descriptor_;
  int in_descriptor_;
  Signal signal_;
  std::uint64_t put_ = 0;
  std::uint64_t got_ = 0;
};

struct Shared {
  Direction upwards;
  Direction downwards;
};

enum class Way : std::uint8_t { unix_socket, tcp_socket, rings_and_byte, rings_and_eventfd, rings_and_bell };
constexpr std::array kWays = {Way::unix_socket, Way::tcp_socket, Way::rings_and_byte, Way::rings_and_eventfd,
                              Way::rings_and_bell};

const char* name_of(Way way) {
  switch (way) {
    case Way::unix_socket: return "UNIX socket";
    case Way::tcp_socket: return "TCP socket on loopback";
    case Way::rings_and_byte: return "rings, a byte on a socket for each message";
    case Way::rings_and_eventfd: return "rings, an eventfd that counts messages";
    case Way::rings_and_bell: return "rings, a bell for sleepers: no poll";
  }
  return "";
}

std::pair<shm::UniqueFd, shm::UniqueFd> unix_pair() {
  int ends[2];
  require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, "socketpair");
  return {shm::UniqueFd(ends[0]), shm::UniqueFd(ends[1])};
}

std::pair<shm::UniqueFd, shm::UniqueFd> tcp_pair() {
  const shm::UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t bytes = sizeof address;
  auto* const name = reinterpret_cast<sockaddr*>(&address);
  require(::bind(listener.get(), name, bytes) == 0 && ::listen(listener.get(), 1) == 0 &&
              ::getsockname(listener.get(), name, &bytes) == 0,
          "listen");
  shm::UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  require(::connect(client.get(), name, bytes) == 0, "connect");
  shm::UniqueFd engine(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  const int on = 1;
  for (const int socket : {client.get(), engine.get()}) {
    require(::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0, "TCP_NODELAY");
  }
  return {std::move(client), std::move(engine)};
}

// What the two processes have of one way; both have all of it.
class Link {
 public:
  explicit Link(Way way) : way_(way), sockets_(way == Way::tcp_socket ? tcp_pair() : unix_pair()) {
    const int flags = EFD_CLOEXEC | (way == Way::rings_and_eventfd ? EFD_SEMAPHORE : 0);
    up_.reset(::eventfd(0, flags));
    down_.reset(::eventfd(0, flags));
    void* const memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    require(up_ && down_ && memory != MAP_FAILED, "mmap");
    shared_ = static_cast<Shared*>(memory);
  }
  ~Link() { ::munmap(shared_, sizeof(Shared)); }
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  [[nodiscard]] std::unique_ptr<Side> side(bool is_engine) const {
    const int socket = (is_engine ? sockets_.second : sockets_.first).get();
    if (way_ == Way::unix_socket || way_ == Way::tcp_socket) return std::make_unique<SocketSide>(socket, is_engine);
    auto& out = is_engine ? shared_->downwards : shared_->upwards;
    auto& in = is_engine ? shared_->upwards : shared_->downwards;
    if (way_ == Way::rings_and_byte) {
      return std::make_unique<RingSide>(out, in, socket, socket, Signal::byte_on_socket);
    }
    return std::make_unique<RingSide>(out, in, (is_engine ? down_ : up_).get(), (is_engine ? up_ : down_).get(),
                                      way_ == Way::rings_and_eventfd ? Signal::eventfd : Signal::bell);
  }

 private:
  Way way_;
  std::pair<shm::UniqueFd, shm::UniqueFd> sockets_;
  shm::UniqueFd up_;
  shm::UniqueFd down_;
  Shared* shared_ = nullptr;
};

// A processor for each, where there are two: else whether the kernel puts both on the same one would decide.
void take_processor(const cpu_set_t& allowed, int number) {
  for (int processor = 0; processor < CPU_SETSIZE; ++processor) {
    if (!CPU_ISSET(processor, &allowed) || number-- > 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(processor, &one);
    ::sched_setaffinity(0, sizeof one, &one);
    return;
  }
}

[[noreturn]] void answer(Side& side, std::size_t bytes) {
  std::array<std::byte, kBytesMax> buffer{};
  const auto message = std::span(buffer).first(bytes);
  for (;;) {
    side.get(message);
    if (message.front() == kEnd) std::_Exit(0);
    side.put(message);
  }
}

struct Load {
  const char* name;
  std::size_t bytes;
  std::size_t in_flight;
};
constexpr std::array kLoads = {Load{"300 bytes, 1 at a time", 300, 1}, Load{"16 KiB, 1 at a time", kBytesMax, 1},
                               Load{"16 KiB, 8 open", kBytesMax, 8}};

struct Figures {
  double us = 0;      // from one answer to the next
  double cpu_us = 0;  // of both sides, for each answer
};

Figures ask(Side& side, const Load& load, pid_t peer) {
  std::array<std::byte, kBytesMax> buffer{};
  const auto message = std::span(buffer).first(load.bytes);
  const auto cpu_before = bench::cpu_ns(::getpid()) + bench::cpu_ns(peer);
  const auto start_ns = bench::now_ns();
  std::uint64_t answers = 0;
  for (std::size_t i = 0; i < load.in_flight; ++i) side.put(message);
  for (; bench::now_ns() - start_ns < kSliceNs; ++answers) {
    side.get(message);
    side.put(message);
  }
  const auto took_ns = bench::now_ns() - start_ns;
  const auto cpu_ns = bench::cpu_ns(::getpid()) + bench::cpu_ns(peer) - cpu_before;
  for (std::size_t i = 0; i < load.in_flight; ++i) side.get(message);
  const auto count = static_cast<double>(answers);
  return {.us = static_cast<double>(took_ns) / count / 1000, .cpu_us = static_cast<double>(cpu_ns) / count / 1000};
}

Figures measure(Way way, const Load& load, const cpu_set_t& allowed) {
  const Link link(way);
  const pid_t parent = ::getpid();
  const pid_t peer = ::fork();
  require(peer >= 0, "fork");
  if (peer == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) std::_Exit(1);
    take_processor(allowed, 1);
    answer(*link.side(true), load.bytes);
  }
  const auto side = link.side(false);
  const auto figures = ask(*side, load, peer);
  std::array<std::byte, kBytesMax> last{};
  last.front() = kEnd;
  side->put(std::span(last).first(load.bytes));
  require(::waitpid(peer, nullptr, 0) == peer, "waitpid");
  return figures;
}

using Slices = std::array<std::pair<std::vector<double>, std::vector<double>>, kWays.size()>;  // times, processor times

void print(const Load& load, const Slices& slices) {
  const auto ratio = [](const std::vector<double>& ours, const std::vector<double>& theirs) {
    const auto interval = bench::bootstrap_median(bench::paired_ratios(ours, theirs));
    char text[64];
    std::snprintf(text, sizeof text, "%.2f (%.2f to %.2f)", interval.middle, interval.low, interval.high);
    return std::string(text);
  };
  for (std::size_t i = 0; i < kWays.size(); ++i) {
    const auto& [times, cpu] = slices[i];
    std::printf("| %s | %s | %.1f | %s | %.1f | %s |\n", load.name, name_of(kWays[i]), bench::median(times),
                ratio(times, slices[0].first).c_str(), bench::median(cpu), ratio(cpu, slices[0].second).c_str());
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int repeats = argc > 1 ? std::atoi(argv[1]) : 15;
  cpu_set_t allowed;
  ::sched_getaffinity(0, sizeof allowed, &allowed);
  take_processor(allowed, 0);
  std::puts(
      "| messages | by | µs for each | × UNIX socket | CPU µs of both | × UNIX socket |\n|---|---|--:|--:|--:|--:|");
  for (const auto& load : kLoads) {
    Slices slices;
    for (int repeat = 0; repeat < repeats; ++repeat) {
      for (std::size_t i = 0; i < kWays.size(); ++i) {
        // Nobody always comes after the same one.
        const auto at = repeat % 2 == 0 ? i : kWays.size() - 1 - i;
        const auto figures = measure(kWays[at], load, allowed);
        slices[at].first.push_back(figures.us);
        slices[at].second.push_back(figures.cpu_us);
      }
    }
    print(load, slices);
  }
  return 0;
}
