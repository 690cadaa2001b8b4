#include "engine/broker/supervisor.hpp"

#include <poll.h>

#include <sys/signalfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>
#include <vector>

#include "engine/broker/service_notice.hpp"
#include "engine/broker/start_failure.hpp"
#include "shm/segment.hpp"
#include "shm/system/pidfd.hpp"
#include "shm/system/seqpacket.hpp"

namespace tlsmux::engine::broker {
namespace {

using std::chrono::milliseconds;

constexpr std::uint32_t kMalformedMax = 8;
// What an engine may take over its own drain time-out before it is killed.
constexpr milliseconds kDrainGrace{5'000};
// Whether what keeps others off the ports is still in place.
constexpr milliseconds kPortsLookedAfterEvery{5'000};

shm::UniqueFd open_signals() {
  sigset_t wanted;
  ::sigemptyset(&wanted);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&wanted, signal);
  return shm::UniqueFd(::signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
}

std::int64_t milliseconds_since(std::chrono::steady_clock::time_point when) {
  return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - when).count();
}

}  // namespace

// On every kernel: requests are few.
Supervisor::Supervisor(const SupervisorParts& parts) : parts_(parts), linger_limit_(true) {
  linger_limit_.report_lack(parts_.log);
}

int Supervisor::run() {
  if (!start_first()) {
    if (engine_) {
      cut_off_engine();  // it ends by that where it cannot be killed
      kill_engine();
      reap(*engine_);
    }
    return kExitCannotStart;
  }
  while (!exit_code_) wait_for_events();
  return *exit_code_;
}

// The first engine is forked before there is any socket that it could inherit.
bool Supervisor::start_first() {
  if (!start_engine()) return false;
  signals_ = open_signals();
  if (!signals_) {
    report_start_failure(shm::last_error("making a signalfd").message, parts_.log_output, parts_.log);
    return false;
  }
  auto listener = ControlListener::create(parts_.config.engine.control_socket);
  if (!listener) {
    report_start_failure(listener.error(), parts_.log_output, parts_.log);
    return false;
  }
  if (parts_.scope.ports != nullptr) repair_at_ = Clock::now() + kPortsLookedAfterEvery;
  listener_.emplace(std::move(*listener));
  requests_->set_listener(listener_->descriptor());
  return true;
}

bool Supervisor::start_engine() {
  if (parts_.scope.candidate != nullptr) parts_.scope.candidate->drop();  // of an engine that died over it
  std::vector<int> inherited;
  for (const auto& lock : parts_.locks.present()) inherited.push_back(lock.descriptor());
  start_at_.reset();
  started_at_ = Clock::now();
  if (!unserved_since_) unserved_since_ = started_at_;
  auto process = broker::start_engine({.config = parts_.config,
                                       .main = parts_.main,
                                       .identity = parts_.identity,
                                       .log_output = parts_.log_output,
                                       .inherited = inherited,
                                       .restarts = restarts_},
                                      parts_.log);
  if (!process) {
    parts_.log.error("engine_start_failed", {{"error", process.error().message}});
    return false;
  }
  engine_ = std::make_unique<EngineProcess>(std::move(*process));
  requests_ = std::make_unique<BrokerRequests>(parts_.scope);
  requests_->set_engine(engine_->pid);
  if (listener_) requests_->set_listener(listener_->descriptor());
  for (const auto& lock : parts_.locks.present()) lock.name_holder(engine_->pid);
  parts_.log.info("engine_started", {{"pid", engine_->pid}, {"uid", parts_.identity.uid}, {"restarts", restarts_}});
  return true;
}

void Supervisor::wait_for_events() {
  // poll() passes over negative descriptors.
  auto* const ports = parts_.scope.ports;
  std::array<pollfd, 4> wanted{{{.fd = signals_.get(), .events = POLLIN, .revents = 0},
                                {.fd = engine_ ? engine_->pidfd.get() : -1, .events = POLLIN, .revents = 0},
                                {.fd = engine_ ? engine_->socket.get() : -1, .events = POLLIN, .revents = 0},
                                {.fd = ports != nullptr ? ports->deaths() : -1, .events = POLLIN, .revents = 0}}};
  if (::poll(wanted.data(), wanted.size(), milliseconds_to_next_timer()) < 0) return;
  const bool engine_dead = wanted[1].revents != 0;
  if (wanted[2].revents != 0) on_request();
  if (wanted[0].revents != 0) on_signal();
  if (wanted[3].revents != 0) ports->on_deaths();
  if (engine_dead) on_engine_end();
  on_timers();
}

int Supervisor::milliseconds_to_next_timer() const {
  if (!start_at_ && !kill_at_ && !repair_at_) return -1;
  auto next = Clock::time_point::max();
  for (const auto& timer : {start_at_, kill_at_, repair_at_}) next = std::min(next, timer.value_or(next));
  const auto left = std::chrono::ceil<milliseconds>(next - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
}

void Supervisor::on_timers() {
  const auto now = Clock::now();
  if (start_at_ && now >= *start_at_ && !exit_code_ && !start_engine()) {
    start_at_ = now + policy_.next_delay(milliseconds(0));
  }
  if (repair_at_ && now >= *repair_at_) {
    parts_.scope.ports->repair();
    repair_at_ = now + kPortsLookedAfterEvery;
  }
  if (kill_at_ && now >= *kill_at_) {
    kill_at_.reset();
    if (kill_engine()) {
      parts_.log.error("engine_killed", {{"pid", engine_->pid}, {"reason", "it did not end in time"}});
      killed_ = true;
    } else {
      kill_at_ = now + kDrainGrace;
    }
  }
}

void Supervisor::on_signal() {
  signalfd_siginfo info{};
  if (::read(signals_.get(), &info, sizeof info) != sizeof info) return;
  const auto signal = static_cast<int>(info.ssi_signo);
  if (signal == SIGHUP) {
    if (!engine_) {
      parts_.log.warning("signal_ignored",
                         {{"signal", "SIGHUP"}, {"reason", "no engine runs at this moment; try again"}});
    } else {
      signal_engine(SIGHUP, "SIGHUP", "CAP_KILL; or type: tlsmux refresh");  // the engine says what becomes of it
    }
    return;
  }
  stop(signal == SIGTERM ? "SIGTERM" : "SIGINT");
}

void Supervisor::stop(const char* why) {
  parts_.log.info("stopping", {{"reason", why}});
  stopping_ = true;
  start_at_.reset();
  notify_service_manager("STOPPING=1");
  if (!engine_) return end_with(kExitClean);
  if (!signal_engine(SIGTERM, "SIGTERM", "CAP_KILL (it is stopped by the end of its socket instead)")) cut_off_engine();
  if (!kill_at_ && !killed_) {
    kill_at_ = Clock::now() + milliseconds(parts_.config.engine.drain_timeout_ms) + kDrainGrace;
  }
}

void Supervisor::on_request() {
  auto packet = receive();
  if (!packet && packet.error().code == EAGAIN) return;
  const bool too_long = !packet && packet.error().code == EPROTO;
  if (!too_long && (!packet || packet->bytes.empty())) {
    return cut_off_engine();  // from now on only the pidfd tells more
  }
  const shm::Packet empty;  // which is malformed too
  const auto answer = requests_->answer(too_long ? empty : std::as_const(*packet));
  std::vector<int> descriptors;
  descriptors.reserve(answer.descriptors.size());
  for (const auto& fd : answer.descriptors) descriptors.push_back(fd.get());
  const auto sent = shm::send_packet(engine_->socket.get(), std::as_bytes(std::span(&answer.reply, 1)), descriptors);
  if (!sent) parts_.log.warning("engine_answer_lost", {{"error", sent.error().message}});
  if (requests_->serving()) on_engine_serving();
  if (requests_->malformed() >= kMalformedMax) {
    const bool is_killed = kill_engine();
    parts_.log.error(is_killed ? "engine_killed" : "engine_cut_off",
                     {{"pid", engine_->pid}, {"reason", "it sent requests that do not exist"}});
    cut_off_engine();
  }
}

void Supervisor::on_engine_serving() {
  if (!unserved_since_) return;
  parts_.log.info(ever_served_ ? "engine_restarted" : "engine_serving",
                  {{"pid", engine_->pid}, {"after_ms", milliseconds_since(*unserved_since_)}});
  unserved_since_.reset();
  if (!std::exchange(ever_served_, true)) notify_service_manager("READY=1");
}

void Supervisor::on_engine_end() {
  const auto end = reap(*engine_);
  const auto lived = std::chrono::duration_cast<milliseconds>(Clock::now() - started_at_);
  const auto pid = engine_->pid;
  cut_off_engine();
  engine_.reset();
  kill_at_.reset();
  if (parts_.scope.predecessors != nullptr) {
    report_shortened_objects();
    parts_.scope.predecessors->engine_died();
  }
  if (end.exited && end.code == kExitClean) {
    parts_.log.info("engine_ended", {{"pid", pid}});
    return end_with(kExitClean);
  }
  parts_.log.error("engine_died", {{"pid", pid}, {"end", end.description}, {"lived_ms", lived.count()}});
  if (stopping_) return end_with(killed_ ? kExitKilled : kExitClean);
  if (!ever_served_ && end.exited && end.code == kExitCannotStart) {
    report_start_failure("the first engine could not; the line engine_cannot_start of the log says why",
                         parts_.log_output, parts_.log);
    return end_with(kExitCannotStart);
  }
  if (!unserved_since_) unserved_since_ = Clock::now();
  ++restarts_;
  start_at_ = Clock::now() + policy_.next_delay(lived);
}

void Supervisor::report_shortened_objects() {
  for (const auto& [group, bytes, bytes_made] : parts_.scope.predecessors->shortened()) {
    parts_.log.error(
        "group_object_truncated",
        {{"group", group},
         {"file", "/dev/shm/" + shm::group_object_name(group)},
         {"bytes", bytes},
         {"bytes_made", bytes_made},
         {"means",
          "SOMEBODY HAS MADE SHORTER WHAT THE ENGINE AND ITS CLIENTS HAVE MAPPED: whoever touches the "
          "missing part is ended by SIGBUS; the next engine makes another"},
         {"needs", "nobody but tlsmuxd to write to its files in /dev/shm (root and the engine's user can)"}});
  }
}

// Descriptors that an engine sends are closed unseen; before Linux 6.16 a signal ends the wait that it could make of that.
std::expected<shm::Packet, shm::SystemError> Supervisor::receive() const {
  const control::Unlingering guard(linger_limit_);
  return shm::receive_packet(engine_->socket.get(), shm::Descriptors::refused);
}

void Supervisor::cut_off_engine() {
  const control::Unlingering guard(linger_limit_);
  engine_->socket.reset();
}

bool Supervisor::signal_engine(int signal, const char* name, const char* needs) {
  if (shm::send_signal(engine_->pidfd.get(), signal) || errno == ESRCH) return true;
  parts_.log.error("privilege_missing", {{"what", "signal_to_engine"},
                                         {"signal", name},
                                         {"pid", engine_->pid},
                                         {"error", std::strerror(errno)},
                                         {"needs", needs}});
  return false;
}

bool Supervisor::kill_engine() {
  return signal_engine(SIGKILL, "SIGKILL", "CAP_KILL; until then somebody who may has to type: kill -9 and that pid");
}

}  // namespace tlsmux::engine::broker
