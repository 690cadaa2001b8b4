#pragma once

// The demo's tlsmuxd: the broker, the engine below it, and what the group's table in shared memory says.

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/demo/interrupt.hpp"
#include "tests/demo/process.hpp"

namespace tlsmux::demo {

inline constexpr std::uint32_t kSessions = 2;
inline constexpr const char* kUpstream = "acquirer";

struct EngineFacts {
  pid_t pid = 0;
  std::uint32_t sessions_ready = 0;
};

class Engine {
 public:
  // Starts it; sessions go to these ports of 127.0.0.1 in turn. `interrupt` must outlive it. Failures, here and later,
  // throw std::runtime_error.
  Engine(const Interrupt& interrupt, const std::string& folder, const std::vector<std::uint16_t>& ports);
  // Whatever still runs is stopped, or killed, and its shared memory removed.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Returns once all sessions are ready.
  EngineFacts await_sessions();

  [[nodiscard]] const std::string& group() const { return group_; }
  [[nodiscard]] const std::string& control_socket() const { return control_socket_; }
  [[nodiscard]] const Process& broker() const { return *broker_; }
  // Of the engine that serves, or served last. Nothing while there is none.
  [[nodiscard]] std::optional<EngineFacts> facts() const;
  // The broker ended, though nobody stopped it.
  [[nodiscard]] bool has_died() { return broker_->exit_code().has_value(); }

  // SIGKILL to the engine; the broker starts the next. Returns the pid of the killed one.
  pid_t kill();
  // SIGTERM to the broker, and waits for its end.
  void stop();

 private:
  void remove_remains();

  const Interrupt& interrupt_;
  std::string group_;
  std::string control_socket_;
  std::unique_ptr<Process> broker_;
};

}  // namespace tlsmux::demo
