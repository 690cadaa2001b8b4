#include "client/ports/port_questions.hpp"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "client/attach_attempt.hpp"
#include "client/ports/held_ports.hpp"

namespace tlsmux::client {
namespace {

using shm::SystemError;

// More unread messages than these the kernel does not keep in a socket (unix(7): their overhead counts as well).
constexpr std::size_t kUnreadMax = 512;

void nudge(const PortTicket& ticket) {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(ticket.nudge, &one, sizeof one);
}

}  // namespace

void PortQuestions::remove(const PortTicket& ticket) {
  const auto found = std::ranges::find(tickets_, &ticket);
  if (found == tickets_.end()) return;
  if (is_asking() && !is_abandoned_ && found == tickets_.begin()) is_abandoned_ = true;
  tickets_.erase(found);
}

void PortQuestions::forget_engine() {
  asked_.reset();
  is_abandoned_ = false;
  is_stuck_ = false;
  std::erase_if(sent_,
                [&](const auto& each) { return held_.contains(each.protocol, static_cast<std::uint16_t>(each.port)); });
  releases_.insert(releases_.begin(), sent_.begin(), sent_.end());
  sent_.clear();
  for (const auto* ticket : tickets_) nudge(*ticket);
}

std::expected<void, SystemError> PortQuestions::take(const shm::Packet& packet) {
  const auto refusal = refusal_in(packet);
  shm::ClaimPortReply grant;
  if (!refusal && (!shm::read_message(packet, grant) || grant.port == 0 || grant.port > 0xffff)) {
    return std::unexpected(SystemError{.code = EPROTO, .message = "the engine gave a port that makes no sense"});
  }
  const auto request = *asked_;
  asked_.reset();
  if (std::exchange(is_abandoned_, false)) {
    if (!refusal && !held_.contains(request.protocol, static_cast<std::uint16_t>(grant.port))) {
      shm::ReleasePortRequest unwanted;
      unwanted.protocol = request.protocol;
      unwanted.port = grant.port;
      release(unwanted);
    }
    return {};
  }
  auto& ticket = *tickets_.front();
  tickets_.pop_front();
  ticket.refusal = refusal;
  ticket.grant = grant;
  ticket.is_settled = true;
  nudge(ticket);
  return {};
}

void PortQuestions::pump(int control, bool may_ask) {
  is_stuck_ = false;
  if (control < 0) return;
  const auto has_sent = [&](const auto& message) {
    const auto sent = shm::send_message(control, message);
    is_stuck_ = !sent && sent.error().code == EAGAIN;
    return sent.has_value();  // other failures: the engine is going, and the socket says so by itself
  };
  const auto unsent = std::ranges::find_if_not(releases_, has_sent);
  sent_.insert(sent_.end(), releases_.begin(), unsent);
  releases_.erase(releases_.begin(), unsent);
  if (sent_.size() > kUnreadMax) sent_.erase(sent_.begin(), sent_.end() - kUnreadMax);
  if (!releases_.empty() || !may_ask || is_asking() || tickets_.empty()) return;
  const auto& request = tickets_.front()->request;
  if (has_sent(request)) asked_ = request;
}

}  // namespace tlsmux::client
