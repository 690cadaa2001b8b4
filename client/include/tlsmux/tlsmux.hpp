// The C interface with owners: what is reserved, borrowed, opened and attached is given back by a destructor. C++23.
// Nothing here throws; the contracts of the functions are those of tlsmux.h.
#pragma once

#include <tlsmux/tlsmux.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <utility>

namespace tlsmux {

// A negative errno of the library; see tlsmux.h for what each means.
struct Error {
  int code = 0;
  [[nodiscard]] const char* text() const { return tmx_error_text(code); }
  // Worth trying again by and by: full, or between two engines.
  [[nodiscard]] bool is_passing() const { return code == -EAGAIN || code == -ENOTCONN || code == -ESTALE; }
};

template <typename Value>
using Result = std::expected<Value, Error>;

namespace detail {

inline Result<void> to_result(int code) {
  return code < 0 ? Result<void>(std::unexpected(Error{code})) : Result<void>();
}

inline std::uint32_t to_ms(std::chrono::milliseconds timeout) {
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(timeout.count(), 0, UINT32_MAX));
}

// Of the functions that copy words into a buffer and return their length.
template <typename Function>
std::string words(Function function) {
  std::array<char, 512> buffer{};
  return function(buffer.data(), buffer.size()) >= 0 ? std::string(buffer.data()) : std::string();
}

}  // namespace detail

// Room for one request and its answer. Abandoned by its destructor unless it was submitted.
class Buffer {
 public:
  Buffer() = default;
  Buffer(tmx_channel* channel, const tmx_buffer& buffer) : channel_(channel), buffer_(buffer) {}
  Buffer(Buffer&& other) noexcept
      : channel_(std::exchange(other.channel_, nullptr)), buffer_(std::exchange(other.buffer_, {})) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(channel_, other.channel_);
    std::swap(buffer_, other.buffer_);
    return *this;
  }
  ~Buffer() {
    if (channel_ != nullptr) tmx_abandon(channel_, &buffer_);
  }

  [[nodiscard]] std::span<std::byte> bytes() const { return {static_cast<std::byte*>(buffer_.data), buffer_.capacity}; }

 private:
  friend class Channel;
  tmx_channel* channel_ = nullptr;
  tmx_buffer buffer_{};
};

// How one request ended, or a notice. What it bears can be read as long as this lives, also when the engine is gone; its
// end counts as dealing with it.
class Completion {
 public:
  Completion() = default;
  Completion(tmx_channel* channel, const tmx_completion& completion) : channel_(channel), completion_(completion) {}
  Completion(Completion&& other) noexcept
      : channel_(std::exchange(other.channel_, nullptr)), completion_(std::exchange(other.completion_, {})) {}
  Completion& operator=(Completion&& other) noexcept {
    std::swap(channel_, other.channel_);
    std::swap(completion_, other.completion_);
    return *this;
  }
  ~Completion() {
    if (channel_ != nullptr) tmx_release(channel_, &completion_);
  }

  [[nodiscard]] std::uint64_t tag() const { return completion_.tag; }
  [[nodiscard]] tmx_outcome outcome() const { return completion_.outcome; }
  [[nodiscard]] tmx_reason reason() const { return completion_.reason; }
  [[nodiscard]] bool is_answered() const { return completion_.outcome == TMX_ANSWERED; }
  // Empty unless it was answered. Of a notice: the late answer, the host's message, the answer to the orphan.
  [[nodiscard]] std::span<const std::byte> answer() const {
    return {static_cast<const std::byte*>(completion_.data), completion_.length};
  }
  [[nodiscard]] tmx_kind kind() const { return completion_.kind; }
  [[nodiscard]] bool is_notice() const { return completion_.kind != TMX_OUTCOME; }
  // Of an orphan, and of a late answer to a process that is dead: what had been asked.
  [[nodiscard]] std::span<const std::byte> request() const {
    return {static_cast<const std::byte*>(completion_.request), completion_.request_length};
  }
  // Of an unparsable request: the field, and where in the message reading stopped.
  [[nodiscard]] std::uint16_t error_field() const { return completion_.error_field; }
  [[nodiscard]] std::uint32_t error_offset() const { return completion_.error_offset; }

 private:
  friend class Channel;
  tmx_channel* channel_ = nullptr;
  tmx_completion completion_{};
};

// Used by one thread at a time. It outlives its buffers and completions.
class Channel {
 public:
  explicit Channel(tmx_channel* channel) : channel_(channel) {}
  Channel(Channel&& other) noexcept : channel_(std::exchange(other.channel_, nullptr)) {}
  Channel& operator=(Channel&& other) noexcept {
    std::swap(channel_, other.channel_);
    return *this;
  }
  // Gives up what is open: nobody will learn its outcome. `close` refuses to.
  ~Channel() {
    if (channel_ != nullptr) tmx_channel_discard(channel_);
  }

  // Destroy its completions and buffers first, or assign empty ones to them (`completion = {}`): their destructors use the
  // channel, which is gone after this.
  Result<void> close() {
    auto closed = detail::to_result(tmx_channel_close(channel_));
    if (closed) channel_ = nullptr;
    return closed;
  }

