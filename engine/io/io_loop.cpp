#include "engine/io/io_loop.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "engine/io/completion.hpp"
#include "engine/io/ring.hpp"
#include "engine/io/stream_places.hpp"
#include "engine/io/tcp_socket.hpp"
#include "shm/assert.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::engine::io {
namespace {

constexpr std::uint32_t kEntries = 1024;
constexpr std::size_t kCompletionsPerTurn = 512;
constexpr std::uint64_t kOne = 1;

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
  bool receiving = false;  // a receive is under way
  bool held = false;       // none is to be
  bool stopping = false;   // the cancel of one is under way
  std::optional<int> end;  // an errno; came while it was held, and is told when it is resumed
};

enum class News : std::uint8_t { connect_failed, ended, closed };

// What must not be told before the next turn, because the multiplexer is just calling us.
struct Deferred {
  mux::SessionId session;
  News news{};
  int connect_error = 0;
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
  StreamPlaces streams{ring, receive_buffers};

  void start_entry(io_uring_sqe* entry, Connection& connection, Kind kind);
  void update_table(Connection& connection, Kind kind, int value, unsigned flags);
  void receive(Connection& connection);
  void stop_receiving(Connection& connection);
  void close_further(Connection& connection);
  void poll(std::uint32_t watch);
  void complete(const Completion& completion, IoEvents& events);
  void complete_connection(const Completion& completion, IoEvents& events);
  void complete_receive(Connection& connection, const Completion& completion, IoEvents& events);
  void tell_deferred(const Deferred& news, IoEvents& events);
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
  connection.receiving = true;
}

// Takes no byte away: what the kernel has received by then comes with completions of its own, or stays in the socket.
void IoLoop::Implementation::stop_receiving(Connection& connection) {
  auto* entry = ring.entry();
  io_uring_prep_cancel64(entry, user_data(Kind::receive, connection.session.index, connection.session.generation), 0);
  start_entry(entry, connection, Kind::hold);
  connection.stopping = true;
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
  connection.closing = connection.held = false;
  connection.end.reset();
  connection.address_bytes = fill_address(address, connection.address);
  auto socket = open_socket(address.family, options);
  if (!socket) {
    io.deferred.push_back({.session = session, .news = News::connect_failed, .connect_error = socket.error()});
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

void IoLoop::hold(mux::SessionId session) {
  auto& connection = implementation_->connections[session.index];
  TMX_ASSERT(connection.session == session && !connection.closing);
  connection.held = true;
  if (connection.receiving && !connection.stopping) implementation_->stop_receiving(connection);
}

void IoLoop::resume(mux::SessionId session) {
  auto& io = *implementation_;
  auto& connection = io.connections[session.index];
  TMX_ASSERT(connection.session == session && !connection.closing);
  connection.held = false;
  if (connection.end) {
    io.deferred.push_back({.session = session, .news = News::ended});
  } else if (!connection.receiving) {
    io.receive(connection);
  }  // else what is under way goes on, or is begun again when its cancel has come through
}

// Once nothing is under way: out of the ring's table, which closes the socket, then `closed`.
void IoLoop::Implementation::close_further(Connection& connection) {
  if (!connection.closing || connection.under_way > 0) return;
  if (connection.installed) {
    update_table(connection, Kind::remove, -1, 0);
  } else {
    connection.socket.reset();
    deferred.push_back({.session = connection.session, .news = News::closed});
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
    case Kind::hold:
      connection.stopping = false;
      // It has come through, but was meant for an earlier receive.
      if (completion.result >= 0 && connection.held && connection.receiving && !connection.closing) {
        stop_receiving(connection);
      }
      break;
    case Kind::send: events.sent(session, completion.result); break;
    case Kind::remove: connection.installed = false; break;
    default: break;  // a cancel tells nothing by itself
  }
  close_further(connection);
}

void IoLoop::Implementation::complete_receive(Connection& connection, const Completion& completion, IoEvents& events) {
  const auto buffer = static_cast<std::uint16_t>(completion.flags >> IORING_CQE_BUFFER_SHIFT);
  const bool has_buffer = (completion.flags & IORING_CQE_F_BUFFER) != 0;
  const auto result = completion.result;
  connection.receiving = (completion.flags & IORING_CQE_F_MORE) != 0;
  if (result > 0 && !connection.closing) {
    events.received(connection.session, receive_buffers.filled(buffer, static_cast<std::size_t>(result)));
  }
  if (has_buffer) receive_buffers.give_back(buffer);
  if (connection.closing) return;
  const bool has_ended = result <= 0 && result != -ENOBUFS && result != -ECANCELED;
  if (has_ended && connection.held) {
    connection.end = -result;
  } else if (has_ended) {
    events.ended(connection.session, -result);
  } else if (connection.held && connection.receiving && !connection.stopping) {
    stop_receiving(connection);
  } else if (!connection.held && !connection.receiving) {
    receive(connection);
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
    default: break;
  }
  if (is_stream(completion.kind)) {
    streams.complete(completion, events);
  } else {
    complete_connection(completion, events);
  }
}

// ---- Streams ----

void IoLoop::adopt(mux::StreamId stream, shm::UniqueFd socket) {
  implementation_->streams.adopt(stream, std::move(socket));
}
void IoLoop::receive(mux::StreamId stream) { implementation_->streams.receive(stream); }
void IoLoop::send(mux::StreamId stream, std::span<const std::byte> bytes) {
  implementation_->streams.send(stream, bytes);
}
void IoLoop::watch_hang_up(mux::StreamId stream) { implementation_->streams.watch_hang_up(stream); }
void IoLoop::close(mux::StreamId stream, bool reset) { implementation_->streams.close(stream, reset); }

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

// Without waiting whatever the descriptor's flags say: the client shares them, can clear O_NONBLOCK and fill the count, and the
// write would never end. To a full one the client need not be told anything.
void IoLoop::wake(std::uint32_t waker, int descriptor) {
  auto* entry = implementation_->ring.entry();
  io_uring_prep_write(entry, descriptor, &kOne, sizeof kOne, 0);
  entry->rw_flags = RWF_NOWAIT;
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

void IoLoop::Implementation::tell_deferred(const Deferred& news, IoEvents& events) {
  const auto session = news.session;
  auto& connection = connections[session.index];
  switch (news.news) {
    case News::connect_failed: return events.connected(session, news.connect_error);
    case News::closed: return events.closed(session);
    case News::ended:
      // Unless it was held again meanwhile, or closed.
      if (connection.session != session || connection.closing || connection.held || !connection.end) return;
      const auto error = *connection.end;
      connection.end.reset();
      return events.ended(session, error);
  }
}

bool IoLoop::tell(IoEvents& events) {
  auto& io = *implementation_;
  std::swap(io.telling, io.deferred);
  const bool any_deferred = !io.telling.empty();
  for (const auto& deferred : io.telling) io.tell_deferred(deferred, events);
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
  if (auto done = io->ring.enable(); !done) return std::unexpected(done.error());
  io->connections.resize(sessions);
  return std::make_unique<IoLoop>(std::move(io));
}

}  // namespace tlsmux::engine::io
