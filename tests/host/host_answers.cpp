#include <algorithm>
#include <string>
#include <vector>

#include "shm/assert.hpp"
#include "tests/host/host.hpp"

// The part of Host that sends: at once, later, in another order, on another session.
namespace tlsmux::host {

void Host::fire_timers() {
  while (const auto timer = timers_.take_due(now_ns_)) {
    if (timer->kind == Timer::Kind::shuffle_end) {
      if (timer->window == window_.generation()) empty_window();
      continue;
    }
    const auto found = sessions_.find(timer->connection);
    if (found == sessions_.end()) continue;
    touch(*found->second);
    fire(*found->second, *timer);
  }
}

void Host::fire(Session& session, const Timer& timer) {
  switch (timer.kind) {
    case Timer::Kind::linger_end: session.gone = true; break;
    case Timer::Kind::handshake_start: session.handshake_held = false; break;
    case Timer::Kind::answer:
      TMX_ASSERT(session.delayed_bytes >= timer.bytes.size());
      session.delayed_bytes -= timer.bytes.size();
      emit_answer(session, timer.bytes);
      break;
    case Timer::Kind::keep_alive: {
      std::string frame;
      append_frame(options_.framing, {}, frame);
      if (put(session, frame)) ++totals_.keep_alives_sent;
      repeat(session, timer.kind, options_.keep_alive_every_ms);
      break;
    }
    case Timer::Kind::own_message:
      if (may_send(session)) put(session, session.responder.own_message());
      repeat(session, timer.kind, options_.behaviour.own_messages.every_ms);
      break;
    case Timer::Kind::shuffle_end: break;
  }
}

void Host::repeat(Session& session, Timer::Kind kind, std::uint64_t every_ms) {
  timers_.add({.due_ns = now_ns_ + every_ms * 1'000'000, .connection = session.number, .kind = kind});
}

void Host::emit_answer(Session& session, std::string_view bytes) {
  if (options_.shuffle == 0) return put_answer(session.number, bytes);
  if (window_.empty()) {
    timers_.add({.due_ns = now_ns_ + options_.shuffle_wait_ms * 1'000'000,
                 .kind = Timer::Kind::shuffle_end,
                 .window = window_.generation()});
  }
  window_.add({session.number, std::string(bytes)});
  if (window_.full()) empty_window();
}

void Host::empty_window() {
  for (const auto& answer : window_.take()) {
    ++totals_.shuffled;
    put_answer(answer.connection, answer.bytes);
  }
}

void Host::put_answer(std::uint64_t number, std::string_view bytes) {
  Session* session = options_.answer_on_any_session ? any_session() : nullptr;
  if (session == nullptr) {
    const auto found = sessions_.find(number);
    if (found == sessions_.end()) return;
    session = found->second.get();
  }
  if (put(*session, bytes) && session->number != number) ++totals_.answered_elsewhere;
}

bool Host::may_send(const Session& session) const {
  return session.connection.handshake_done() && !session.closing && !session.silent && !session.gone;
}

// False: the session is sent nothing any more.
bool Host::put(Session& session, std::string_view bytes) {
  if (!may_send(session)) return false;
  session.connection.output().append(bytes);
  touch(session);
  return true;
}

// One that can be sent to; null when there is none.
Session* Host::any_session() {
  std::vector<Session*> able;
  for (const auto& [number, session] : sessions_) {
    if (may_send(*session)) able.push_back(session.get());
  }
  if (able.empty()) return nullptr;
  std::ranges::sort(able, {}, &Session::number);
  return able[random_.below(able.size())];
}

}  // namespace tlsmux::host
