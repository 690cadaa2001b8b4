// What programs send first on sockets that are redirected to the engine, when, and what is said of these sockets: each
// announcement comes to one end, and a stream is made of none but a socket that its own process has announced and that
// has brought the ticket, with the names that it has sent.
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "engine/wrapper/loopback_listeners.hpp"
#include "engine/wrapper/stream_start.hpp"
#include "engine/wrapper/wrapper_thread.hpp"
#include "tests/fuzz/choices.hpp"
#include "tests/fuzz/own_network.hpp"
#include "tests/redirect/redirect_rig.hpp"

using namespace tlsmux;
using engine::wrapper::Announcement;
using engine::wrapper::SocketGone;
using engine::wrapper::StartedStream;
using engine::wrapper::WrapperNews;
using test::ProgramSocket;

namespace {

constexpr std::uint16_t kClosedPort = 1;  // a relay comes to nothing
constexpr int kPatienceMs = 20'000;

// Knows whose a socket is also when it is closed.
class Owners {
 public:
  void add(const ProgramSocket& socket) {
    const std::scoped_lock lock(mutex_);
    owners_[socket.local().port] = {.inode = socket.inode(), .uid = ::geteuid()};
  }
  std::optional<ports::ConnectionOwner> find(const shm::PeerAddress& local) {
    const std::scoped_lock lock(mutex_);
    const auto found = owners_.find(local.port);
    return found != owners_.end() ? std::optional(found->second) : std::nullopt;
  }

 private:
  std::mutex mutex_;
  std::map<std::uint16_t, ports::ConnectionOwner> owners_;
};

// A wrapper thread, not confined: it shares its process with the fuzzer.
class Rig {
 public:
  explicit Rig(engine::wrapper::OwnerOf owner_of) {
    auto listeners = engine::wrapper::open_loopback_listeners(0);
    fuzz::require(listeners.has_value(), "no listener");
    port_ = listeners->port;
    auto thread = engine::wrapper::WrapperThread::start(std::move(*listeners), std::move(owner_of), mailbox_, log_);
    fuzz::require(thread.has_value(), "no thread");
    thread_ = std::move(*thread);
  }

  [[nodiscard]] std::uint16_t port() const { return port_; }
  engine::wrapper::WrapperThread& thread() { return *thread_; }

  std::vector<WrapperNews> take_news() {
    pollfd wanted{.fd = mailbox_.descriptor(), .events = POLLIN, .revents = 0};
    while (::poll(&wanted, 1, kPatienceMs) <= 0) fuzz::require(errno == EINTR, "no news");  // the fuzzer has an alarm
    return mailbox_.take();
  }

 private:
  engine::Log log_{config::LogLevel::error, shm::UniqueFd(::open("/dev/null", O_WRONLY | O_CLOEXEC)),
                   engine::Log::Mode::synchronous};
  engine::Mailbox<WrapperNews> mailbox_;
  std::uint16_t port_ = 0;
  std::unique_ptr<engine::wrapper::WrapperThread> thread_;
};

class Scene {
 public:
  void step(fuzz::Choices& choices) {
    const auto what = choices.next();
    auto& program = programs_[what >> 6];
    if (!program.socket) begin(program, static_cast<std::uint8_t>(what >> 6));
    switch (what % 8) {
      case 0:
      case 1: return connect(program);
      case 2: return announce(program, choices.next());
      case 3: return announce_falsely(program, choices.next());
      case 4: return program.socket->end_writing();
      case 5: return close(program);
      default: return send(program, choices);
    }
  }

  void end() {
    for (auto& program : programs_) {
      if (program.socket) close(program);
    }
    while (news_ < announcements_) {
      for (const auto& news : rig_.take_news()) hear(news);
    }
    fuzz::require(news_ == announcements_, "more news than announcements");
  }

 private:
  struct Program {
    std::unique_ptr<ProgramSocket> socket;
    std::array<std::uint8_t, shm::kStreamTicketBytes> ticket{};
    std::string sent;
    bool is_connected = false;
    bool is_announced = false;
    bool is_announced_falsely = false;
  };

