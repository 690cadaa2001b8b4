// The C ABI: requests and their outcomes.

#include <array>
#include <cstring>

#include "client/c_boundary.hpp"
#include "client/handles.hpp"
#include "client/monotonic_clock.hpp"
#include "tlsmux/tlsmux.h"

namespace {

using namespace tlsmux::client;
namespace config = tlsmux::config;
namespace shm = tlsmux::shm;

static_assert(sizeof(tmx_buffer) == 32 && sizeof(tmx_request) == 64);
static_assert(sizeof(tmx_completion) == 96 && sizeof(tmx_result) == 32);
static_assert(TMX_OUTCOME == static_cast<int>(shm::NoticeKind::none) &&
              TMX_LATE == static_cast<int>(shm::NoticeKind::late) &&
              TMX_UNSOLICITED == static_cast<int>(shm::NoticeKind::unsolicited) &&
              TMX_ORPHAN == static_cast<int>(shm::NoticeKind::orphan));

constexpr std::uint32_t kCallTimeoutMsDefault = 5000;
constexpr std::size_t kSubmissionsAtOnce = 64;

// 0 when the handle may be used here.
int check(const tmx_channel* channel) {
  if (channel == nullptr) return -EINVAL;
  return channel->channel->client().in_child() ? -ECHILD : 0;
}

tmx_completion to_completion(const RequestOutcome& outcome) {
  tmx_completion completion{};
  completion.tag = outcome.tag;
  completion.outcome = static_cast<tmx_outcome>(outcome.outcome);
  completion.reason = static_cast<tmx_reason>(outcome.reason);
  completion.data = outcome.data;
  completion.length = outcome.length;
  completion.kind = static_cast<tmx_kind>(outcome.kind);
  store_handle(completion.handle, outcome.answer);
  completion.request = outcome.request_data;
  completion.request_length = outcome.request_length;
  completion.error_offset = outcome.error_offset;
  completion.error_field = outcome.error_field;
  completion.notice = outcome.notice;
  return completion;
}

int submit_many(Channel& channel, const tmx_request* requests, std::size_t count) {
  std::array<Channel::Submission, kSubmissionsAtOnce> submissions;
  std::size_t submitted = 0;
  while (submitted < count) {
    const auto batch = std::min(count - submitted, submissions.size());
    for (std::size_t i = 0; i < batch; ++i) {
      const auto& request = requests[submitted + i];
      submissions[i] = {.handle = load_handle(request.buffer.handle),
                        .length = request.length,
                        .tag = request.tag,
                        .timeout_ms = request.timeout_ms};
    }
    const int taken = channel.submit(std::span(submissions).first(batch));
    if (taken < 0) return submitted > 0 ? static_cast<int>(submitted) : taken;
    submitted += static_cast<std::size_t>(taken);
    if (static_cast<std::size_t>(taken) < batch) break;
  }
  return static_cast<int>(submitted);
}

int poll(Channel& channel, tmx_completion* completions, std::size_t max, std::uint32_t timeout_ms) {
  // Without a wait the clock is asked once only, further down.
  channel.wait_for_outcomes(timeout_ms == 0 ? 0 : now_ns() + ms_to_ns(timeout_ms));
  std::size_t count = 0;
  while (count < max && channel.has_outcomes()) completions[count++] = to_completion(channel.take_outcome());
  channel.finish_taking();
  return static_cast<int>(count);
}

void copy_answer(Channel& channel, const RequestOutcome& outcome, void* response, std::uint32_t capacity,
                 tmx_result* result) {
  *result = {};
  result->outcome = static_cast<tmx_outcome>(outcome.outcome);
  result->reason = static_cast<tmx_reason>(outcome.reason);
  result->length = outcome.length;
  result->error_offset = outcome.error_offset;
  result->error_field = outcome.error_field;
  if (outcome.outcome != shm::Outcome::answered) return;
  const auto copied = std::min(outcome.length, capacity);
  if (copied > 0) std::memcpy(response, outcome.data, copied);
  channel.release(outcome.answer);
}

int call(Channel& channel, const void* request, std::uint32_t length, void* response, std::uint32_t capacity,
         std::uint32_t timeout_ms, tmx_result* result) {
  if (timeout_ms == 0) timeout_ms = channel.timeout_ms();
  if (timeout_ms == 0) timeout_ms = kCallTimeoutMsDefault;
  const auto until = now_ns() + ms_to_ns(timeout_ms);
  for (;;) {
    const auto buffer = channel.reserve_until(until);
    if (!buffer) return buffer.error();
    if (length > buffer->bytes.size()) {
      channel.abandon(buffer->handle);
      return -EMSGSIZE;
    }
    std::memcpy(buffer->bytes.data(), request, length);
    const int left_ms = std::max(1, ms_until(until, now_ns()));
    const Channel::Submission submission{
        .handle = buffer->handle, .length = length, .timeout_ms = static_cast<std::uint32_t>(left_ms)};
    const int submitted = channel.submit(std::span(&submission, 1));
    if (submitted == 1) {
      copy_answer(channel, channel.wait_for(buffer->handle), response, capacity, result);
      return 0;
    }
    channel.abandon(buffer->handle);
    // The engine was lost between the two steps: the next one may do it.
    const bool again = submitted == -ESTALE || submitted == -ENOTCONN;
    if (!again || now_ns() >= until) return submitted;
  }
}

}  // namespace

