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
  if (const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)) count(totals.server_names, name);
  const unsigned char* protocol = nullptr;
  unsigned protocol_bytes = 0;
  SSL_get0_alpn_selected(ssl, &protocol, &protocol_bytes);
  if (protocol != nullptr) count(totals.alpn_protocols, {reinterpret_cast<const char*>(protocol), protocol_bytes});
}

// Resumed TLS 1.2 sessions negotiate none.
void count_group(SSL* ssl, Totals& totals) {
  const long group = SSL_get_negotiated_group(ssl);
  if (group == NID_undef) return;
  const char* name = SSL_group_to_name(ssl, static_cast<int>(group));
  count(totals.groups, name != nullptr ? name : "unknown");
}

}  // namespace

void Host::advance(Session& session, std::uint32_t events) {
  touch(session);
  // These two are reported even when not asked for; nothing would take them away while the session is paused.
  if ((events & (EPOLLERR | EPOLLHUP)) != 0 && (session.paused || session.handshake_held)) return fail(session);
  if (session.handshake_held) return;
  if (!session.connection.handshake_done()) shake_hands(session);
  if (session.connection.handshake_done()) read(session);
}

void Host::shake_hands(Session& session) {
  if (options_.wire.handshake_reset) {
    session.connection.reset_on_close();
    return fail(session);
  }
  const IoStatus status = session.connection.handshake();
  if (status == IoStatus::blocked) return;
  end_handshake(session);
  ConnectionEntry& entry = log_.entry(session.number);
  if (status == IoStatus::done) {
    SSL* ssl = session.connection.ssl();
    count_handshake(ssl, totals_);
    count_group(ssl, totals_);
    entry.handshake = SSL_session_reused(ssl) != 0 ? "resumed" : "full";
    entry.handshake_done_us = now_us();
    begin_service(session);
  } else {
    ++totals_.handshakes_failed;
    count(totals_.handshake_failures, session.connection.error());
    entry.handshake = "failed";
    log_.end(session.number, "broken", now_us());
    session.gone = true;
  }
}

void Host::end_handshake(Session& session) {
  if (session.in_handshake) --totals_.handshakes_in_progress;
  session.in_handshake = false;
}

void Host::begin_service(Session& session) {
  apply_limits(session);
  if (options_.wire.byte_records) session.connection.split_records();
  const auto own_every_ms = options_.behaviour.own_messages.every_ms;
  if (own_every_ms > 0) repeat(session, Timer::Kind::own_message, own_every_ms);
  if (options_.keep_alive_every_ms > 0) repeat(session, Timer::Kind::keep_alive, options_.keep_alive_every_ms);
}

void Host::apply_limits(Session& session) {
  const auto sequence = session.responder.sequence();
  session.silent = options_.silent_after && sequence >= *options_.silent_after;
  session.unheard = options_.stop_reading_after && sequence >= *options_.stop_reading_after;
}

void Host::read(Session& session) {
  touch(session);
  if (session.paused || session.unheard || session.gone || session.peer_ended) return;
  const IoStatus status = session.connection.receive();
  cut_frames(session);
  switch (status) {
    case IoStatus::done: read_again(session); break;
    case IoStatus::blocked: break;
    case IoStatus::ended:
      session.peer_ended = true;
      log_.entry(session.number).close_notify = true;
      if (!session.closing) {
        ++totals_.closed_by_peer;
        if (session.responder.network_management().sign_offs() > 0) ++totals_.closed_after_sign_off;
        log_.end(session.number, "closed_by_peer", now_us());
      }
      linger(session);  // what it has asked before is still answered
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
  while (!session.stream_broken && !session.unheard) {
    const auto frame = first_frame(options_.framing, input.bytes().substr(used));
    if (!frame) {
      ++totals_.framing_errors;
      session.stream_broken = true;
      close(session);
    } else if (!*frame) {
      break;
    } else {
      used += (*frame)->bytes_total;
      take_frame(session, **frame);
    }
  }
  input.consume(session.stream_broken ? input.size() : used);
}

void Host::take_frame(Session& session, const Frame& frame) {
  if (frame.control) {
    ++totals_.session_controls;
    return;
  }
  if (frame.more) {
    ++totals_.message_parts;
    session.parts.append(frame.body);
    if (session.parts.size() <= options_.framing.message_bytes_max) return;
    ++totals_.framing_errors;
    session.stream_broken = true;
    return close(session);
  }
  if (!session.parts.empty()) {
    const std::string whole = std::exchange(session.parts, {}).append(frame.body);
    return take_message(session, whole);
  }
  if (frame.body.empty()) return take_keep_alive(session);
  take_message(session, frame.body);
}

void Host::take_keep_alive(Session& session) {
  ++totals_.keep_alives;
  if (!options_.behaviour.echo_keep_alives) return;
  std::string frame;
  append_frame(options_.framing, {}, frame);
  put(session, frame);
}

void Host::take_message(Session& session, std::string_view body) {
  Responder& responder = session.responder;
  const auto key = responder.receive(body);
  record_.append(session.number, responder.sequence(), key, responder.application_bytes());
  if (!session.closing && !session.silent && !misbehave(session)) {
    responder.react(now_ns_, reaction_);
    put(session, reaction_.at_once);
    for (unsigned copy = 0; copy < reaction_.copies; ++copy) {
      if (reaction_.due_ns == 0) {
        emit_answer(session, reaction_.answer);
      } else {
        session.delayed_bytes += reaction_.answer.size();
        timers_.add({reaction_.due_ns, session.number, Timer::Kind::answer, reaction_.answer});
      }
    }
    if (reaction_.close) close(session);
  }
  apply_limits(session);
  ConnectionEntry& entry = log_.entry(session.number);
  entry.messages = responder.sequence();
  entry.sign_ons = responder.network_management().sign_ons();
  entry.sign_offs = responder.network_management().sign_offs();
}

// True when the message just received gets no answer for it.
bool Host::misbehave(Session& session) {
  constexpr std::size_t kGarbageBytes = 4096;
  constexpr std::size_t kChatterRecords = 40'000;  // about a megabyte
  const auto sequence = session.responder.sequence();
  if (sequence == options_.wire.renegotiate_after) {
    ++totals_.renegotiations_asked;
    if (session.connection.ask_renegotiation() == IoStatus::failed) {
      fail(session);
      return true;
    }
  }
  if (sequence == options_.wire.chatter_after) {
    session.connection.send_chatter(kChatterRecords);
    return true;
  }
  if (sequence != options_.wire.garbage_after) return false;
  std::string garbage(kGarbageBytes, '\0');
  for (auto& byte : garbage) byte = static_cast<char>(random_.below(256));
  session.connection.send_garbage(garbage);
  return true;
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
      end_handshake(session);
      log_.end(number, "broken", now_us());
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
  if (session.paused && !pause && !session.unheard) read_again(session);
  session.paused = pause || session.unheard;
}

void Host::update_events(Session& session) {
  const std::uint32_t events =
      session.handshake_held ? 0 : session.connection.events(!session.paused && !session.peer_ended);
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
  log_.end(session.number, "closed_by_host", now_us());
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
  if (!session.gone && !session.connection.error().empty()) {
    count(totals_.connection_failures, session.connection.error());
  }
  if (!session.closing) ++totals_.connections_broken;
  session.gone = true;
}

}  // namespace tlsmux::host
