#include <signal.h>
#include <unistd.h>

#include <atomic>

#include "shm/doorbell.hpp"
#include "tests/support/fake_engine_loop.hpp"

namespace tlsmux::test {

using shm::CompletionKind;
using shm::Outcome;
using shm::Reason;
using shm::SlotState;

namespace {

void write_result(shm::SlotControl& control, const shm::CompletionDescriptor& result) {
  std::atomic_ref(control.result_length).store(result.length, std::memory_order_relaxed);
  std::atomic_ref(control.result_reason).store(result.reason, std::memory_order_relaxed);
  std::atomic_ref(control.result_error_field).store(result.error_field, std::memory_order_relaxed);
  std::atomic_ref(control.result_error_offset).store(result.error_offset, std::memory_order_relaxed);
}

shm::CompletionDescriptor completion_of(const shm::RequestDescriptor& request) {
  shm::CompletionDescriptor completion{};
  completion.tag = request.tag;
  completion.generation = request.generation;
  completion.request_slot = request.request_slot;
  completion.response_slot = request.response_slot;
  return completion;
}

}  // namespace

bool FakeChannel::has_requests() { return open && !stuck && requests.available().value_or(0) > 0; }

void FakeChannel::serve() {
  if (stuck) return;
  for (auto count = requests.available().value_or(0); count > 0 && !stuck; --count) {
    const auto request = requests.take();
    requests.release();
    switch (request.operation) {
      case shm::Operation::receive: lent.push_back(request); break;
      case shm::Operation::reply: reply(request); break;
      case shm::Operation::request: perform(request); break;
    }
    deliver();
  }
}

std::string FakeChannel::text_of(const shm::RequestDescriptor& request) const {
  const auto bytes = payload.subspan(request.request_slot * stride, request.length);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void FakeChannel::reply(const shm::RequestDescriptor& request) {
  replies.emplace_back(request.notice, text_of(request));
  finish(request, 'E', false);
}

void FakeChannel::notify(std::uint64_t tag, const std::string& text, const shm::RequestDescriptor& request) {
  FakeNotice notice{
      .completion = {.tag = tag, .kind = CompletionKind::notice}, .message = text.substr(1), .request = {}};
  auto& completion = notice.completion;
  const char detail = text.size() > 1 ? text[1] : ' ';
  switch (text[0]) {
    case 'U':
      completion.tag = 0;
      completion.notice_kind = shm::NoticeKind::unsolicited;
      completion.notice = 1000 + tag;
      break;
    case 'Y': completion.notice_kind = shm::NoticeKind::late; break;
    case 'O':
      completion.notice_kind = shm::NoticeKind::orphan;
      completion.outcome = detail == 'A' ? Outcome::answered : detail == 'R' ? Outcome::not_sent : Outcome::maybe_sent;
      completion.reason = detail == 'A' ? Reason::none : Reason::client_died;
      notice.request = text;
      if (detail != 'A') notice.message.clear();
      break;
    default:
      completion.notice_kind = detail == '2'                    ? shm::NoticeKind{77}
                               : detail == '5' || detail == '6' ? shm::NoticeKind::orphan
                                                                : shm::NoticeKind::late;
      completion.length = detail == '1' ? slot_bytes + 1 : 0;
      completion.kind = detail == '4' ? CompletionKind::outcome : CompletionKind::notice;
      completion.outcome = detail == '4' || detail == '6' ? Outcome::not_sent : Outcome::none;
      completion.request_length = detail == '6' ? slot_bytes + 1 : 0;
      if (detail == '3') lent.insert(lent.begin(), request);
  }
  notices.push_back(std::move(notice));
}

void FakeChannel::deliver() {
  while (!lent.empty() && !notices.empty()) {
    const auto pair = lent.front();
    auto& [completion, message, request] = notices.front();
    completion.generation = pair.generation;
    completion.request_slot = pair.request_slot;
    completion.response_slot = pair.response_slot;
    if (completion.length == 0) completion.length = static_cast<std::uint32_t>(message.size());
    if (completion.request_length == 0) completion.request_length = static_cast<std::uint32_t>(request.size());
    shm::copy_bytes(payload.subspan(pair.response_slot * stride), std::as_bytes(std::span(message)));
    shm::copy_bytes(payload.subspan(pair.request_slot * stride), std::as_bytes(std::span(request)));
    publish(completion);
    lent.erase(lent.begin());
    notices.pop_front();
  }
}

void FakeChannel::grant(FakeTraceNumbers& numbers) {
  if (numbers.block == 0 || !trace_lease.is_asked()) return;
  TMX_ASSERT(trace_lease.look().has_value());
  if (trace_lease.ahead() >= 2) return;
  while (trace_lease.ahead() < 2) {
    trace_lease.push({.first = numbers.next, .count = numbers.block});
    numbers.next += numbers.block;
  }
  trace_lease.publish();
  if (!shm::must_ring(header->client_armed)) return;
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(wake.get(), &one, sizeof one);
}

void FakeChannel::perform(const shm::RequestDescriptor& request) {
  const auto what = static_cast<char>(payload[request.request_slot * stride]);
  switch (what) {
    case 'U':
    case 'Y':
    case 'O': notify(request.tag, text_of(request)); return finish(request, 'A', false);
    case 'X': return notify(request.tag, text_of(request), request);
    case 'A':
    case 'R':
    case 'P':
    case 'F':
    case 'L': return finish(request, what, false);
    case 'a':
    case 'r':
    case 'p':
    case 'l': return finish(request, static_cast<char>(what - 'a' + 'A'), true);
    case 'T': return finish(request, what, true);
    case 'S':
      controls[request.request_slot].word.try_move(request.generation, SlotState::queued, SlotState::sending);
      [[fallthrough]];
    case 'Q': held.push_back(request); return;
    case 'K': ::raise(SIGKILL); return;
    case 'N': {
      auto nonsense = completion_of(request);
      nonsense.kind = CompletionKind::outcome;
      nonsense.outcome = Outcome::answered;
      nonsense.request_slot = 0x7fffffff;
      return publish(nonsense);
    }
    case 'G': {
      auto stale = completion_of(request);
      stale.kind = CompletionKind::outcome;
      stale.outcome = Outcome::not_sent;
      stale.generation -= 1;
      return publish(stale);
    }
    case 'B': return complete(request, CompletionKind::returned);
    case 'C': header->completions.tail.fetch_add(1'000'000); break;
    case 'H':
      header->requests.head.fetch_add(1'000'000);
      stuck = true;  // else the next request would put it right
      held.push_back(request);
      return;
    default: return;
  }
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(wake.get(), &one, sizeof one);
}

void FakeChannel::finish(const shm::RequestDescriptor& request, char what, bool withhold) {
  auto& control = controls[request.request_slot];
  const bool refused = what == 'R' || what == 'P' || what == 'F';
  const bool lost = what == 'L' || what == 'E';
  const auto to = refused ? SlotState::refused : lost ? SlotState::lost : SlotState::answered;
  auto from = SlotState::queued;
  auto completion = completion_of(request);
  completion.kind = CompletionKind::outcome;
  if (refused) {
    completion.outcome = Outcome::not_sent;
    completion.reason = what == 'P' ? Reason::unparsable : what == 'F' ? Reason::handshake_failed : Reason::overload;
    completion.error_field = what == 'P' ? 11 : 0;
    completion.error_offset = what == 'P' ? 42 : 0;
  } else {
    if (!control.word.try_move(request.generation, SlotState::queued, SlotState::sending)) {
      return complete(request, CompletionKind::returned);
    }
    from = SlotState::sending;
    completion.outcome = lost ? Outcome::maybe_sent : Outcome::answered;
    completion.reason = what == 'L' ? Reason::host_closed : what == 'E' ? Reason::reply_sent : Reason::none;
  }
  if (to == SlotState::answered) {
    completion.length = what == 'T' ? slot_bytes + 1 : request.length;
    shm::copy_bytes(payload.subspan(request.response_slot * stride, request.length),
                    payload.subspan(request.request_slot * stride, request.length));
  }
  write_result(control, completion);
  if (!control.word.try_move(request.generation, from, to)) return complete(request, CompletionKind::returned);
  if (withhold) {
    withheld.push_back(completion);
  } else {
    publish(completion);
  }
}

void FakeChannel::complete(const shm::RequestDescriptor& request, CompletionKind kind) {
  auto completion = completion_of(request);
  completion.kind = kind;
  publish(completion);
}

void FakeChannel::return_ended() {
  std::erase_if(held, [&](const shm::RequestDescriptor& request) {
    const auto state = controls[request.request_slot].word.load().state;
    if (state != SlotState::withdrawn && state != SlotState::expired) return false;
    complete(request, CompletionKind::returned);
    return true;
  });
}

void FakeChannel::publish_withheld() {
  for (const auto& completion : withheld) publish(completion);
  withheld.clear();
}

void FakeChannel::publish(const shm::CompletionDescriptor& completion) {
  completions.push(completion);
  completions.publish();
  if (!shm::must_ring(header->client_armed)) return;
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(wake.get(), &one, sizeof one);
}

}  // namespace tlsmux::test
