#include "client/client.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <new>
#include <utility>

#include "client/monotonic_clock.hpp"
#include "client/no_cancellation.hpp"
#include "client/ports/client_ports.hpp"
#include "client/readable.hpp"
#include "client/timer.hpp"

namespace tlsmux::client {
namespace {

using shm::SystemError;

// While it looks, other threads may have something to do as well.
constexpr std::int64_t kLookUnderLockNs = us_to_ns(5);

// Worth another try while there is time: the engine is busy or being replaced. All else is an answer.
bool is_passing(int code) { return code == EAGAIN || code == ECONNRESET || code == EPIPE; }

std::string words_if_possible(const char* words) {
  try {
    return words;
  } catch (const std::bad_alloc&) {
    return {};
  }
}

}  // namespace

std::expected<std::shared_ptr<Client>, SystemError> Client::attach(ClientOptions options) {
  auto fork_guard = ForkGuard::create();
  if (!fork_guard) return std::unexpected(fork_guard.error());
  std::shared_ptr<Client> client(new Client(std::move(options), std::move(*fork_guard)));
  client->link_.step(now_ns());  // the engine wakes up meanwhile
  auto timer = make_timer();
  if (!timer) return std::unexpected(timer.error());
  client->timer_ = std::move(*timer);
  if (auto added = client->hub_.add(client->timer_.get()); !added) return std::unexpected(added.error());
  if (auto attached = client->wait_until_attached(); !attached) return std::unexpected(attached.error());
  client->epoch_ = client->link_.attachment()->epoch();
  return client;
}

Client::Client(ClientOptions options, std::shared_ptr<const ForkGuard> fork_guard)
    : options_(std::move(options)), fork_guard_(std::move(fork_guard)), link_(options_, hub_, fork_guard_) {}

Client::~Client() {
  if (!in_child()) link_.say_goodbye();
}

std::expected<void, SystemError> Client::wait_until_attached() {
  const auto begun = now_ns();
  const auto until = begun + ms_to_ns(options_.timeout_ms);
  const auto look_until = begun + us_to_ns(options_.look_us);
  std::expected<void, SystemError> result;
  for (std::uint32_t failures = 0;;) {
    const auto now = now_ns();
    link_.step(now);
    if (link_.attachment() != nullptr) break;
    if (link_.failures() != failures) {
      failures = link_.failures();
      result = std::unexpected(link_.last_failure());
      if (!is_passing(result.error().code)) return result;
    }
    if (now >= until) {
      if (!result) return result;
      return std::unexpected(SystemError{.code = ETIMEDOUT, .message = "the engine did not answer in time"});
    }
    const int socket = link_.attempt_socket();
    if (socket >= 0 && look_until_readable(socket, look_until)) continue;
    pollfd wanted{.fd = socket, .events = POLLIN, .revents = 0};  // a negative one is passed over
    ::poll(&wanted, 1, ms_until(std::min(until, link_.next_step_ns()), now_ns()));
  }
  return {};
}

void Client::step(std::int64_t now) {
  const NoCancellation whole;
  const std::lock_guard lock(mutex_);
  step_locked(now);
}

void Client::step_locked(std::int64_t now) {
  try {
    drive(now);
  } catch (const std::bad_alloc&) {
    // Half of a conversation with the engine may be lost: begin anew, later.
    if (link_.attachment() != nullptr) link_.lose(Loss::detached, {.code = ENOMEM, .message = {}}, now);
    registry_.forget_engine();
    if (ports_owner_ != nullptr) ports_owner_->engine_lost(now);
    epoch_ = 0;
  }
  set_timer(now);
}

// For the ticket's owner, who looks at it afterwards and need not be nudged.
void Client::step_quietly(ChannelTicket& ticket, std::int64_t now) {
  const int nudge = std::exchange(ticket.nudge, -1);
  step_locked(now);
  ticket.nudge = nudge;
}

void Client::look_for_answer(std::int64_t until_ns) {
  for (auto now = now_ns(); now < until_ns; now = now_ns()) {
    const std::lock_guard lock(mutex_);
    if (link_.control() < 0) return;
    if (look_until_readable(link_.control(), std::min(until_ns, now + kLookUnderLockNs))) return;
  }
}

void Client::drive(std::int64_t now) {
  link_.step(now);
  while (auto packet = link_.receive(now)) {
    const auto taken = take(*packet, now);
    if (!taken) link_.lose(Loss::detached, taken.error(), now);
  }
  if (const auto refusal = registry_.take_refusal()) note_error(*refusal);

  const auto epoch = link_.attachment() != nullptr ? link_.attachment()->epoch() : 0;
  if (epoch != epoch_) {
    if (epoch_ != 0) registry_.forget_engine();
    if (epoch_ != 0 && ports_owner_ != nullptr) ports_owner_->engine_lost(now);
    epoch_ = epoch;
  }
  if (link_.attachment() == nullptr) {
    note_error(link_.last_failure());
    return;
  }
  pump(now);
}

bool Client::asks_for_port() const { return ports_owner_ != nullptr && ports_owner_->questions().is_asking(); }

// One question is on the way at a time, for a channel or a port: a refusal does not say what it refuses.
std::expected<void, SystemError> Client::take(shm::Packet& packet, std::int64_t now) {
  is_channels_turn_ = asks_for_port();
  return is_channels_turn_ ? ports_owner_->questions().take(packet) : registry_.take(packet, link_.attachment(), now);
}

void Client::pump(std::int64_t now) {
  const auto ask_for_channels = [&] {
    if (!asks_for_port()) registry_.pump(link_.control(), now);
  };
  if (is_channels_turn_) ask_for_channels();
  if (ports_owner_ != nullptr) ports_owner_->questions().pump(link_.control(), !registry_.is_asking());
  if (!is_channels_turn_) ask_for_channels();
}

void Client::set_timer(std::int64_t now) {
  auto next = link_.next_step_ns();
  if (link_.control() >= 0 && !asks_for_port()) next = std::min(next, registry_.next_step_ns());
  if (next == timer_set_ns_ && next > now) return;
  client::set_timer(timer_.get(), next);
  timer_set_ns_ = next;
}

void Client::condemn(const Attachment& attachment, const char* why, std::int64_t now) {
  const std::lock_guard lock(mutex_);
  if (link_.attachment().get() == &attachment) {
    link_.lose(Loss::detached, {.code = EPROTO, .message = words_if_possible(why)}, now);
  }
  step_locked(now);
}

std::expected<ChannelTicket*, SystemError> Client::enroll(const shm::Name& upstream, const ChannelSettings& settings,
                                                          int epoll, int nudge) {
  const std::lock_guard lock(mutex_);
  hub_.make_room();  // from here on the ticket has an owner, or is gone: it names the owner's descriptor
  auto* ticket = registry_.add(upstream, settings, nudge);
  step_quietly(*ticket, now_ns());  // asks; the engine answers while the rest is done
  if (auto joined = hub_.join(epoll); !joined) {
    registry_.remove(ticket, nullptr);
    return std::unexpected(joined.error());
  }
  return ticket;
}

std::expected<std::unique_ptr<AttachedChannel>, int> Client::claim(ChannelTicket* ticket, std::int64_t now) {
  const std::lock_guard lock(mutex_);
  if (ticket->state != ChannelTicket::State::opened) step_quietly(*ticket, now);
  if (ticket->state == ChannelTicket::State::refused) return std::unexpected(ticket->refusal.code);
  if (ticket->state != ChannelTicket::State::opened) return std::unexpected(ENOTCONN);
  ticket->state = ChannelTicket::State::claimed;
  return std::move(ticket->opened);
}

void Client::give_back(ChannelTicket* ticket, std::unique_ptr<AttachedChannel> claimed) {
  const std::lock_guard lock(mutex_);
  if (ticket->state != ChannelTicket::State::claimed) return;  // of an engine that is lost meanwhile
  ticket->opened = std::move(claimed);
  ticket->state = ChannelTicket::State::opened;
}

void Client::leave(ChannelTicket* ticket, int epoll, std::unique_ptr<AttachedChannel> attached) {
  const std::lock_guard lock(mutex_);
  hub_.leave(epoll);
  registry_.remove(ticket, std::move(attached));
  step_locked(now_ns());
}

ClientPorts& Client::ports() {
  if (auto* const ports = ports_.load(std::memory_order_acquire)) return *ports;
  const std::lock_guard lock(mutex_);
  if (ports_owner_ == nullptr) {
    ports_owner_ = std::make_unique<ClientPorts>(*this);
    ports_.store(ports_owner_.get(), std::memory_order_release);
  }
  return *ports_owner_;
}

bool Client::has_channels() {
  const std::lock_guard lock(mutex_);
  return !registry_.empty();
}

std::string Client::last_error() {
  const std::lock_guard lock(mutex_);
  return last_error_;
}

void Client::note_error(const SystemError& error) {
  if (!error.message.empty()) last_error_ = error.message;
}

}  // namespace tlsmux::client
