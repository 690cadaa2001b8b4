#include "client/engine_link.hpp"

#include <sys/prctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "client/attached_channel.hpp"
#include "client/monotonic_clock.hpp"
#include "client/readable.hpp"
#include "shm/system/seqpacket.hpp"

namespace tlsmux::client {
namespace {

using shm::SystemError;

constexpr std::int64_t kHangUpGraceNs = ms_to_ns(100);
constexpr std::uint32_t kBackoffInitialMs = 10;
constexpr std::uint32_t kBackoffMaxMs = 500;

// Doubles with each failure. The clock's low digits spread the clients of an engine that went down.
std::int64_t backoff_ns(std::uint32_t failures, std::int64_t now) {
  const auto doublings = std::min(failures, 6U);
  const auto whole = ms_to_ns(std::min(kBackoffInitialMs << doublings, kBackoffMaxMs));
  return whole - now % (whole / 4);
}

}  // namespace

void EngineLink::step(std::int64_t now) {
  if (attachment() != nullptr) {
    if (is_readable(connection_.engine.get())) {
      lose(Loss::engine_died, {.code = ENOTCONN, .message = "the engine has ended"}, now);
    } else if (hung_up_until_ns_ != 0 && now >= hung_up_until_ns_) {
      lose(Loss::detached, {.code = ENOTCONN, .message = "the engine closed the control socket"}, now);
    }
  }
  if (attachment() != nullptr) return;
  advance_attempt(now);
  const bool wanted = options_.reattach || !was_attached_;
  if (attachment() == nullptr && !attempt_ && wanted && now >= next_attempt_ns_) begin_attempt(now);
}

std::int64_t EngineLink::next_step_ns() const {
  if (attachment() != nullptr) return hung_up_until_ns_ != 0 ? hung_up_until_ns_ : kNever;
  if (attempt_) return attempt_until_ns_;
  return options_.reattach || !was_attached_ ? next_attempt_ns_ : kNever;
}

void EngineLink::begin_attempt(std::int64_t now) {
  shm::AttachRequest request;
  shm::set_text(request.group, options_.group);
  request.channels = options_.channels;
  static_cast<void>(::prctl(PR_GET_NAME, request.program.data()));  // it has 16 bytes by definition
  auto attempt = AttachAttempt::start(options_.control_socket, request, ++epochs_, fork_guard_);
  if (!attempt) return fail_attempt(attempt.error(), now);
  if (auto added = hub_.add(attempt->socket()); !added) return fail_attempt(added.error(), now);
  attempt_ = std::move(*attempt);
  attempt_until_ns_ = now + ms_to_ns(options_.timeout_ms);
  advance_attempt(now);
}

void EngineLink::advance_attempt(std::int64_t now) {
  if (!attempt_) return;
  const int socket = attempt_->socket();
  auto advanced = attempt_->advance();
  if (!advanced) return fail_attempt(advanced.error(), now);
  auto& connection = *advanced;
  if (!connection) {
    if (now < attempt_until_ns_) return;
    return fail_attempt({.code = ETIMEDOUT, .message = "the engine did not answer in time"}, now);
  }
  if (auto added = hub_.add(connection->engine.get()); !added) {
    hub_.remove(socket);
    attempt_.reset();
    return fail_attempt(added.error(), now);
  }
  connection_ = std::move(*connection);
  attempt_.reset();
  hung_up_until_ns_ = 0;
  failures_ = 0;
  was_attached_ = true;
}

void EngineLink::fail_attempt(SystemError why, std::int64_t now) {
  if (attempt_) {
    hub_.remove(attempt_->socket());
    attempt_.reset();
  }
  next_attempt_ns_ = now + backoff_ns(failures_, now);
  ++failures_;
  last_failure_ = std::move(why);
}

std::optional<shm::Packet> EngineLink::receive(std::int64_t now) {
  if (!connection_.control) return std::nullopt;
  auto received = receive_now(control());
  if (!received) {
    hang_up(now);
    return std::nullopt;
  }
  auto& packet = *received;
  shm::DetachedNotice notice;
  if (!packet || !shm::read_message(*packet, notice)) return std::move(packet);
  lose(Loss::detached, error_from(notice.error, shm::text_of(notice.text)), now);
  return std::nullopt;
}

void EngineLink::hang_up(std::int64_t now) {
  hub_.remove(control());
  connection_.control.reset();
  hung_up_until_ns_ = now + kHangUpGraceNs;
}

void EngineLink::lose(Loss loss, SystemError why, std::int64_t now) {
  connection_.attachment->lose(loss);
  hub_.remove(connection_.engine.get());
  if (connection_.control) {
    hub_.remove(control());
    say_goodbye();
  }
  connection_ = {};
  hung_up_until_ns_ = 0;
  last_failure_ = std::move(why);
  // At once after a death: the next engine may be there already. Who was thrown out waits a little.
  next_attempt_ns_ = loss == Loss::engine_died ? now : now + backoff_ns(0, now);
}

// Without memory for an error: some say it because there is none.
void EngineLink::say_goodbye() {
  if (!connection_.control) return;
  shm::GoodbyeNotice notice;
  shm::fill_header(notice);
  [[maybe_unused]] const auto told = ::send(control(), &notice, sizeof notice, MSG_DONTWAIT | MSG_NOSIGNAL);
  ::shutdown(control(), SHUT_RDWR);
}

}  // namespace tlsmux::client
