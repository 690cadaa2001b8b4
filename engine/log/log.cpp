#include "engine/log/log.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>
#include <algorithm>

#include <atomic>
#include <cerrno>
#include <climits>
#include <cstring>
#include <mutex>
#include <utility>

#include "engine/confinement/confinement.hpp"
#include "engine/log/log_file.hpp"
#include "engine/log/standard_error.hpp"

#include <spdlog/async_logger.h>
#include <spdlog/details/thread_pool.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>

namespace tlsmux::engine {
namespace {

constexpr std::size_t kWaitingLinesMax = 8192;
// One write of at most this much is never mixed with another process's and never blocks after poll said yes.
constexpr std::size_t kLineBytesMax = PIPE_BUF;
constexpr int kWaitStepMs = 50;
constexpr int kWaitStepsMax = 20;

bool is_plain(char c) { return c > ' ' && c < 0x7f && c != '"' && c != '=' && c != '\\'; }

void append_escaped(std::string& line, char c) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  const auto byte = static_cast<unsigned char>(c);
  if (c == '"' || c == '\\') {
    line += {'\\', c};
  } else if (c == '\n') {
    line += "\\n";
  } else if (byte < ' ' || byte >= 0x7f) {
    line += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
  } else {
    line += c;
  }
}

void append_text(std::string& line, std::string_view text) {
  if (!text.empty() && std::ranges::all_of(text, is_plain)) {
    line += text;
    return;
  }
  line += '"';
  for (const char c : text) append_escaped(line, c);
  line += '"';
}

spdlog::level::level_enum spdlog_level(config::LogLevel level) {
  switch (level) {
    case config::LogLevel::debug: return spdlog::level::debug;
    case config::LogLevel::info: return spdlog::level::info;
    case config::LogLevel::warning: return spdlog::level::warn;
    case config::LogLevel::error: return spdlog::level::err;
  }
  return spdlog::level::info;
}

// The place for what the log itself cannot say. Nothing if that would wait.
void tell_standard_error(std::string_view why) {
  const auto line = "tlsmuxd: lines of the log cannot be written and are lost: " + std::string(why) + "\n";
  pollfd wanted{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
  if (::poll(&wanted, 1, 0) <= 0 || (wanted.revents & POLLOUT) == 0) return;
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), std::min(line.size(), kLineBytesMax));
}

// Writes lines to a descriptor without ever waiting long. spdlog calls it from one thread at a time.
class DescriptorSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit DescriptorSink(shm::UniqueFd output)
      : output_(std::move(output)), has_complained_(is_standard_error(output_.get())) {}

  // Before the first line. The pool outlives the sink's last line.
  void watch(spdlog::details::thread_pool* pool) { pool_ = pool; }
  // From now on no line waits.
  void hurry() { hurried_.store(true, std::memory_order_relaxed); }

  std::uint64_t lines_lost() {
    return unwritten_.load(std::memory_order_relaxed) + (pool_ == nullptr ? 0 : pool_->overrun_counter());
  }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    const auto lost = lines_lost();
    if (lost != lost_reported_) {
      const auto text = format_event("log_lines_lost", {{"count", lost - lost_reported_}});
      auto notice = message;
      notice.level = spdlog::level::warn;
      notice.payload = spdlog::string_view_t(text.data(), text.size());
      if (put(notice)) lost_reported_ = lost;
    }
    if (put(message)) return;
    unwritten_.fetch_add(1, std::memory_order_relaxed);
    if (!std::exchange(has_complained_, true)) tell_standard_error(why_lost_);
  }

  void flush_() override {}

 private:
  // False: the line is lost, and why_lost_ says why.
  bool put(const spdlog::details::log_msg& message) {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    if (line.size() > kLineBytesMax) {
      line.resize(kLineBytesMax);
      line[kLineBytesMax - 1] = '\n';
    }
    if (!writable()) {
      why_lost_ = "its reader does not take them";
      return false;
    }
    if (may_be_torn_ && !write_all("\n")) return false;
    may_be_torn_ = !write_all({line.data(), line.size()});
    return !may_be_torn_;
  }

  // A full disk takes a part of what it is given, and says why with the next write only.
  bool write_all(std::string_view text) {
    const auto written = ::write(output_.get(), text.data(), text.size());
    if (written == static_cast<ssize_t>(text.size())) return true;
    why_lost_ = std::strerror(written < 0 ? errno : ENOSPC);
    return false;
  }

  bool writable() {
    for (int step = 0; step < kWaitStepsMax; ++step) {
      const bool hurried = hurried_.load(std::memory_order_relaxed);
      pollfd wanted{.fd = output_.get(), .events = POLLOUT, .revents = 0};
      if (::poll(&wanted, 1, hurried ? 0 : kWaitStepMs) > 0) return (wanted.revents & POLLOUT) != 0;
      if (hurried) break;
    }
    return false;
  }

  shm::UniqueFd output_;
  spdlog::details::thread_pool* pool_ = nullptr;
  std::atomic<bool> hurried_ = false;
  std::atomic<std::uint64_t> unwritten_ = 0;
  std::uint64_t lost_reported_ = 0;
  bool may_be_torn_ = false;   // the file's last line, by this process or another that met the same full disk
  bool has_complained_;        // or has no other place for it
  const char* why_lost_ = "";  // of the last line that was
};

}  // namespace

