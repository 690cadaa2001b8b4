#include "client/wrapper/wrapped_ssl.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "client/wrapper/next_socket_calls.hpp"
#include "client/wrapper/peer_address.hpp"

namespace tlsmux::wrapper {
namespace {

using client::StreamStatus;

// Without a word.
constexpr std::string_view kGone = "the engine has gone, or has no descriptors left";

// Of an SSL whose both ends are one socket, by OpenSSL's BIO for sockets. -1: of any other.
int plain_socket_of(SSL* ssl) {
  BIO* const reads = openssl().SSL_get_rbio(ssl);
  BIO* const writes = openssl().SSL_get_wbio(ssl);
  for (BIO* const bio : {reads, writes}) {
    if (bio == nullptr || openssl().BIO_method_type(bio) != BIO_TYPE_SOCKET || openssl().BIO_next(bio) != nullptr) {
      return -1;
    }
  }
  const int socket = openssl().SSL_get_rfd(ssl);
  return socket == openssl().SSL_get_wfd(ssl) ? socket : -1;
}

// EINPROGRESS: still connecting. Never waits.
int connection_error(int socket) {
  pollfd wanted{.fd = socket, .events = POLLOUT, .revents = 0};
  if (::poll(&wanted, 1, 0) == 0) return EINPROGRESS;
  int error = 0;
  socklen_t length = sizeof error;
  if (::getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &length) != 0) return errno;
  if (error == 0 && !remote_address(socket)) return ENOTCONN;
  return error;
}

// Not connected yet, and no error either: which is left for the program to find.
bool is_arriving(int socket) {
  pollfd wanted{.fd = socket, .events = POLLOUT, .revents = 0};
  return ::poll(&wanted, 1, 0) == 0;
}

}  // namespace

std::string WrappedSsl::offered_protocols() const {
  if (protocols_) return *protocols_;
  const auto* const notes = find_notes(openssl().SSL_get_SSL_CTX(ssl_));
  return notes != nullptr ? notes->protocols : std::string();
}

bool WrappedSsl::brings_identity() const {
  SSL_CTX* const context = openssl().SSL_get_SSL_CTX(ssl_);
  const auto* const notes = find_notes(context);
  return has_identity_ || (notes != nullptr && notes->has_identity) || openssl().SSL_get_certificate(ssl_) != nullptr ||
         openssl().SSL_get_privatekey(ssl_) != nullptr || openssl().SSL_CTX_get_client_cert_cb(context) != nullptr;
}

std::string_view WrappedSsl::protocol() const {
  if (session_ == nullptr || !session_->stream().is_opened()) return {};
  const std::string_view agreed = session_->stream().opened().alpn.data();
  return has_protocol(offered_protocols(), agreed) ? agreed : std::string_view();
}

// As OpenSSL's info callbacks.
void WrappedSsl::tell(int where, int value) const {
  auto callback = openssl().SSL_get_info_callback(ssl_);
  if (callback == nullptr) callback = openssl().SSL_CTX_get_info_callback(openssl().SSL_get_SSL_CTX(ssl_));
  if (callback != nullptr) callback(ssl_, where, value);
}

void WrappedSsl::clear() {
  stage_ = stays_unshared_ ? Stage::unshared : Stage::undecided;
  last_ = {};
  session_.reset();
  failure_ = 0;
  facts_.reset();
  chain_.reset();
  verified_chain_.reset();
  original_.reset();
}

std::optional<int> WrappedSsl::wait(int want) {
  last_.want = want;
  last_.can_retry = true;
  errno = EAGAIN;
  return -1;
}

std::optional<int> WrappedSsl::handshake() {
  if (stage_ == Stage::unshared) return std::nullopt;
  if (is_open()) return 1;
  if (stage_ == Stage::undecided || stage_ == Stage::arriving) begin();
  if (stage_ == Stage::unshared) return std::nullopt;
  openssl().ERR_clear_error();
  errno = 0;
  last_ = {.is_fatal = last_.is_fatal};
  std::optional<int> result;
  while (!result && stage_ != Stage::unshared) result = step();
  if (result) tell(SSL_CB_CONNECT_EXIT, *result);
  return result;
}

std::optional<int> WrappedSsl::step() {
  switch (stage_) {
    case Stage::undecided:
    case Stage::unshared: return std::nullopt;
    case Stage::arriving: return wait(SSL_WRITING);
    case Stage::connecting: return finish_connecting();
    case Stage::starting: return send_start();
    case Stage::opening: return take_opened();
    case Stage::verifying: return verify_host();
    case Stage::returning: return finish_returning();
    case Stage::open:
    case Stage::failed: break;
  }
  // After an error that it has told OpenSSL says no more than that there was one.
  errno = failure_;
  return -1;
}

