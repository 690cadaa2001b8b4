#include "engine/io/io_loop.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <utility>

#include "engine/io/ring.hpp"
#include "engine/io/tcp_socket.hpp"
#include "shm/assert.hpp"
#include "shm/unique_fd.hpp"

namespace tlsmux::engine::io {
namespace {

constexpr std::uint32_t kEntries = 1024;
constexpr std::size_t kCompletionsPerTurn = 512;
constexpr std::uint64_t kOne = 1;

enum class Kind : std::uint8_t { install, connect, receive, send, cancel, remove, watch, unwatch, wake };

// What comes back with each completion: 8 bits kind, 24 bits index, 32 bits generation.
constexpr std::uint64_t user_data(Kind kind, std::uint32_t index, std::uint32_t generation = 0) {
  return std::uint64_t{generation} << 32 | std::uint64_t{index} << 8 | static_cast<std::uint64_t>(kind);
}

// One session's connection. Its place is used again only after `closed`, when nothing of it is under way any more.
struct Connection {
  mux::SessionId session;
  shm::UniqueFd socket;  // until the ring's table has it
  int table_value = -1;  // what is being put into the ring's table; the kernel reads it
  sockaddr_storage address{};
  socklen_t address_bytes = 0;
  std::uint32_t under_way = 0;  // entries whose last completion is still to come
  bool installed = false;
  bool closing = false;
};

struct Completion {
  Kind kind{};
  std::uint32_t index = 0;
  std::int32_t result = 0;
  std::uint32_t flags = 0;
};

// What must not be told before the next turn, because the multiplexer is just calling us.
struct Deferred {
  mux::SessionId session;
  int connect_error = 0;  // 0: closed
};

}  // namespace

struct IoLoop::Implementation {
  Ring ring;
  ReceiveBuffers receive_buffers;
  SendArena send_arena;
  std::vector<Connection> connections;
  std::vector<Deferred> deferred;
  std::vector<Deferred> telling;
  std::vector<int> watched;  // descriptor by watch; -1: none