// The pool goes before the sink that its thread writes to.
struct Log::Parts {
  std::shared_ptr<DescriptorSink> sink;
  std::shared_ptr<spdlog::details::thread_pool> pool;
  std::shared_ptr<spdlog::logger> logger;
};

std::string format_event(std::string_view event, Fields fields) {
  std::string line = "event=";
  append_text(line, event);
  for (const auto& field : fields) {
    line += ' ';
    line += field.key;
    line += '=';
    if (const auto* text = std::get_if<std::string_view>(&field.value)) append_text(line, *text);
    if (const auto* number = std::get_if<std::int64_t>(&field.value)) line += std::to_string(*number);
    if (const auto* number = std::get_if<std::uint64_t>(&field.value)) line += std::to_string(*number);
  }
  return line;
}

std::expected<shm::UniqueFd, shm::SystemError> open_log(const config::LogSettings& settings) {
  if (settings.file.empty()) {
    shm::UniqueFd output(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3));
    if (!output) return std::unexpected(shm::last_error("duplicating standard error for the log"));
    return output;
  }
  return open_log_file(settings.file);
}

Log::Log(config::LogLevel level, shm::UniqueFd output, Mode mode) : parts_(std::make_unique<Parts>()) {
  parts_->sink = std::make_shared<DescriptorSink>(std::move(output));
  parts_->sink->set_formatter(std::make_unique<spdlog::pattern_formatter>("%Y-%m-%dT%H:%M:%S.%eZ level=%l %v",
                                                                          spdlog::pattern_time_type::utc, "\n"));
  if (mode == Mode::synchronous) {
    parts_->logger = std::make_shared<spdlog::logger>("tlsmux", parts_->sink);
  } else {
    parts_->pool = std::make_shared<spdlog::details::thread_pool>(
        kWaitingLinesMax, 1, [] { confinement::enter_thread(confinement::ThreadKind::log); });
    parts_->sink->watch(parts_->pool.get());
    parts_->logger = std::make_shared<spdlog::async_logger>("tlsmux", parts_->sink, parts_->pool,
                                                            spdlog::async_overflow_policy::overrun_oldest);
  }
  parts_->logger->set_level(spdlog_level(level));
  // Lines that fail are counted; the sink complains where it can.
  parts_->logger->set_error_handler([](const std::string&) {});
}

Log::~Log() {
  if (parts_->pool != nullptr) parts_->sink->hurry();
  parts_->logger.reset();
  parts_->pool.reset();
}

std::uint64_t Log::lines_lost() const { return parts_->sink->lines_lost(); }

void Log::set_level(config::LogLevel level) { parts_->logger->set_level(spdlog_level(level)); }

void Log::write(config::LogLevel level, std::string_view event, Fields fields) {
  const auto spdlog_level_wanted = spdlog_level(level);
  if (!parts_->logger->should_log(spdlog_level_wanted)) return;
  const auto line = format_event(event, fields);
  parts_->logger->log(spdlog_level_wanted, spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace tlsmux::engine