void WrappedSsl::deny(int error) {
  stage_ = Stage::failed;
  failure_ = error;
}

void WrappedSsl::deny_demand(const std::string& why) {
  say_once("it must be, and cannot: " + why);
  deny(ECONNREFUSED);
}

bool WrappedSsl::may_be_shared(int& socket) const {
  socket = plain_socket_of(ssl_);
  // 255 bytes are as many as the start has room for; some servers have no more either.
  return socket >= 0 && openssl().SSL_is_dtls(ssl_) == 0 && openssl().SSL_ct_is_enabled(ssl_) == 0 &&
         offered_protocols().size() < start_.alpn.size();
}

void WrappedSsl::begin() {
  stage_ = Stage::unshared;
  const auto mode = wish_ == 1 ? Mode::shared : wish_ == 0 ? Mode::unshared : mode_of_environment();
  if (mode == Mode::unshared) return;
  int socket = -1;
  const bool is_demanded = mode == Mode::shared;
  if (!may_be_shared(socket)) {
    if (is_demanded) deny_demand("it is not TLS on a TCP socket, or asks for what only a session of its own has");
    return;
  }
  const auto redirection = redirected_sockets().find(socket);
  if (!redirection) return begin_anew(socket, is_demanded);
  // Else the engine takes what comes for a plain connection, and relays it.
  if (!has_spoken(socket) && (redirection->any_identity || !brings_identity())) {
    is_demanded_ = is_demanded;
    begin_shared(socket, *redirection);
  } else if (is_demanded) {
    deny_demand("the program brings an identity of its own, or has spoken before SSL_connect");
  }
}

// The program's socket is connected to the host, so far, or on its way there.
void WrappedSsl::begin_anew(int socket, bool is_demanded) {
  const char* const name = openssl().SSL_get_servername(ssl_, TLSEXT_NAMETYPE_host_name);
  if (name == nullptr && !is_demanded) return;
  const auto peer = remote_address(socket);
  if (!peer && is_arriving(socket)) {
    stage_ = Stage::arriving;
    return;
  }
  if (!peer || has_spoken(socket) || !can_be_led(socket)) {
    if (is_demanded) deny_demand("there is no connection, or the program has spoken on it before SSL_connect");
    return;
  }
  const auto match = ask(socket, *peer, name != nullptr ? name : "");
  if (!match || (match->reply.any_identity == 0 && brings_identity())) {
    if (is_demanded) deny_demand("no rule of ssl_wrapper covers it, or the program brings an identity of its own");
    return;
  }
  dissolve(socket);
  is_demanded_ = is_demanded;
  if (redirect(socket, *peer, *match)) {
    if (const auto redirection = redirected_sockets().find(socket)) return begin_shared(socket, *redirection);
  }
  socket_ = socket;
  original_ = *peer;
  refuse("the engine cannot be reached");
}

void WrappedSsl::begin_shared(int socket, const Redirection& redirection) {
  const char* const name = openssl().SSL_get_servername(ssl_, TLSEXT_NAMETYPE_host_name);
  stage_ = Stage::connecting;
  socket_ = socket;
  original_ = redirection.original;
  session_ = std::make_unique<SharedSession>(ssl_, last_, socket);
  start_ = {};
  start_.ticket = redirection.ticket;
  shm::set_text(start_.server_name, name != nullptr ? name : "");
  const auto offered = offered_protocols();
  std::memcpy(start_.alpn.data(), offered.data(), offered.size());
  started_bytes_ = 0;
  openssl().SSL_set_connect_state(ssl_);
  tell(SSL_CB_HANDSHAKE_START, 1);
}

std::optional<int> WrappedSsl::finish_connecting() {
  const int error = connection_error(socket_);
  if (error == EINPROGRESS) return wait(SSL_WRITING);
  stage_ = Stage::starting;
  if (error != 0) refuse("the engine's listener cannot be reached");
  return std::nullopt;
}

std::optional<int> WrappedSsl::send_start() {
  const auto all = std::as_bytes(std::span(&start_, 1));
  while (started_bytes_ < all.size()) {
    const auto sent = session_->stream().write(all.subspan(started_bytes_));
    if (sent.status == StreamStatus::would_wait || sent.status == StreamStatus::interrupted) return wait(SSL_WRITING);
    if (sent.status != StreamStatus::ok) {
      refuse(kGone);
      return std::nullopt;
    }
    started_bytes_ += sent.bytes;
  }
  stage_ = Stage::opening;
  return std::nullopt;
}

