#pragma once

// Structured log lines, one event each, in logfmt:
//
//   2026-11-21T18:33:58.123Z level=info event=session_ready upstream=acquirer session=2
//
// Names and texts may come from other processes and from hosts, so values are escaped: a line is printable ASCII, and
// no value can look like another field or another line. Nobody passes payload here. The only spdlog user.

#include <concepts>
#include <cstdint>
#include <expected>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <variant>

#include "config/config.hpp"
#include "shm/system/system_error.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::engine {

// A key and a value, for the length of one call: it does not own the text.
struct Field {
  std::string_view key;
  std::variant<std::string_view, std::int64_t, std::uint64_t> value;

  template <typename Text>
    requires std::convertible_to<const Text&, std::string_view>
  Field(std::string_view field_key, const Text& text) : key(field_key), value(std::string_view(text)) {}
  template <std::signed_integral Number>
  Field(std::string_view field_key, Number number) : key(field_key), value(std::int64_t{number}) {}
  template <std::unsigned_integral Number>
  Field(std::string_view field_key, Number number) : key(field_key), value(std::uint64_t{number}) {}
};

using Fields = std::initializer_list<Field>;

// `event=... key=value ...`, values in quotes and escaped where they need it.
std::string format_event(std::string_view event, Fields fields);

// The log file of the settings, made if missing (mode 0640) and appended to; standard error if they name none.
std::expected<shm::UniqueFd, shm::SystemError> open_log(const config::LogSettings& settings);

// Any thread. Never forked: a child makes its own. The first line that cannot be written is told on standard error; what follows
// one that was torn by a full disk begins on a line of its own.
class Log {
 public:
  enum class Mode : std::uint8_t {
    // The caller writes. If the reader of a pipe stalls, a line waits for it up to a second, then is lost.
    synchronous,
    // A thread writes. The caller never waits; while the reader stalls, the oldest waiting lines are lost.
    asynchronous,
  };

  Log(config::LogLevel level, shm::UniqueFd output, Mode mode);
  // Writes what waits, as far as it can be written without waiting.
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  void debug(std::string_view event, Fields fields = {}) { write(config::LogLevel::debug, event, fields); }
  void info(std::string_view event, Fields fields = {}) { write(config::LogLevel::info, event, fields); }
  void warning(std::string_view event, Fields fields = {}) { write(config::LogLevel::warning, event, fields); }
  void error(std::string_view event, Fields fields = {}) { write(config::LogLevel::error, event, fields); }

  // Any thread.
  void set_level(config::LogLevel level);

  // Lines that could not be written so far. The log says so itself as soon as it can write again.
  [[nodiscard]] std::uint64_t lines_lost() const;

 private:
  struct Parts;

  void write(config::LogLevel level, std::string_view event, Fields fields);

  std::unique_ptr<Parts> parts_;
};

}  // namespace tlsmux::engine
