#include "tests/demo/progress.hpp"

#include <functional>

#include "tests/demo/purchase.hpp"
#include "tests/demo/text_format.hpp"

namespace tlsmux::demo {
namespace {

constexpr std::chrono::milliseconds kBlockInterval{150};
constexpr std::chrono::milliseconds kLineInterval{2'000};
constexpr std::chrono::milliseconds kSampleSpan{1'000};
constexpr std::size_t kBarColumns = 40;
constexpr std::size_t kNameColumns = 14;
constexpr std::size_t kNumberColumns = 8;

}  // namespace

Progress::Progress(Stage& stage, Screen& screen, const Options& options, Clock::time_point start)
    : stage_(stage),
      screen_(screen),
      options_(options),
      start_(start),
      next_(screen.is_live() ? start : start + kLineInterval) {}

void Progress::show(Clock::time_point now) {
  if (now < next_) return;
  next_ = now + (screen_.is_live() ? kBlockInterval : kLineInterval);
  const auto all = all_counts();
  samples_.push_back({now, all.answered});
  while (samples_.size() > 2 && now - samples_[1].time >= kSampleSpan) samples_.pop_front();
  const double seconds = std::chrono::duration<double>(now - start_).count();
  if (screen_.is_live()) {
    draw_block(seconds, all);
  } else {
    say_line(seconds, all);
  }
}

// Outcomes are counted after their request, so they are read before it.
Progress::Counts Progress::counts_of(const AuthorizerProcess& authorizer) const {
  const auto& header = authorizer.ledger.header();
  Counts counts{.answered = header.answered, .not_sent = header.not_sent, .maybe_sent = header.maybe_sent};
  counts.submitted = header.submitted;
  return counts;
}

Progress::Counts Progress::all_counts() const {
  Counts all;
  for (const auto& authorizer : stage_.authorizers()) {
    const auto counts = counts_of(authorizer);
    all.submitted += counts.submitted;
    all.answered += counts.answered;
    all.not_sent += counts.not_sent;
    all.maybe_sent += counts.maybe_sent;
  }
  return all;
}

std::uint64_t Progress::answers_per_second() const {
  const double seconds = std::chrono::duration<double>(samples_.back().time - samples_.front().time).count();
  if (seconds <= 0) return 0;
  return static_cast<std::uint64_t>(static_cast<double>(samples_.back().answered - samples_.front().answered) /
                                    seconds);
}

std::string Progress::engine_words() const {
  const auto facts = stage_.engine().facts();
  if (!facts) return "no engine";
  return "engine " + std::to_string(facts->pid) + ", " + std::to_string(facts->sessions_ready) + " of " +
         std::to_string(kSessions) + " TLS sessions ready";
}

void Progress::draw_block(double seconds, const Counts& all) {
  const auto total = std::uint64_t{options_.messages} * kAuthorizers;
  const auto row = [&](const char* name, const std::function<std::string(const AuthorizerProcess&)>& value) {
    std::string line = "  " + screen_.dim(left_aligned(name, kNameColumns));
    for (const auto& authorizer : stage_.authorizers()) line += value(authorizer);
    return line;
  };
  const auto number = [&](std::uint64_t Counts::* count) {
    return [this, count](const AuthorizerProcess& authorizer) {
      return right_aligned(thousands(counts_of(authorizer).*count), kNumberColumns);
    };
  };
  const auto share = static_cast<double>(all.submitted) / static_cast<double>(total);
  screen_.show({
      "",
      "  " + screen_.bar(share, kBarColumns) + right_aligned(decimal(share * 100, 0), 4) + " %" +
          right_aligned(decimal(seconds), 7) + " s" + right_aligned(thousands(answers_per_second()), 8) + " answers/s",
      "  " + screen_.dim(thousands(all.submitted) + " of " + thousands(total) + " requests, " + engine_words()),
      "",
      row("authorizer",
          [&](const AuthorizerProcess& each) {
            return screen_.bold(right_aligned(std::to_string(each.number + 1), kNumberColumns));
          }),
      row("answered", number(&Counts::answered)),
      row("not sent", number(&Counts::not_sent)),
      row("maybe sent", number(&Counts::maybe_sent)),
      row("in flight",
          [&](const AuthorizerProcess& each) {
            return each.killed ? screen_.bad(right_aligned("killed", kNumberColumns))
                               : right_aligned(thousands(counts_of(each).in_flight()), kNumberColumns);
          }),
  });
}

void Progress::say_line(double seconds, const Counts& all) {
  screen_.say(right_aligned(decimal(seconds), 6) + " s  " + right_aligned(thousands(all.submitted), 6) +
              " requests: " + thousands(all.answered) + " answered, " + thousands(all.not_sent) + " not sent, " +
              thousands(all.maybe_sent) + " maybe sent, " + thousands(all.in_flight()) + " in flight");
}

}  // namespace tlsmux::demo
