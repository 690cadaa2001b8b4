// The C ABI of streams.

#include <cstring>
#include <string>

#include "client/c_boundary.hpp"
#include "client/environment.hpp"
#include "client/no_cancellation.hpp"
#include "client/streams/stream.hpp"
#include "tlsmux/stream.h"

struct tmx_stream {
  std::unique_ptr<tlsmux::client::Stream> stream;
};

namespace {

using namespace tlsmux::client;
namespace config = tlsmux::config;
using tlsmux::shm::SystemError;

std::expected<StreamOptions, SystemError> stream_options(const char* upstream, const tmx_stream_options* given) {
  tmx_stream_options options;
  const auto invalid = [](const char* what) { return std::unexpected(SystemError{.code = EINVAL, .message = what}); };
  if (!read_options(given, options)) return invalid("struct_bytes does not fit tmx_stream_options");
  if ((options.flags & ~std::uint32_t{TMX_STREAM_NONBLOCKING}) != 0)
    return invalid("flags has bits that are not known");
  if (options.reserved != 0) return invalid("reserved is not 0");
  if (options.timeout_ms > config::kTimeoutMsMax) return invalid("timeout_ms is over 24 hours");
  const std::string name = upstream;
  if (name.empty() || name.size() > config::kNameBytesMax) return invalid("no upstream has a name of that length");
  auto group = or_environment(options.group, "TLSMUX_GROUP", "");
  if (group.size() > config::kNameBytesMax) return invalid("the group's name is too long");
  return StreamOptions{
      .upstream = name,
      .group = std::move(group),
      .control_socket = or_environment(options.control_socket, "TLSMUX_CONTROL_SOCKET", kControlSocketDefault),
      .timeout_ms = options.timeout_ms,
      .is_nonblocking = (options.flags & TMX_STREAM_NONBLOCKING) != 0};
}

int open_stream(const char* upstream, const tmx_stream_options* given, tmx_stream** stream) {
  auto options = stream_options(upstream, given);
  auto opened = options ? Stream::open(*options)
                        : std::expected<std::unique_ptr<Stream>, SystemError>(std::unexpected(options.error()));
  if (!opened) {
    if (given != nullptr && given->struct_bytes >= sizeof *given) {
      copy_text(opened.error().message, given->error_text, given->error_text_bytes);
    }
    return -opened.error().code;
  }
  *stream = std::make_unique<tmx_stream>(std::move(*opened)).release();
  return 0;
}

// Only opening a stream's certificates takes memory.
template <typename Function>
ssize_t bytes_undisturbed(Function function) noexcept {
  const NoCancellation whole;
  ssize_t bytes = 0;
  const int error = without_exceptions([&] {
    bytes = function();
    return 0;
  });
  return error != 0 ? error : bytes;
}

bool is_sound(const iovec* parts, int count) { return count == 0 || (parts != nullptr && count > 0); }

}  // namespace

int tmx_stream_open(const char* upstream, const tmx_stream_options* options, tmx_stream** stream) {
  if (upstream == nullptr || stream == nullptr) return -EINVAL;
  *stream = nullptr;
  return undisturbed([&] { return open_stream(upstream, options, stream); });
}

int tmx_stream_await_open(tmx_stream* stream, uint32_t timeout_ms) {
  if (stream == nullptr) return -EINVAL;
  return undisturbed([&] { return stream->stream->await_open(timeout_ms); });
}

ssize_t tmx_stream_read(tmx_stream* stream, void* buffer, size_t bytes) {
  const iovec part{.iov_base = buffer, .iov_len = bytes};
  return tmx_stream_readv(stream, &part, 1);
}

ssize_t tmx_stream_readv(tmx_stream* stream, const struct iovec* parts, int count) {
  if (stream == nullptr || !is_sound(parts, count)) return -EINVAL;
  return bytes_undisturbed([&] { return stream->stream->read({parts, static_cast<std::size_t>(count)}); });
}

ssize_t tmx_stream_write(tmx_stream* stream, const void* buffer, size_t bytes) {
  const iovec part{.iov_base = const_cast<void*>(buffer), .iov_len = bytes};
  return tmx_stream_writev(stream, &part, 1);
}

ssize_t tmx_stream_writev(tmx_stream* stream, const struct iovec* parts, int count) {
  if (stream == nullptr || !is_sound(parts, count)) return -EINVAL;
  return bytes_undisturbed([&] { return stream->stream->write({parts, static_cast<std::size_t>(count)}); });
}

int tmx_stream_shutdown(tmx_stream* stream) {
  if (stream == nullptr) return -EINVAL;
  return without_exceptions([&] { return stream->stream->shut_down(); });
}

int tmx_stream_set_timeouts(tmx_stream* stream, uint32_t read_timeout_ms, uint32_t write_timeout_ms) {
  if (stream == nullptr) return -EINVAL;
  return without_exceptions([&] { return stream->stream->set_timeouts(read_timeout_ms, write_timeout_ms); });
}

int tmx_stream_descriptor(const tmx_stream* stream) {
  return stream == nullptr ? -EINVAL : stream->stream->descriptor();
}

tmx_reason tmx_stream_reason(const tmx_stream* stream, int* maybe_sent, char* text, size_t text_bytes) {
  auto reason = TMX_REASON_NONE;
  if (maybe_sent != nullptr) *maybe_sent = 0;
  copy_text("", text, text_bytes);
  if (stream == nullptr) return reason;
  static_cast<void>(without_exceptions([&] {
    const auto end = stream->stream->end();
    reason = static_cast<tmx_reason>(end.reason);
    if (maybe_sent != nullptr) *maybe_sent = end.maybe_sent ? 1 : 0;
    return copy_text(end.words, text, text_bytes);
  }));
  return reason;
}

void tmx_stream_close(tmx_stream* stream) {
  const NoCancellation whole;
  const std::unique_ptr<tmx_stream> ended(stream);
}
