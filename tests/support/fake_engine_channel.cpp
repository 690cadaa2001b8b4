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

void write_result(shm::SlotControl& control, std::uint32_t length, Reason reason) {
  std::atomic_ref(control.result_length).store(length, std::memory_order_relaxed);
  std::atomic_ref(control.result_reason).store(reason, std::memory_order_relaxed);
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
    perform(request);
  }
}

void FakeChannel::perform(const shm::RequestDescriptor& request) {
  const auto what = static_cast<char>(payload[request.request_slot * stride]);
  switch (what) {
    case 'A':
    case 'R':
    case 'L': return finish(request, what, false);
    case 'a':
    case 'r':
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
  const auto to = what == 'R' ? SlotState::refused : what == 'L' ? SlotState::lost : SlotState::answered;
  auto from = SlotState::queued;
  auto completion = completion_of(request);
  completion.kind = CompletionKind::outcome;
  if (what == 'R') {
    completion.outcome = Outcome::not_sent;
    completion.reason = Reason::overload;
  } else {
    if (!control.word.try_move(request.generation, SlotState::queued, SlotState::sending)) {
      return complete(request, CompletionKind::returned);
    }
    from = SlotState::sending;
    completion.outcome = what == 'L' ? Outcome::maybe_sent : Outcome::answered;
    completion.reason = what == 'L' ? Reason::host_closed : Reason::none;
  }
  if (to == SlotState::answered) {
    completion.length = what == 'T' ? slot_bytes + 1 : request.length;
    shm::copy_bytes(payload.subspan(request.response_slot * stride, request.length),
                    payload.subspan(request.request_slot * stride, request.length));
  }
  write_result(control, completion.length, completion.reason);
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
