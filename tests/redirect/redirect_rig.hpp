#pragma once

// A wrapper thread with real sockets on loopback.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "engine/wrapper/wrapper_thread.hpp"
#include "shm/stream_record.hpp"

namespace tlsmux::test {

// A TCP socket of a program's, on its way to the engine's listener.
class ProgramSocket {
 public:
  // Bound to 127.0.0.1, ::1, or 127.0.0.1 as IPv6 writes it; not connected.
  enum class Kind : std::uint8_t { ipv4, ipv6, ipv4_mapped };
  explicit ProgramSocket(Kind kind = Kind::ipv4);

  // False: it could not be connected.
  bool connect(std::uint16_t port);
  [[nodiscard]] int get() const { return socket_.get(); }
  [[nodiscard]] shm::PeerAddress local() const;
  [[nodiscard]] std::uint64_t inode() const;

  bool send(std::string_view bytes) const;
  bool send(const shm::StreamStart& start) const;
  // Everything until the other side ends; nothing: it was reset. Throws if nothing comes.
  [[nodiscard]] std::optional<std::string> read_all() const;
  void end_writing() const;
  // So many, or fewer if there are no more.
  [[nodiscard]] std::string receive(std::size_t count) const;

 private:
  Kind kind_;
  shm::UniqueFd socket_;
};

// What the engine sends to a stream.
struct Record {
  shm::StreamRecordType type{};
  std::string body;
};
// Throws if none comes.
Record next_record(const ProgramSocket& socket);

class RedirectRig {
 public:
  // Without a judge the kernel is asked whose a socket is.
  explicit RedirectRig(engine::wrapper::OwnerOf owner_of = {}, shm::UniqueFd log = {});

  [[nodiscard]] std::uint16_t port() const { return port_; }
  engine::wrapper::WrapperThread& thread() { return *thread_; }
  // The next piece of news. Throws if none comes.
  engine::wrapper::WrapperNews news();

 private:
  engine::Log log_;
  engine::Mailbox<engine::wrapper::WrapperNews> mailbox_;
  std::vector<engine::wrapper::WrapperNews> taken_;
  std::uint16_t port_ = 0;
  std::unique_ptr<engine::wrapper::WrapperThread> thread_;
};

// As its process would announce it.
engine::wrapper::Announcement announcement_of(const ProgramSocket& socket);

engine::wrapper::OwnerOf asks_kernel();

// The threads of a rig keep to their rules of system calls, as they do in an engine. Each rig sees to it.
void confine_once();

}  // namespace tlsmux::test
