#include "client/ports/client_ports.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "client/client.hpp"
#include "client/monotonic_clock.hpp"
#include "client/no_cancellation.hpp"
#include "client/ports/port_tables.hpp"

namespace tlsmux::client {
namespace {

// An engine that died is replaced in some milliseconds. Longer than this nobody's bind is held up for it.
constexpr std::int64_t kRestartNs = ms_to_ns(1000);

// The whole message or nothing, and nothing but the system call.
template <typename Message>
bool send_quietly(int control, Message message) {
  message.header.type = Message::kType;
  message.header.bytes = sizeof message;
  return control >= 0 && ::send(control, &message, sizeof message, MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof message;
}

shm::ReleasePortRequest release_of(ports::Protocol protocol, std::uint16_t port) {
  shm::ReleasePortRequest request;
  request.protocol = ports::bit_of(protocol);
  request.port = port;
  return request;
}

// Of a link that is away: what of its failures means no more than that.
int error_of_absence(int code) {
  const bool says_nothing = code == 0 || code == EAGAIN || code == ECONNRESET || code == EPIPE || code == ENOTCONN;
  return says_nothing ? ECONNREFUSED : code;
}

}  // namespace

struct ClientPorts::Watch {
  int control = -1;
  int engine = -1;
  bool wants_room = false;
  std::int64_t until_ns = 0;
};

// However a wait ends.
struct ClientPorts::TicketRemoval {
  ~TicketRemoval() {
    const std::lock_guard lock(owner.client_.mutex_);
    owner.questions_.remove(ticket);
  }
  ClientPorts& owner;
  const PortTicket& ticket;
};

std::expected<PortGrant, int> ClientPorts::claim(const PortClaim& claim) {
  const bool may_be_any = claim.type.kind == shm::PortClaimKind::dynamic && claim.type.label.empty();
  if (may_be_any) {
    if (const auto grant = take_lease(claim.protocol)) return *grant;
  }
  shm::ClaimPortRequest request;
  request.kind = claim.type.kind;
  request.protocol = ports::bit_of(claim.protocol);
  request.port = claim.number;
  request.leases = may_be_any ? 1 : 0;
  shm::set_text(request.label, claim.type.label);
  const auto reply = ask(request);
  if (!reply) {
    // The last ones may have been offered to this process while it was asking.
    const auto grant = may_be_any && reply.error() == EADDRINUSE ? take_lease(claim.protocol) : std::nullopt;
    return grant ? std::expected<PortGrant, int>(*grant) : std::unexpected(reply.error());
  }
  const auto port = static_cast<std::uint16_t>(reply->port);
  // Where any would do, the engine gives one that this process has not got: a mark that is there already is one of a
  // socket that was closed without a word.
  const bool is_unmarked = held_.add(ports::bit_of(claim.protocol), port);
  return PortGrant{.port = port, .share_port = reply->share_port != 0, .is_new = is_unmarked || may_be_any};
}

// ---- Leases ----

std::optional<PortGrant> ClientPorts::take_lease(ports::Protocol protocol) {
  auto taken = leases_.take(protocol);
  if (!taken) {
    if (leases_.has_attachment() || look() == nullptr) return std::nullopt;
    taken = leases_.take(protocol);
    if (!taken) return std::nullopt;
  }
  if (taken->is_late) {
    const auto attachment = look();
    if (attachment == nullptr || attachment->epoch() != taken->epoch) return std::nullopt;  // of an engine that is gone
  }
  if (taken->wants_refill) ask_for_refill(protocol);
  held_.add(ports::bit_of(protocol), taken->port);
  return PortGrant{.port = taken->port, .share_port = taken->share_port, .is_new = true};
}

void ClientPorts::ask_for_refill(ports::Protocol protocol) {
  const NoCancellation whole;
  const std::unique_lock lock(client_.mutex_, std::try_to_lock);
  if (!lock || !send_quietly(client_.link_.control(), shm::RefillPortsRequest{})) leases_.refill_failed(protocol);
}

std::shared_ptr<Attachment> ClientPorts::look() {
  const NoCancellation whole;
  const auto now = now_ns();
  const std::lock_guard lock(client_.mutex_);
  client_.step_locked(now);
  const auto& attachment = client_.link_.attachment();
  if (attachment != nullptr) {
    leases_.trust(attachment, now);
  } else {
    leases_.distrust();
  }
  return attachment;
}

// ---- Questions ----

std::expected<shm::ClaimPortReply, int> ClientPorts::ask(const shm::ClaimPortRequest& request) {
  const NoCancellation whole;
  const shm::UniqueFd nudge(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!nudge) return std::unexpected(errno);
  PortTicket ticket;
  ticket.request = request;
  ticket.nudge = nudge.get();
  const TicketRemoval removal{*this, ticket};
  {
    const std::lock_guard lock(client_.mutex_);
    questions_.add(ticket);
  }
  return wait_for(ticket);
}

std::expected<shm::ClaimPortReply, int> ClientPorts::wait_for(PortTicket& ticket) {
  const auto until = now_ns() + ms_to_ns(client_.options().timeout_ms);
  for (;;) {
    const auto now = now_ns();
    Watch watch;
    {
      const std::lock_guard lock(client_.mutex_);
      client_.step_locked(now);
      if (ticket.is_settled) {
        if (!ticket.refusal) return ticket.grant;
        client_.note_error(*ticket.refusal);
        return std::unexpected(ticket.refusal->code);
      }
      if (const int error = absence(now); error != 0) return std::unexpected(error);
      watch = what_to_watch();
    }
    if (now >= until) return std::unexpected(ETIMEDOUT);
    // A descriptor that another thread closes meanwhile wakes nobody: the nudge does.
    const short events = watch.wants_room ? POLLIN | POLLOUT : POLLIN;
    std::array wanted{pollfd{.fd = ticket.nudge, .events = POLLIN, .revents = 0},
                      pollfd{.fd = watch.control, .events = events, .revents = 0},
                      pollfd{.fd = watch.engine, .events = POLLIN, .revents = 0}};
    ::poll(wanted.data(), wanted.size(), ms_until(std::min(until, watch.until_ns), now_ns()));
    std::uint64_t count = 0;
    [[maybe_unused]] const auto got = ::read(ticket.nudge, &count, sizeof count);
  }
}

// 0: there is an engine, or there may soon be one.
int ClientPorts::absence(std::int64_t now) const {
  if (client_.link_.attachment() != nullptr) return 0;
  if (!client_.options().reattach) return ENOTCONN;
  if (away_since_ns_ != 0 && now < away_since_ns_ + kRestartNs) return 0;
  return error_of_absence(client_.link_.last_failure().code);
}

ClientPorts::Watch ClientPorts::what_to_watch() const {
  const auto& link = client_.link_;
  if (link.attachment() != nullptr) {
    return {.control = link.control(),
            .engine = link.engine(),
            .wants_room = questions_.is_stuck(),
            .until_ns = link.next_step_ns()};
  }
  return {.control = link.attempt_socket(), .until_ns = std::min(link.next_step_ns(), away_since_ns_ + kRestartNs)};
}

void ClientPorts::engine_lost(std::int64_t now) {
  questions_.forget_engine();
  leases_.distrust();
  away_since_ns_ = now;
}

// ---- Releases ----

bool ClientPorts::release(ports::Protocol protocol, std::uint16_t port, bool in_use) {
  if (!held_.remove(ports::bit_of(protocol), port)) return false;
  auto request = release_of(protocol, port);
  request.in_use = in_use ? shm::kInUseByAnother : 0;
  send_release(request);
  return true;
}

void ClientPorts::report_in_use(ports::Protocol protocol, std::uint16_t port) {
  auto request = release_of(protocol, port);
  request.in_use = shm::kInUseByAnyone;
  send_release(request);
}

void ClientPorts::send_release(const shm::ReleasePortRequest& request) {
  const NoCancellation whole;
  const std::lock_guard lock(client_.mutex_);
  questions_.release(request);
  questions_.pump(client_.link_.control(), false);
  if (questions_.has_releases()) client_.step_locked(now_ns());
}

void ClientPorts::note_bind_error(ports::Protocol protocol, const PortGrant& grant, int error) {
  auto words = "binding port " + std::to_string(grant.port) + "/" + std::string(ports::name(protocol)) + ": " +
               std::strerror(error);
  if (error == EADDRINUSE) {
    words += grant.is_new ? "; a socket that nobody claimed holds it: `tlsmux ports` shows whose"
                          : "; this process was given it before: a socket of its own holds it, or one of "
                            "somebody else's since that was closed: `tlsmux ports` shows whose";
  } else if (error == EACCES) {
    words +=
        "; ports below net.ipv4.ip_unprivileged_port_start need CAP_NET_BIND_SERVICE, unless the group has the guard";
  }
  const std::lock_guard lock(client_.mutex_);
  client_.note_error({.code = error, .message = std::move(words)});
}

std::string ClientPorts::last_error() { return client_.last_error(); }

void ClientPorts::release_at_once(ports::Protocol protocol, std::uint16_t port) {
  if (!held_.remove(ports::bit_of(protocol), port)) return;
  const std::unique_lock lock(client_.mutex_, std::try_to_lock);
  if (lock) send_quietly(client_.link_.control(), release_of(protocol, port));
}

// ---- Tables ----

std::expected<std::uint16_t, int> ClientPorts::find(ports::Protocol protocol, std::string_view label) {
  const auto attachment = look();
  if (attachment == nullptr) return std::unexpected(client_.options().reattach ? ECONNREFUSED : ENOTCONN);
  const auto port = find_port(attachment->group(), protocol, label);
  return port ? std::expected<std::uint16_t, int>(*port) : std::unexpected(ENOENT);
}

bool ClientPorts::has_range(ports::Protocol protocol) {
  const auto attachment = look();
  return attachment != nullptr && has_dynamic_range(attachment->group(), protocol);
}

}  // namespace tlsmux::client