  Result<Buffer> reserve() {
    tmx_buffer buffer{};
    if (const int error = tmx_reserve(channel_, &buffer); error < 0) return std::unexpected(Error{error});
    return Buffer(channel_, buffer);
  }

  // The first `length` bytes of the buffer. After an error the buffer is still the caller's.
  Result<void> submit(Buffer& buffer, std::size_t length, std::uint64_t tag, std::chrono::milliseconds timeout = {}) {
    if (length > UINT32_MAX) return std::unexpected(Error{-EMSGSIZE});
    const auto bytes = static_cast<std::uint32_t>(length);
    auto submitted = detail::to_result(tmx_submit(channel_, &buffer.buffer_, bytes, tag, detail::to_ms(timeout)));
    if (submitted) buffer.channel_ = nullptr;
    return submitted;
  }

  // Fills the front of `completions` and returns that part. Waits for the first one for so long.
  Result<std::span<Completion>> poll(std::span<Completion> completions, std::chrono::milliseconds timeout = {}) {
    std::array<tmx_completion, 64> raw;
    const auto max = std::min(completions.size(), raw.size());
    const int count = tmx_poll(channel_, raw.data(), max, detail::to_ms(timeout));
    if (count < 0) return std::unexpected(Error{count});
    const auto filled = completions.first(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < filled.size(); ++i) filled[i] = Completion(channel_, raw[i]);
    return filled;
  }

  // Answers a message of the host with the first `length` bytes of the buffer.
  Result<void> reply(const Completion& notice, Buffer& buffer, std::size_t length, std::uint64_t tag) {
    if (length > UINT32_MAX) return std::unexpected(Error{-EMSGSIZE});
    const auto bytes = static_cast<std::uint32_t>(length);
    auto submitted = detail::to_result(tmx_reply(channel_, &notice.completion_, &buffer.buffer_, bytes, tag));
    if (submitted) buffer.channel_ = nullptr;
    return submitted;
  }

  Result<std::uint32_t> next_trace_number() {
    std::uint32_t number = 0;
    if (const int error = tmx_next_trace_number(channel_, &number); error < 0) return std::unexpected(Error{error});
    return number;
  }

  Result<void> cancel(std::uint64_t tag) { return detail::to_result(tmx_cancel(channel_, tag)); }

  // One request, waited for. The answer is copied into `response`; see tmx_result for one that does not fit.
  Result<tmx_result> call(std::span<const std::byte> request, std::span<std::byte> response,
                          std::chrono::milliseconds timeout = {}) {
    if (request.size() > UINT32_MAX) return std::unexpected(Error{-EMSGSIZE});
    tmx_result result{};
    const auto capacity = static_cast<std::uint32_t>(std::min<std::size_t>(response.size(), UINT32_MAX));
    const int error = tmx_call(channel_, request.data(), static_cast<std::uint32_t>(request.size()), response.data(),
                               capacity, detail::to_ms(timeout), &result);
    if (error < 0) return std::unexpected(Error{error});
    return result;
  }

  // For event loops; owned by the channel.
  Result<int> descriptor() {
    const int descriptor = tmx_channel_descriptor(channel_);
    if (descriptor < 0) return std::unexpected(Error{descriptor});
    return descriptor;
  }

  [[nodiscard]] std::string upstream_last_error() const {
    return detail::words(
        [&](char* buffer, std::size_t bytes) { return tmx_upstream_last_error(channel_, buffer, bytes); });
  }

  [[nodiscard]] tmx_channel* get() const { return channel_; }

 private:
  tmx_channel* channel_ = nullptr;
};

// Any number of threads. It outlives its channels.
class Client {
 public:
  // Without options: group and socket from the environment. `struct_bytes` is filled in here.
  static Result<Client> attach(tmx_attach_options options = {}) {
    options.struct_bytes = sizeof options;
    tmx_client* client = nullptr;
    if (const int error = tmx_attach(&options, &client); error < 0) return std::unexpected(Error{error});
    return Client(client);
  }

  explicit Client(tmx_client* client) : client_(client) {}
  Client(Client&& other) noexcept : client_(std::exchange(other.client_, nullptr)) {}
  Client& operator=(Client&& other) noexcept {
    std::swap(client_, other.client_);
    return *this;
  }
  ~Client() { tmx_detach(client_); }

  // With flags (TMX_LATE_ANSWERS and so on) notices come, `notices` of them at one time; see tmx_channel_options.
  Result<Channel> open(const char* upstream, std::uint32_t flags = 0, std::uint32_t notices = 0) {
    tmx_channel_options options{};
    options.struct_bytes = sizeof options;
    options.flags = flags;
    options.notices = notices;
    tmx_channel* channel = nullptr;
    if (const int error = tmx_channel_open_with(client_, upstream, &options, &channel); error < 0) {
      return std::unexpected(Error{error});
    }
    return Channel(channel);
  }

  [[nodiscard]] std::string last_error() const {
    return detail::words(
        [&](char* buffer, std::size_t bytes) { return tmx_client_last_error(client_, buffer, bytes); });
  }

  [[nodiscard]] tmx_client* get() const { return client_; }

 private:
  tmx_client* client_ = nullptr;
};

}  // namespace tlsmux
