// A program that sends its requests through tlsmux. The group and the control socket come from the environment.

#include <tlsmux/tlsmux.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>

#include "bench/client/client_main.hpp"

namespace {

using namespace tlsmux::bench;

constexpr std::uint32_t kTimeoutMs = 20'000;  // only ever used up by a failure

class TlsmuxLink {
 public:
  explicit TlsmuxLink(const ClientArguments& arguments) {
    tmx_attach_options options{};
    options.struct_bytes = sizeof options;
    options.channels = 1;
    options.spin_us = arguments.spin_us;
    options.timeout_ms = kTimeoutMs;
    check(tmx_attach(&options, &client_), "attaching");
    check(tmx_channel_open(client_, arguments.target.c_str(), &channel_), "opening a channel");
  }

  ~TlsmuxLink() {
    tmx_channel_discard(channel_);
    tmx_detach(client_);
  }
  TlsmuxLink(const TlsmuxLink&) = delete;
  TlsmuxLink& operator=(const TlsmuxLink&) = delete;

  void run(Slice& slice) {
    if (slice.window() == 1) {
      call(slice);
    } else {
      pipeline(slice);
    }
  }

 private:
  static void check(int result, const char* what) {
    if (result < 0) throw std::runtime_error(std::string(what) + ": " + tmx_error_text(result));
  }

  static std::span<const std::byte> bytes_of(const void* data, std::size_t bytes) {
    return {static_cast<const std::byte*>(data), bytes};
  }

  // One at a time, as the simplest program does it.
  void call(Slice& slice) {
    for (slice.look_at_clock(); slice.wants_more(); slice.look_at_clock()) {
      const auto bytes = slice.next_bytes();
      slice.next_request(std::span(request_).first(bytes));
      tmx_result result{};
      const int error = tmx_call(channel_, request_.data(), static_cast<std::uint32_t>(bytes), answer_.data(),
                                 static_cast<std::uint32_t>(answer_.size()), kTimeoutMs, &result);
      slice.look_at_clock();
      if (error < 0) return slice.fail(tmx_error_text(error));
      if (result.outcome != TMX_ANSWERED) return slice.fail(tmx_reason_text(result.reason));
      slice.take_answer(bytes_of(answer_.data(), std::min<std::size_t>(result.length, answer_.size())));
      if (slice.has_failed()) return;
    }
  }

  // Many at a time, in place; all answers that have come in one batch.
  void pipeline(Slice& slice) {
    for (;;) {
      slice.look_at_clock();
      if (!(slice.is_batched() ? submit_batch(slice) : submit_each(slice))) return;
      if (slice.in_flight() == 0) return;
      std::array<tmx_completion, kInFlightMax> completions;
      const int count = tmx_poll(channel_, completions.data(), completions.size(), kTimeoutMs);
      if (count <= 0) return slice.fail(count < 0 ? tmx_error_text(count) : "no answer in time");
      slice.look_at_clock();
      for (int i = 0; i < count; ++i) take(slice, completions[static_cast<std::size_t>(i)]);
      if (slice.has_failed()) return;
    }
  }

  bool submit_each(Slice& slice) {
    for (; slice.wants_more(); slice.look_at_clock()) {
      tmx_buffer buffer{};
      if (const int error = tmx_reserve(channel_, &buffer); error < 0) {
        slice.fail(tmx_error_text(error));
        return false;
      }
      const auto bytes = slice.next_bytes();
      const auto tag = slice.next_request({static_cast<std::byte*>(buffer.data), bytes});
      if (const int error = tmx_submit(channel_, &buffer, static_cast<std::uint32_t>(bytes), tag, kTimeoutMs);
          error < 0) {
        slice.fail(tmx_error_text(error));
        return false;
      }
    }
    return true;
  }

  bool submit_batch(Slice& slice) {
    std::array<tmx_request, kInFlightMax> requests;
    std::size_t count = 0;
    while (slice.wants_more()) {
      auto& request = requests[count] = {};
      if (const int error = tmx_reserve(channel_, &request.buffer); error < 0) {
        slice.fail(tmx_error_text(error));
        return false;
      }
      request.length = static_cast<std::uint32_t>(slice.next_bytes());
      request.tag = slice.next_request({static_cast<std::byte*>(request.buffer.data), request.length});
      ++count;
    }
    if (count == 0) return true;
    if (const int taken = tmx_submit_many(channel_, requests.data(), count); taken != static_cast<int>(count)) {
      slice.fail(taken < 0 ? tmx_error_text(taken) : "not all requests were taken");
      return false;
    }
    return true;
  }

  void take(Slice& slice, const tmx_completion& completion) {
    if (completion.outcome == TMX_ANSWERED) {
      slice.take_answer(bytes_of(completion.data, completion.length));
    } else {
      slice.fail(tmx_reason_text(completion.reason));
    }
    tmx_release(channel_, &completion);
  }

  tmx_client* client_ = nullptr;
  tmx_channel* channel_ = nullptr;
  std::array<std::byte, kMessageBytesMax> request_;
  std::array<std::byte, kMessageBytesMax> answer_;
};

}  // namespace

int main(int argc, char** argv) { return client_main<TlsmuxLink>(argc, argv); }
