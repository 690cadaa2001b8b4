#include "engine/mux/host_requests.hpp"

#include <algorithm>

namespace tlsmux::engine::mux {
namespace {

// One that is not up any more can still be written to while it waits for its last answers.
bool takes_replies(const Session& session) {
  return !session.closing &&
         (session.state == shm::SessionState::ready || session.state == shm::SessionState::draining);
}

}  // namespace

std::uint64_t HostRequests::note(const Session& session, std::span<const std::byte> received_header) {
  if (lines_.size() <= session.upstream) lines_.resize(session.upstream + 1);
  auto& line = lines_[session.upstream];
  if (line.kept.empty()) line.kept.resize(config::kHostRequestsKept);
  const auto notice = ++line.last;
  auto& kept = line.kept[notice % line.kept.size()];
  kept = {.notice = notice, .session = session.id, .is_replied_to = false, .header_bytes = 0, .header = {}};
  kept.header_bytes = static_cast<std::uint8_t>(std::min(received_header.size(), kept.header.size()));
  shm::copy_bytes(std::span(kept.header), received_header.first(kept.header_bytes));
  return notice;
}

HostRequests::HostRequest* HostRequests::find(std::uint32_t upstream, std::uint64_t notice) {
  if (notice == 0 || upstream >= lines_.size() || lines_[upstream].kept.empty()) return nullptr;
  auto& kept = lines_[upstream].kept;
  auto& host_request = kept[notice % kept.size()];
  return host_request.notice == notice ? &host_request : nullptr;
}

Session* HostRequests::find_session(const HostRequest& host_request) {
  auto* const session = state_->find(host_request.session);
  return session != nullptr && takes_replies(*session) ? session : nullptr;
}

RequestIndex HostRequests::reply(const NewReply& reply) {
  const auto reject = [&](shm::Reason reason) {
    settlement_->reject(reply.upstream, reply.group, reply.caller, {.reason = reason});
    return kNone;
  };
  auto* const host_request = find(reply.upstream, reply.notice);
  if (host_request == nullptr) return reject(shm::Reason::no_session);  // so long ago that it is forgotten
  if (host_request->is_replied_to) return reject(shm::Reason::duplicate_key);
  const auto* const session = find_session(*host_request);
  if (session == nullptr) return reject(shm::Reason::no_session);
  const auto index = enter(reply, *session);
  if (index == kNone) return reject(shm::Reason::overload);

  const auto& framing = state_->upstreams[reply.upstream]->framing;
  if (framing.must_search_messages()) {
    // Judged and sealed from one private copy.
    auto& entry = state_->requests[index];
    const auto message = state_->seams.callers.message(reply.caller, reply.length);
    const auto copy = state_->requests.prefix(index).first(reply.length);
    shm::copy_bytes(copy, message);
    entry.prefix_bytes = reply.length;
    if (!framing.may_be_sent(copy)) {
      state_->free_place(index);
      return reject(shm::Reason::unparsable);
    }
  }
  host_request->is_replied_to = true;
  state_->sessions[session->id.index].replies.push_back(state_->requests, index);
  state_->deadlines.insert(index);
  ++state_->replies_waiting;
  return index;
}

RequestIndex HostRequests::enter(const NewReply& reply, const Session& session) {
  const auto index = state_->take_place(reply.group);
  if (index == kNone) return kNone;
  auto& entry = state_->requests[index];
  entry.kind = RequestKind::reply;
  entry.state = RequestState::queued;
  entry.upstream = reply.upstream;
  entry.session = session.id.index;
  entry.caller = reply.caller;
  entry.length = reply.length;
  entry.notice = reply.notice;
  entry.intake_ns = state_->now_ns;
  const auto timeout_ms = reply.timeout_ms != 0 ? std::min(reply.timeout_ms, config::kTimeoutMsMax)
                                                : state_->upstreams[reply.upstream]->settings->timeouts.request_ms;
  entry.deadline_ns = state_->now_ns + timeout_ms * kNanosecondsPerMillisecond;
  return index;
}

// After NOT_SENT on a session that lives on.
void HostRequests::allow_another(const Request& reply) {
  auto* const host_request = find(reply.upstream, reply.notice);
  if (host_request != nullptr) host_request->is_replied_to = false;
}

void HostRequests::expire(RequestIndex index) {
  if (state_->requests[index].state == RequestState::in_flight) {
    return settlement_->lose(index, shm::Reason::deadline);
  }
  allow_another(state_->requests[index]);
  settlement_->refuse(index, shm::Reason::deadline);
}

void HostRequests::flush() {
  if (state_->replies_waiting == 0) return;
  for (auto& session : state_->sessions) {
    if (!session.replies.empty() && takes_replies(session)) flush(session);
  }
}

void HostRequests::flush(Session& session) {
  while (!session.replies.empty() && !session.closing) {
    const auto index = session.replies.front();
    auto& reply = state_->requests[index];
    if (!has_room(session, reply)) break;
    if (!state_->seams.callers.take(reply.caller)) {
      allow_another(reply);
      settlement_->forget(index);
      continue;
    }
    session.replies.remove(state_->requests, index);
    --state_->replies_waiting;
    reply.state = RequestState::in_flight;
    session.replies_in_flight.push_back(state_->requests, index);
    if (!seal(session, index)) return;
  }
  if (!session.closing) life_->send_sealed(session);
}

bool HostRequests::has_room(const Session& session, const Request& reply) const {
  const auto plaintext = state_->upstreams[reply.upstream]->framing.overhead_bytes() + reply.length;
  const auto records = plaintext / session.tls->record_bytes_max() + 1;
  return plaintext + records * session.tls->record_overhead_bytes() <= session.wire.room();
}

// False: the session is lost.
bool HostRequests::seal(Session& session, RequestIndex index) {
  auto& reply = state_->requests[index];
  const auto& framing = state_->upstream_of(session).framing;
  const auto* const host_request = find(reply.upstream, reply.notice);
  std::array<std::byte, config::kFrameHeaderBytesMax> memory;
  const auto header = std::span(memory).first(framing.header_bytes());
  // Forgotten meanwhile, the reply goes out with the header of our own messages.
  framing.write_header(header, reply.length,
                       host_request == nullptr ? std::span<const std::byte>()
                                               : std::span(host_request->header).first(host_request->header_bytes));
  const auto message = reply.prefix_bytes == reply.length
                           ? std::span<const std::byte>(state_->requests.prefix(index).first(reply.length))
                           : state_->seams.callers.message(reply.caller, reply.length);
  reply.wire_position = session.record_position();
  reply.wire_end = ~0ULL;
  if (!seal_parts(session, {header, message, framing.trailer()})) return false;
  reply.wire_end = session.wire.sealed_position();
  return true;
}

bool HostRequests::seal_parts(Session& session, const Parts& parts) {
  auto left = parts;
  while (std::ranges::any_of(left, [](const auto& part) { return !part.empty(); })) {
    Parts record{};
    auto room = session.tls->record_bytes_max();
    for (std::size_t i = 0; i < left.size(); ++i) {
      record[i] = left[i].first(std::min(room, left[i].size()));
      room -= record[i].size();
      left[i] = left[i].subspan(record[i].size());
    }
    const auto sealed = session.tls->seal(record, session.wire);
    if (!sealed) {
      life_->fail(session, sealed.error().reason, sealed.error().words);
      return false;
    }
  }
  return true;
}

}  // namespace tlsmux::engine::mux
