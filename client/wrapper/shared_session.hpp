#pragma once

// An SSL whose session is the engine's, once it is open: what SSL_read and its kin do, and say, on the stream that stands
// behind the program's socket. Return values, errors and errno are OpenSSL's (WRAPPER.md); WrappedSsl says what they mean.

#include <cstddef>

#include "client/streams/stream_socket.hpp"
#include "client/wrapper/openssl_calls.hpp"
#include "client/wrapper/redirected_sockets.hpp"

namespace tlsmux::wrapper {

// What SSL_want and SSL_get_error say of the last call.
struct LastCall {
  int want = SSL_NOTHING;
  bool can_retry = false;  // it failed for want of `want`
  bool is_fatal = false;   // nothing can be done with this SSL any more
};

class SharedSession {
 public:
  // Both outlive it.
  SharedSession(SSL* ssl, LastCall& last, int socket)
      : ssl_(ssl), last_(last), inode_(inode_of(socket)), stream_(socket) {}

  [[nodiscard]] client::StreamSocket& stream() { return stream_; }
  [[nodiscard]] const client::StreamSocket& stream() const { return stream_; }

  // As OpenSSL's functions inside: 1, 0, or -1.
  int read(void* buffer, std::size_t bytes, std::size_t& got, int flags = 0);  // flags: MSG_PEEK
  int write(const void* buffer, std::size_t bytes, std::size_t& written);
  int shut_down();
  [[nodiscard]] std::size_t pending() const { return stream_.pending(); }

 private:
  [[nodiscard]] bool has_socket();
  bool may_continue(const void* buffer, std::size_t bytes);
  int finish_write(std::size_t& written);
  int fail_to_say(int error);
  int say_goodbye();
  int fail_read(const client::StreamResult& result);
  int wait(int want, int error);
  static int fail(int error);
  void settle(int want = SSL_NOTHING);
  void raise_fatal(int reason, const char* function);

  SSL* ssl_;
  LastCall& last_;
  std::uint64_t inode_;
  client::StreamSocket stream_;
  bool is_reset_told_ = false;
  bool is_goodbye_said_ = true;  // unless it has been tried in vain
  // A write that would have waited: the program calls again with the same bytes.
  const void* unwritten_ = nullptr;
  std::size_t written_ = 0;  // of it
};

}  // namespace tlsmux::wrapper