std::optional<int> WrappedSsl::take_opened() {
  auto& stream = session_->stream();
  const auto got = stream.await_opened();
  if (got.status == StreamStatus::would_wait || got.status == StreamStatus::interrupted) return wait(SSL_READING);
  if (got.status == StreamStatus::ok) return judge();
  const std::string_view words = stream.end().text.data();
  refuse(words.empty() ? kGone : words);
  return std::nullopt;
}

// The host would have been asked for a stapled response: the engine's session has none to show.
bool WrappedSsl::status_is_refused() {
  SSL_CTX* const context = openssl().SSL_get_SSL_CTX(ssl_);
  if (openssl().SSL_ctrl(ssl_, SSL_CTRL_GET_TLSEXT_STATUS_REQ_TYPE, 0, nullptr) < 0) return false;
  int (*callback)(SSL*, void*) = nullptr;
  void* argument = nullptr;
  openssl().SSL_CTX_ctrl(context, SSL_CTRL_GET_TLSEXT_STATUS_REQ_CB, 0, reinterpret_cast<void*>(&callback));
  openssl().SSL_CTX_ctrl(context, SSL_CTRL_GET_TLSEXT_STATUS_REQ_CB_ARG, 0, reinterpret_cast<void*>(&argument));
  return callback != nullptr && callback(ssl_, argument) <= 0;
}

std::optional<int> WrappedSsl::judge() {
  const auto& stream = session_->stream();
  auto session = session_of(stream, X509_V_OK, true);
  auto chain = session && !stream.certificates().empty() ? chain_of(stream, session.get()) : nullptr;
  if (!chain || !fits(ssl_, stream.opened(), offered_protocols())) {
    openssl().ERR_clear_error();
    refuse("the engine's session is not one that this program would have agreed to");
    return std::nullopt;
  }
  if (status_is_refused()) {
    openssl().ERR_clear_error();
    refuse("the program demands a stapled response of its host's authority");
    return std::nullopt;
  }
  chain_ = std::move(chain);
  facts_ = std::move(session);
  stage_ = Stage::verifying;
  return std::nullopt;
}

std::optional<int> WrappedSsl::verify_host() {
  const auto& stream = session_->stream();
  const auto* const notes = find_notes(openssl().SSL_get_SSL_CTX(ssl_));
  if (!set_session(session_of(stream, X509_V_OK, false).get(), X509_V_OK)) return fail();
  is_to_verify_again_ = false;
  auto verification = verify(ssl_, chain_, notes != nullptr ? notes->verification : OwnVerification());
  verified_chain_ = std::move(verification.verified);
  openssl().SSL_set_verify_result(ssl_, verification.result);
  if (verification.verdict > 0 && is_to_verify_again_) return wait(SSL_RETRY_VERIFY);
  const bool is_perfect = verification.result == X509_V_OK;
  const auto imperfect = is_perfect ? nullptr : session_of(stream, verification.result, true);
  if (!verification.is_accepted || !set_session((is_perfect ? facts_ : imperfect).get(), verification.result))
    return fail();
  facts_.reset();
  stage_ = Stage::open;
  tell(SSL_CB_HANDSHAKE_DONE, 1);
  return 1;
}

bool WrappedSsl::set_session(SSL_SESSION* session, long verify_result) {
  if (session == nullptr || openssl().SSL_set_session(ssl_, session) == 0) return false;
  openssl().SSL_set_verify_result(ssl_, verify_result);
  return true;
}

// The error queue says why.
int WrappedSsl::fail() {
  deny(0);
  return -1;
}

void WrappedSsl::refuse(std::string_view why) {
  say_once(why);  // before the stream goes, which may be who said it
  session_.reset();
  dissolve(socket_);
  if (is_demanded_ || !original_) return deny(ECONNREFUSED);
  stage_ = Stage::returning;
  const int result = next.connect(socket_, original_->data(), original_->length());
  if (result != 0 && errno != EINPROGRESS && errno != EINTR) deny(errno);
}

std::optional<int> WrappedSsl::finish_returning() {
  const int error = connection_error(socket_);
  if (error == EINPROGRESS) return wait(SSL_WRITING);
  // OpenSSL would write to a socket that is not connected: SIGPIPE.
  if (error != 0) {
    deny(error);
  } else {
    stage_ = Stage::unshared;
  }
  return std::nullopt;
}

}  // namespace tlsmux::wrapper
