#pragma once

// One SSL of the program: whether its connection is shared, and the handshake if it is, step by step as the socket allows.
// As an SSL it is one thread's at a time.
//
//   undecided -> unshared                    OpenSSL's from here on
//             -> arriving -> undecided       the program's own connection is still on its way
//             -> connecting -> starting -> opening -> verifying -> open
//                  any of the first three -> returning -> unshared   the engine refused: back to the real host
//                                         -> failed                  or it may not be unshared, or is not whom it should be

#include <optional>

#include "client/wrapper/notes.hpp"
#include "client/wrapper/shared_session.hpp"
#include "client/wrapper/sharing.hpp"

namespace tlsmux::wrapper {

enum class Stage : std::uint8_t {
  undecided,
  arriving,
  unshared,
  connecting,
  starting,
  opening,
  verifying,
  returning,
  open,
  failed
};

class WrappedSsl {
 public:
  explicit WrappedSsl(SSL* ssl) : ssl_(ssl) {}

  // What the program says before the handshake.
  void set_wish(int shared) { wish_ = shared; }  // as tmx_SSL_set_shared
  void set_protocols(std::string protocols) { protocols_ = std::move(protocols); }
  void set_identity() { has_identity_ = true; }
  void set_client(bool is_client) { is_client_ = is_client; }  // as SSL_set_connect_state and SSL_set_accept_state
  // It asks for what only a session of its own has.
  void leave_unshared() {
    stays_unshared_ = true;
    if (stage_ == Stage::undecided) stage_ = Stage::unshared;
  }

  // Of the one that this is a copy of (SSL_dup); not the protocols, which OpenSSL leaves out too.
  void take_wishes(const WrappedSsl& from) {
    wish_ = from.wish_;
    has_identity_ = from.has_identity_;
    is_client_ = from.is_client_;
    if (from.stays_unshared_) leave_unshared();
  }

  [[nodiscard]] Stage stage() const { return stage_; }
  // The calls on it are not OpenSSL's.
  [[nodiscard]] bool is_ours() const { return stage_ != Stage::undecided && stage_ != Stage::unshared; }
  [[nodiscard]] bool is_open() const { return stage_ == Stage::open && !last_.is_fatal; }
  // Reading and writing begin its handshake.
  [[nodiscard]] bool is_client() const { return is_client_; }

  // As SSL_set_retry_verify, from within the program's verification.
  void verify_again() { is_to_verify_again_ = true; }

  // As SSL_connect; nothing: OpenSSL is to do it.
  std::optional<int> handshake();
  // For a new connection. The wishes stay.
  void clear();

  [[nodiscard]] const LastCall& last() const { return last_; }
  // Not null when it is open.
  [[nodiscard]] SharedSession* session() const { return session_.get(); }
  [[nodiscard]] STACK_OF(X509) * chain() const { return chain_.get(); }
  [[nodiscard]] STACK_OF(X509) * verified_chain() const { return verified_chain_.get(); }
  // That was agreed on; empty: none.
  [[nodiscard]] std::string_view protocol() const;

 private:
  // Nothing: on to the next stage.
  std::optional<int> step();
  void begin();
  bool may_be_shared(int& socket) const;
  void begin_anew(int socket, bool is_demanded);
  void begin_shared(int socket, const Redirection& redirection);
  std::optional<int> finish_connecting();
  std::optional<int> send_start();
  std::optional<int> take_opened();
  std::optional<int> judge();
  std::optional<int> verify_host();
  bool set_session(SSL_SESSION* session, long verify_result);
  int fail();
  void deny(int error);
  void deny_demand(const std::string& why);
  std::optional<int> finish_returning();
  void refuse(std::string_view why);
  bool status_is_refused();
  [[nodiscard]] std::string offered_protocols() const;
  [[nodiscard]] bool brings_identity() const;
  std::optional<int> wait(int want);
  void tell(int where, int value) const;

  SSL* ssl_;
  int wish_ = -1;
  std::optional<std::string> protocols_;
  bool has_identity_ = false;
  bool is_client_ = false;
  bool stays_unshared_ = false;

  Stage stage_ = Stage::undecided;
  bool is_demanded_ = false;  // it must not be unshared
  int failure_ = 0;           // of `failed`: the errno that each call comes to; 0: the error queue has said why
  LastCall last_;
  int socket_ = -1;
  std::optional<client::InetAddress> original_;
  shm::StreamStart start_;
  std::size_t started_bytes_ = 0;  // of it that are sent
  std::unique_ptr<SharedSession> session_;
  Session facts_;  // while its host is verified
  bool is_to_verify_again_ = false;
  Chain chain_;
  Chain verified_chain_;
};

}  // namespace tlsmux::wrapper