  void begin(Program& program, std::uint8_t number) {
    program.socket =
        std::make_unique<ProgramSocket>(number % 2 == 0 ? ProgramSocket::Kind::ipv4 : ProgramSocket::Kind::ipv4_mapped);
    program.ticket.fill(static_cast<std::uint8_t>(++tickets_));
    owners_.add(*program.socket);
  }

  void connect(Program& program) {
    if (!std::exchange(program.is_connected, true))
      fuzz::require(program.socket->connect(rig_.port()), "no connection");
  }

  // What is announced and does not come is waited for: it comes now.
  void close(Program& program) {
    if (program.is_announced || program.is_announced_falsely) connect(program);
    finished_.push_back(std::exchange(program, {}));
    finished_.back().socket.reset();
  }

  Announcement announcement_of(const Program& program, std::uint8_t how) const {
    auto announcement = test::announcement_of(*program.socket);
    announcement.ticket = program.ticket;
    announcement.may_relay = how % 4 == 0;
    announcement.original = announcement.local;
    announcement.original.port = kClosedPort;
    return announcement;
  }
  void announce(Program& program, std::uint8_t how) {
    if (std::exchange(program.is_announced, true)) return;
    ++announcements_;
    rig_.thread().announce(announcement_of(program, how));
  }
  // Before the true one, if there is one.
  void announce_falsely(Program& program, std::uint8_t how) {
    if (program.is_announced || std::exchange(program.is_announced_falsely, true)) return;
    auto announcement = announcement_of(program, how);
    announcement.ticket.fill(0);
    if ((how & 16) != 0) {
      announcement.socket_inode += 1 + how;
    } else {
      announcement.socket_uid += 1 + how;
    }
    ++announcements_;
    rig_.thread().announce(std::move(announcement));
  }

  // The start of a stream or a part of it, perhaps bent; or anything.
  void send(Program& program, fuzz::Choices& choices) {
    const auto how = choices.next();
    connect(program);
    shm::StreamStart start;
    if ((how & 64) == 0) start.ticket = program.ticket;  // else that of a false announcement
    std::ranges::copy(choices.take(how % 16), start.server_name.begin());
    std::ranges::copy(choices.take(how / 16 % 4), start.alpn.begin());
    std::string bytes(reinterpret_cast<const char*>(&start), sizeof start);
    if ((how & 128) != 0) {
      choices.bend(std::as_writable_bytes(std::span(bytes)));
      bytes.resize(choices.next_16() % (bytes.size() + 1));
    }
    if (program.socket->send(bytes)) program.sent += bytes;
  }

  void hear(const WrapperNews& news) {
    ++news_;
    if (std::holds_alternative<SocketGone>(news)) return;
    const auto& stream = std::get<StartedStream>(news);
    const auto is_its = [&](const Program& program) { return program.ticket == stream.announcement.ticket; };
    const auto program = std::ranges::find_if(finished_, is_its);
    fuzz::require(program != finished_.end() && program->is_announced, "a stream that nobody has announced");
    shm::StreamStart start;
    fuzz::require(program->sent.size() >= sizeof start, "a stream of half a start");
    std::memcpy(&start, program->sent.data(), sizeof start);
    fuzz::require(start.ticket == program->ticket, "a stream without its ticket");
    fuzz::require(engine::wrapper::alpn_of(start) == stream.alpn, "a stream with other names");
    fuzz::require(stream.socket.get() >= 0, "a stream without a socket");
  }

  Owners owners_;
  Rig rig_{[this](const shm::PeerAddress& local, const shm::PeerAddress&) { return owners_.find(local); }};
  std::array<Program, 4> programs_;
  std::vector<Program> finished_;
  std::uint8_t tickets_ = 0;
  std::uint32_t announcements_ = 0;
  std::uint32_t news_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::OwnNetwork network;
  fuzz::Choices choices({data, size});
  Scene scene;
  for (int count = 0; count < 32 && !choices.empty(); ++count) scene.step(choices);
  scene.end();
  return 0;
}
