#include <openssl/bio.h>
#include <openssl/x509.h>
#include <sys/epoll.h>

#include <memory>
#include <string>
#include <utility>

#include "shm/assert.hpp"
#include "tests/host/host.hpp"

// The part of Host that deals with one session at a time.
namespace tlsmux::host {
namespace {

constexpr std::size_t kWaitingBytesMax = 4 * 1024 * 1024;

std::string subject_of(X509* certificate) {
  const std::unique_ptr<BIO, decltype(&BIO_free_all)> memory(BIO_new(BIO_s_mem()), &BIO_free_all);
  X509_NAME_print_ex(memory.get(), X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
  char* text = nullptr;
  const long length = BIO_get_mem_data(memory.get(), &text);
  return {text, static_cast<std::size_t>(length)};
}

void count_handshake(const SSL* ssl, Totals& totals) {
  ++(SSL_session_reused(ssl) != 0 ? totals.handshakes_resumed : totals.handshakes_full);
  count(totals.tls_versions, SSL_get_version(ssl));
  count(totals.ciphers, SSL_CIPHER_get_name(SSL_get_current_cipher(ssl)));
  if (X509* certificate = SSL_get0_peer_certificate(ssl)) count(totals.client_certificates, subject_of(certificate));
}

}  // namespace

void Host::advance(Session& session, std::uint32_t events) {
  touch(session);
  // These two are reported even when not asked for; nothing would take them away while the session is paused.
  if ((events & (EPOLLERR | EPOLLHUP)) != 0 && session.paused) return fail(session);
  if (!session.connection.handshake_done()) shake_hands(session);
  if (session.connection.handshake_done()) read(session);
}

void Host::shake_hands(Session& session) {
  const IoStatus status = session.connection.handshake();
  if (status == IoStatus::done) {
    count_handshake(session.connection.ssl(), totals_);
  } else if (status != IoStatus::blocked) {
    ++totals_.handshakes_failed;
    count(totals_.handshake_failures, session.connection.error());
    session.gone = true;
  }
}

void Host::read(Session& session) {
  touch(session);
  if (session.paused || session.gone) return;
  const IoStatus status = session.connection.receive();
  cut_frames(session);
  switch (status) {
    case IoStatus::done: read_again(session); break;
    case IoStatus::blocked: break;
    case IoStatus::ended:
      session.peer_ended = true;
      if (!session.closing) ++totals_.closed_by_peer;
      if (session.closing) session.gone = true;
      linger(session);
      break;
    case IoStatus::failed: fail(session);
  }
}

void Host::read_again(Session& session) {
  if (!session.unread) unread_.push_back(session.number);
  session.unread = true;
}

void Host::cut_frames(Session& session) {
  ByteQueue& input = session.connection.input();
  std::size_t used = 0;
  while (!session.stream_broken) {
    const auto frame = first_frame(options_.framing, input.bytes().substr(used));
    if (!frame) {
      ++totals_.framing_errors;
      session.stream_broken = true;
      close(session);
    } else if (!*frame) {
      break;
    } else {
      used += (*frame)->bytes_total;
      take_frame(session, (*frame)->body);
    }
  }
  input.consume(session.stream_broken ? input.size() : used);
}

void Host::take_frame(Session& session, std::string_view body) {
  if (!body.empty()) return take_message(session, body);
  ++totals_.keep_alives;
  if (!options_.behaviour.echo_keep_alives || session.closing) return;
  std::string header;
  append_header(options_.framing, 0, header);
  session.connection.output().append(header);
}

void Host::take_message(Session& session, std::string_view body) {
  const auto key = session.responder.receive(body);
  record_.append(session.number, session.responder.sequence(), key, body);
  if (session.closing) return;
  session.responder.react(now_ns_, reaction_);
  ByteQueue& output = session.connection.output();
  output.append(reaction_.at_once);
  for (unsigned copy = 0; copy < reaction_.copies; ++copy) {
    if (reaction_.due_ns == 0) {
      output.append(reaction_.answer);
    } else {
      session.delayed_bytes += reaction_.answer.size();
      timers_.add({reaction_.due_ns, session.number, Timer::Kind::answer, reaction_.answer});
    }
  }
  if (reaction_.close) close(session);
}

void Host::fire_timers() {
  while (const auto timer = timers_.take_due(now_ns_)) {
    const auto found = sessions_.find(timer->connection);
    if (found == sessions_.end()) continue;
    Session& session = *found->second;
    touch(session);
    if (timer->kind == Timer::Kind::linger_end) {
      session.gone = true;
      continue;
    }
    TMX_ASSERT(session.delayed_bytes >= timer->bytes.size());
    session.delayed_bytes -= timer->bytes.size();
    if (!session.closing) session.connection.output().append(timer->bytes);
  }
}

void Host::touch(Session& session) {
  if (!session.touched) touched_.push_back(session.number);
  session.touched = true;
}

void Host::settle_touched() {
  for (const std::uint64_t number : std::exchange(touched_, {})) {
    const auto found = sessions_.find(number);
    TMX_ASSERT(found != sessions_.end());
    Session& session = *found->second;
    session.touched = false;
    if (!session.gone) send(session);
    if (session.gone) {
      sessions_.erase(found);
      continue;
    }
    update_pause(session);
    update_events(session);
  }
}

void Host::send(Session& session) {
  Connection& connection = session.connection;
  if (!connection.handshake_done()) return;
  IoStatus status = connection.send();
  if (status == IoStatus::done && session.closing && !connection.notify_sent()) status = connection.send_notify();
  if (status == IoStatus::failed) return fail(session);
  if (connection.notify_sent() && session.peer_ended) session.gone = true;
}

void Host::update_pause(Session& session) {
  const std::size_t waiting = session.connection.output().size() + session.delayed_bytes;
  const bool pause = waiting > kWaitingBytesMax && !session.closing;
  if (session.paused && !pause) read_again(session);
  session.paused = pause;
}

void Host::update_events(Session& session) {
  const std::uint32_t events = session.connection.events(!session.paused);
  if (events == session.events_registered) return;
  session.events_registered = events;
  epoll_event event = {};
  event.events = events;
  event.data.u64 = session.number;
  const int result = ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, session.connection.socket(), &event);
  TMX_ASSERT(result == 0);
}

void Host::close(Session& session) {
  if (session.closing) return;
  ++totals_.closed_by_host;
  if (!session.connection.handshake_done()) session.gone = true;
  if (options_.close_hard) {
    session.connection.reset_on_close();
    session.gone = true;
  }
  linger(session);
}

void Host::linger(Session& session) {
  if (session.closing) return;
  session.closing = true;
  timers_.add({now_ns_ + kLingerNs, session.number, Timer::Kind::linger_end});
}

void Host::fail(Session& session) {
  if (!session.closing) ++totals_.connections_broken;
  session.gone = true;
}

}  // namespace tlsmux::host