int tmx_reserve(tmx_channel* channel, tmx_buffer* buffer) {
  if (const int error = check(channel); error != 0) return error;
  if (buffer == nullptr) return -EINVAL;
  return without_exceptions([&] {
    const auto reserved = channel->channel->reserve();
    if (!reserved) return reserved.error();
    *buffer = {};
    buffer->data = reserved->bytes.data();
    buffer->capacity = static_cast<std::uint32_t>(reserved->bytes.size());
    store_handle(buffer->handle, reserved->handle);
    return 0;
  });
}

int tmx_abandon(tmx_channel* channel, const tmx_buffer* buffer) {
  if (const int error = check(channel); error != 0) return error;
  if (buffer == nullptr) return -EINVAL;
  return without_exceptions([&] { return channel->channel->abandon(load_handle(buffer->handle)); });
}

int tmx_submit(tmx_channel* channel, const tmx_buffer* buffer, uint32_t length, uint64_t tag, uint32_t timeout_ms) {
  if (const int error = check(channel); error != 0) return error;
  if (buffer == nullptr || timeout_ms > config::kTimeoutMsMax) return -EINVAL;
  return without_exceptions([&] {
    const Channel::Submission submission{
        .handle = load_handle(buffer->handle), .length = length, .tag = tag, .timeout_ms = timeout_ms};
    const int taken = channel->channel->submit(std::span(&submission, 1));
    return taken < 0 ? taken : 0;
  });
}

int tmx_submit_many(tmx_channel* channel, const tmx_request* requests, size_t count) {
  if (const int error = check(channel); error != 0) return error;
  if (requests == nullptr || count > config::kSlotsPerChannelMax) return -EINVAL;
  if (std::any_of(requests, requests + count,
                  [](const tmx_request& each) { return each.timeout_ms > config::kTimeoutMsMax; })) {
    return -EINVAL;
  }
  return without_exceptions([&] { return submit_many(*channel->channel, requests, count); });
}

int tmx_poll(tmx_channel* channel, tmx_completion* completions, size_t max, uint32_t timeout_ms) {
  if (const int error = check(channel); error != 0) return error;
  if (completions == nullptr || max == 0 || timeout_ms > config::kTimeoutMsMax) return -EINVAL;
  return without_exceptions([&] { return poll(*channel->channel, completions, max, timeout_ms); });
}

int tmx_release(tmx_channel* channel, const tmx_completion* completion) {
  if (const int error = check(channel); error != 0) return error;
  if (completion == nullptr) return -EINVAL;
  if (completion->kind == TMX_OUTCOME && completion->outcome != TMX_ANSWERED) return 0;
  return without_exceptions([&] { return channel->channel->release(load_handle(completion->handle)); });
}

int tmx_cancel(tmx_channel* channel, uint64_t tag) {
  if (const int error = check(channel); error != 0) return error;
  return without_exceptions([&] { return channel->channel->cancel(tag); });
}

int tmx_reply(tmx_channel* channel, const tmx_completion* notice, const tmx_buffer* buffer, uint32_t length,
              uint64_t tag) {
  if (const int error = check(channel); error != 0) return error;
  if (notice == nullptr || buffer == nullptr || notice->kind != TMX_UNSOLICITED || notice->notice == 0) return -EINVAL;
  return without_exceptions([&] {
    const Channel::Submission submission{.handle = load_handle(buffer->handle),
                                         .length = length,
                                         .tag = tag,
                                         .notice = load_handle(notice->handle),
                                         .notice_id = notice->notice};
    const int taken = channel->channel->submit(std::span(&submission, 1));
    return taken < 0 ? taken : 0;
  });
}

int tmx_next_trace_number(tmx_channel* channel, uint32_t* number) {
  if (const int error = check(channel); error != 0) return error;
  if (number == nullptr) return -EINVAL;
  if (channel->channel->take_trace_number(*number)) [[likely]]
    return 0;
  return without_exceptions([&] {
    const auto until = now_ns() + ms_to_ns(channel->channel->client().options().timeout_ms);
    const int taken = channel->channel->next_trace_number(*number, until);
    channel->channel->finish_taking();
    return taken;
  });
}

int tmx_call(tmx_channel* channel, const void* request, uint32_t length, void* response, uint32_t capacity,
             uint32_t timeout_ms, tmx_result* result) {
  if (const int error = check(channel); error != 0) return error;
  if (request == nullptr || length == 0 || result == nullptr || timeout_ms > config::kTimeoutMsMax) return -EINVAL;
  if (response == nullptr && capacity > 0) return -EINVAL;
  return without_exceptions([&] {
    const int called = call(*channel->channel, request, length, response, capacity, timeout_ms, result);
    channel->channel->finish_taking();
    return called;
  });
}

int tmx_channel_descriptor(tmx_channel* channel) {
  if (const int error = check(channel); error != 0) return error;
  return undisturbed([&] { return channel->channel->descriptor(); });
}

int tmx_upstream_last_error(tmx_channel* channel, char* buffer, size_t buffer_bytes) {
  if (const int error = check(channel); error != 0) return error;
  return without_exceptions([&] {
    shm::UpstreamRow row;
    if (const int error = channel->channel->upstream_row(row); error != 0) return error;
    return copy_text(shm::text_of(row.last_error), buffer, buffer_bytes);
  });
}