  void start_entry(io_uring_sqe* entry, Connection& connection, Kind kind);
  void update_table(Connection& connection, Kind kind, int value, unsigned flags);
  void receive(Connection& connection);
  void close_further(Connection& connection);
  void poll(std::uint32_t watch);
  void complete(const Completion& completion, IoEvents& events);
  void complete_connection(const Completion& completion, IoEvents& events);
  void complete_receive(Connection& connection, const Completion& completion, IoEvents& events);
  void complete_watch(const Completion& completion, IoEvents& events);
};

// ---- Entries ----

// After the entry was prepared.
void IoLoop::Implementation::start_entry(io_uring_sqe* entry, Connection& connection, Kind kind) {
  io_uring_sqe_set_data64(entry, user_data(kind, connection.session.index, connection.session.generation));
  ++connection.under_way;
}

void IoLoop::Implementation::update_table(Connection& connection, Kind kind, int value, unsigned flags) {
  connection.table_value = value;
  auto* entry = ring.entry();
  io_uring_prep_files_update(entry, &connection.table_value, 1, static_cast<int>(connection.session.index));
  entry->flags |= static_cast<std::uint8_t>(flags);
  start_entry(entry, connection, kind);
}

void IoLoop::Implementation::receive(Connection& connection) {
  auto* entry = ring.entry();
  io_uring_prep_recv_multishot(entry, static_cast<int>(connection.session.index), nullptr, 0, 0);
  entry->flags |= IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
  entry->buf_group = ReceiveBuffers::kGroup;
  start_entry(entry, connection, Kind::receive);
}

void IoLoop::Implementation::poll(std::uint32_t watch) {
  auto* entry = ring.entry();
  io_uring_prep_poll_multishot(entry, watched[watch], POLLIN);
  io_uring_sqe_set_data64(entry, user_data(Kind::watch, watch));
}

// ---- Connections ----

void IoLoop::connect(mux::SessionId session, const mux::Address& address, const mux::ConnectOptions& options) {
  auto& io = *implementation_;
  auto& connection = io.connections[session.index];
  TMX_ASSERT(connection.under_way == 0 && !connection.installed);
  connection.session = session;
  connection.closing = false;
  connection.address_bytes = fill_address(address, connection.address);
  auto socket = open_socket(address.family, options);
  if (!socket) {
    io.deferred.push_back({.session = session, .connect_error = socket.error()});
    return;
  }
  connection.socket = std::move(*socket);
  io.update_table(connection, Kind::install, connection.socket.get(), IOSQE_IO_LINK);
  auto* entry = io.ring.entry();
  io_uring_prep_connect(entry, static_cast<int>(session.index), reinterpret_cast<const sockaddr*>(&connection.address),
                        connection.address_bytes);
  entry->flags |= IOSQE_FIXED_FILE;
  io.start_entry(entry, connection, Kind::connect);
}

void IoLoop::send(mux::SessionId session, std::span<const std::byte> bytes) {
  auto& io = *implementation_;
  auto& connection = io.connections[session.index];
  TMX_ASSERT(connection.session == session && !connection.closing);
  auto* entry = io.ring.entry();
  const auto socket = static_cast<int>(session.index);
  if (io.send_arena.is_registered()) {
    io_uring_prep_write_fixed(entry, socket, bytes.data(), static_cast<unsigned>(bytes.size()), 0, socket);
  } else {
    io_uring_prep_send(entry, socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  entry->flags |= IOSQE_FIXED_FILE;
  io.start_entry(entry, connection, Kind::send);
}

void IoLoop::close(mux::SessionId session) {
  auto& io = *implementation_;
  auto& connection = io.connections[session.index];
  TMX_ASSERT(connection.session == session && !connection.closing);
  connection.closing = true;
  if (connection.under_way > 0) {
    // What was sent before stays with the kernel, which goes on sending it; what waits comes back as cancelled.
    auto* entry = io.ring.entry();
    io_uring_prep_cancel_fd(entry, static_cast<int>(session.index),
                            IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_FD_FIXED);
    io.start_entry(entry, connection, Kind::cancel);
  } else {
    io.close_further(connection);
  }
}

// Once nothing is under way: out of the ring's table, which closes the socket, then `closed`.
void IoLoop::Implementation::close_further(Connection& connection) {
  if (!connection.closing || connection.under_way > 0) return;
  if (connection.installed) {
    update_table(connection, Kind::remove, -1, 0);
  } else {
    connection.socket.reset();
    deferred.push_back({.session = connection.session, .connect_error = 0});
  }
}

// ---- Completions ----

void IoLoop::Implementation::complete_connection(const Completion& completion, IoEvents& events) {
  auto& connection = connections[completion.index];
  if ((completion.flags & IORING_CQE_F_MORE) == 0) --connection.under_way;
  const auto session = connection.session;
  switch (completion.kind) {
    case Kind::install:
      connection.installed = completion.result == 1;
      connection.socket.reset();  // the table holds it now
      break;
    case Kind::connect:
      if (connection.closing) break;
      if (completion.result == 0) receive(connection);
      events.connected(session, -completion.result);
      break;
    case Kind::receive: complete_receive(connection, completion, events); break;
    case Kind::send: events.sent(session, completion.result); break;
    case Kind::remove: connection.installed = false; break;
    default: break;  // a cancel tells nothing by itself
  }
  close_further(connection);
}

void IoLoop::Implementation::complete_receive(Connection& connection, const Completion& completion, IoEvents& events) {
  const auto buffer = static_cast<std::uint16_t>(completion.flags >> IORING_CQE_BUFFER_SHIFT);
  const bool has_buffer = (completion.flags & IORING_CQE_F_BUFFER) != 0;
  const bool goes_on = (completion.flags & IORING_CQE_F_MORE) != 0;
  if (completion.result > 0) {
    if (!connection.closing) {
      events.received(connection.session, receive_buffers.filled(buffer, static_cast<std::size_t>(completion.result)));
    }
    if (has_buffer) receive_buffers.give_back(buffer);
    if (!goes_on && !connection.closing) receive(connection);
    return;
  }
  if (has_buffer) receive_buffers.give_back(buffer);
  if (connection.closing) return;
  if (completion.result == -ENOBUFS) {
    receive(connection);
  } else {
    events.ended(connection.session, -completion.result);
  }
}

void IoLoop::Implementation::complete_watch(const Completion& completion, IoEvents& events) {
  const auto watch = completion.index;
  const bool goes_on = (completion.flags & IORING_CQE_F_MORE) != 0;
  if (watched[watch] < 0) {
    if (!goes_on) events.unwatched(watch);
    return;
  }
  if (!goes_on) poll(watch);
  events.rung(watch);
}

void IoLoop::Implementation::complete(const Completion& completion, IoEvents& events) {
  switch (completion.kind) {
    case Kind::watch: return complete_watch(completion, events);
    case Kind::unwatch: return;  // the watch's own last completion tells
    case Kind::wake: return events.woken(completion.index);
    default: return complete_connection(completion, events);
  }
}

// ---- The loop ----

void IoLoop::watch(std::uint32_t watch, int descriptor) {
  auto& io = *implementation_;
  if (watch >= io.watched.size()) io.watched.resize(watch + 1, -1);
  TMX_ASSERT(io.watched[watch] < 0);
  io.watched[watch] = descriptor;
  io.poll(watch);
}

void IoLoop::unwatch(std::uint32_t watch) {
  auto& io = *implementation_;
  io.watched[watch] = -1;
  auto* entry = io.ring.entry();
  // Not IORING_OP_POLL_REMOVE: it leaves a poll alone that is just about to tell of an event.
  io_uring_prep_cancel64(entry, user_data(Kind::watch, watch), 0);
  io_uring_sqe_set_data64(entry, user_data(Kind::unwatch, watch));
}

void IoLoop::wake(std::uint32_t waker, int descriptor) {
  auto* entry = implementation_->ring.entry();
  io_uring_prep_write(entry, descriptor, &kOne, sizeof kOne, 0);
  io_uring_sqe_set_data64(entry, user_data(Kind::wake, waker));
}

void IoLoop::wait(std::chrono::nanoseconds wait) {
  auto& ring = implementation_->ring;
  int result = 0;
  if (wait.count() > 0 && implementation_->deferred.empty()) {
    __kernel_timespec timeout{.tv_sec = wait.count() / 1'000'000'000, .tv_nsec = wait.count() % 1'000'000'000};
    io_uring_cqe* first = nullptr;
    result = io_uring_submit_and_wait_timeout(ring.get(), &first, 1, &timeout, nullptr);
  } else {
    result = io_uring_submit_and_get_events(ring.get());
  }
  const bool expected = result >= 0 || result == -ETIME || result == -EINTR || result == -EAGAIN || result == -EBUSY;
  TMX_ASSERT(expected);
}

bool IoLoop::has_news() const {
  const auto& io = *implementation_;
  return !io.deferred.empty() || io.ring.has_news();
}

bool IoLoop::tell(IoEvents& events) {
  auto& io = *implementation_;
  std::swap(io.telling, io.deferred);
  const bool any_deferred = !io.telling.empty();
  for (const auto& news : io.telling) {
    if (news.connect_error != 0) {
      events.connected(news.session, news.connect_error);
    } else {
      events.closed(news.session);
    }
  }
  io.telling.clear();

  // Taken out before they are told, since telling makes new entries, and those may have to be submitted.
  io_uring_cqe* raw[kCompletionsPerTurn];
  std::array<Completion, kCompletionsPerTurn> completions;
  const auto count = io_uring_peek_batch_cqe(io.ring.get(), raw, kCompletionsPerTurn);
  for (unsigned i = 0; i < count; ++i) {
    const auto data = io_uring_cqe_get_data64(raw[i]);
    completions[i] = {.kind = static_cast<Kind>(data & 0xff),
                      .index = static_cast<std::uint32_t>(data >> 8 & 0xffffff),
                      .result = raw[i]->res,
                      .flags = raw[i]->flags};
  }
  io_uring_cq_advance(io.ring.get(), count);
  for (unsigned i = 0; i < count; ++i) io.complete(completions[i], events);
  return any_deferred || count > 0;
}

std::span<std::byte> IoLoop::send_memory(std::uint32_t session_index) {
  return implementation_->send_arena.of(session_index);
}

bool IoLoop::has_registered_memory() const { return implementation_->send_arena.is_registered(); }

IoLoop::IoLoop(std::unique_ptr<Implementation> implementation) : implementation_(std::move(implementation)) {}
IoLoop::~IoLoop() = default;

std::expected<std::unique_ptr<IoLoop>, shm::SystemError> IoLoop::create(const IoSettings& settings) {
  auto io = std::make_unique<Implementation>();
  const auto sessions = static_cast<std::uint32_t>(settings.send_memory_bytes.size());
  if (auto done = io->ring.start(kEntries, std::max(sessions, 1U)); !done) return std::unexpected(done.error());
  if (auto done = io->receive_buffers.start(io->ring, settings.receive_buffers, settings.receive_buffer_bytes); !done) {
    return std::unexpected(done.error());
  }
  if (auto done = io->send_arena.start(io->ring, settings.send_memory_bytes); !done) {
    return std::unexpected(done.error());
  }
  io->connections.resize(sessions);
  return std::make_unique<IoLoop>(std::move(io));
}

}  // namespace tlsmux::engine::io
