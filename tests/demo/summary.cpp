#include "tests/demo/summary.hpp"

#include <algorithm>
#include <array>

#include "tests/demo/engine.hpp"
#include "tests/demo/payment_host.hpp"
#include "tests/demo/purchase.hpp"
#include "tests/demo/text_format.hpp"
#include "tlsmux/tlsmux.h"

namespace tlsmux::demo {
namespace {

constexpr std::size_t kNameColumns = 20;
constexpr std::size_t kFactColumns = 19;
constexpr std::size_t kReasonColumns = 10;

struct Column {
  const char* heading;
  std::size_t width;
};
constexpr std::array<Column, 6> kColumns = {
    {{"requests", 10}, {"answered", 10}, {"not sent", 10}, {"maybe sent", 12}, {"p50 ms", 8}, {"p99 ms", 8}}};

Tally tally_of_survivors(const Figures& figures) {
  Tally tally;
  for (const auto& account : figures.accounts) {
    if (!account.killed) tally.add(account.requests);
  }
  return tally;
}

std::size_t survivors(const Figures& figures) {
  return static_cast<std::size_t>(
      std::ranges::count_if(figures.accounts, [](const auto& each) { return !each.killed; }));
}

std::string row(const std::string& name, const Tally& tally) {
  const auto ms = [&](double q) { return decimal(tally.percentile_ms(q)); };
  const std::array<std::string, kColumns.size()> values = {thousands(tally.requests),
                                                           thousands(tally.answered),
                                                           thousands(tally.not_sent),
                                                           thousands(tally.maybe_sent),
                                                           ms(0.50),
                                                           ms(0.99)};
  std::string line = "  " + left_aligned(name, kNameColumns);
  for (std::size_t i = 0; i < kColumns.size(); ++i) line += right_aligned(values[i], kColumns[i].width);
  return line;
}

std::string heading() {
  std::string line = "  " + left_aligned("", kNameColumns);
  for (const auto& column : kColumns) line += right_aligned(column.heading, column.width);
  return line;
}

void print_reasons(Screen& screen, const char* title, const std::map<std::uint16_t, std::uint64_t>& reasons) {
  if (reasons.empty()) return;
  screen.say(std::string("  ") + title);
  for (const auto& [reason, count] : reasons) {
    screen.say(right_aligned(thousands(count), kReasonColumns) + "  " +
               tmx_reason_text(static_cast<tmx_reason>(reason)));
  }
}

void print_fact(Screen& screen, const char* name, const std::vector<std::string>& lines) {
  const char* column = name;
  for (const auto& line : lines) {
    screen.say("  " + screen.bold(left_aligned(column, kFactColumns)) + line);
    column = "";
  }
}

std::vector<std::string> latency_words(const Tally& all) {
  return {"p50 " + decimal(all.percentile_ms(0.5)) + " ms, p99 " + decimal(all.percentile_ms(0.99)) + " ms, longest " +
              decimal(all.percentile_ms(1)) + " ms",
          "(the hosts themselves take " + std::to_string(kHostDelayMsMin) + " to " + std::to_string(kHostDelayMsMax) +
              " ms)"};
}

std::string saved(std::uint64_t otherwise, std::uint64_t made) {
  return thousands(otherwise - std::min(made, otherwise)) + " saved";
}

std::vector<std::string> handshake_words(const Figures& figures) {
  const auto made = figures.hosts.handshakes;
  const auto requests = figures.hosts.received;
  const auto seconds = static_cast<double>(requests) * figures.own.handshake_cpu_ms / 1000;
  return {thousands(made) + " made, those after the two restarts included",
          std::to_string(kAuthorizers) + " or more with a connection per process: " + saved(kAuthorizers, made),
          thousands(requests) + " with a connection per request: " + saved(requests, made) + ",",
          "which is " + decimal(seconds, 0) + " s of processor time at " + decimal(figures.own.handshake_cpu_ms, 2) +
              " ms each"};
}

std::vector<std::string> memory_words(const Figures& figures) {
  std::vector<std::string> lines;
  if (figures.segment) {
    lines.push_back(std::to_string(figures.segment->client_kb) + " KiB of rings and slots (shared), " +
                    std::to_string(figures.library_kb) + " KiB of its own");
  }
  if (figures.own.heap_kb > 0) {
    lines.push_back(decimal(figures.own.heap_kb, 0) + " KiB of heap if it had an own TLS connection (OpenSSL)");
  }
  if (figures.segment) {
    lines.push_back("once for all: " + std::to_string(figures.segment->group_kb) + " KiB of tables, " +
                    thousands(figures.engine_kb) + " KiB in the engine");
  }
  return lines;
}

std::vector<std::string> record_words(const Figures& figures) {
  return {thousands(figures.messages_at_a) + " messages at host A, " + thousands(figures.messages_at_b) +
              " at host B, none twice:",
          "each that was ANSWERED, and none that was NOT_SENT"};
}

}  // namespace

void print_outcomes(Screen& screen, const Figures& figures) {
  const auto all = tally_of_survivors(figures);
  screen.say("");
  screen.say(screen.dim(heading()));
  for (const auto& account : figures.accounts) {
    if (account.killed) continue;
    Tally tally;
    tally.add(account.requests);
    screen.say(row(name_of(account.authorizer), tally));
  }
  screen.say(screen.bold(row("these " + std::to_string(survivors(figures)), all)));
  std::uint64_t open = 0;
  for (const auto& account : figures.accounts) {
    if (!account.killed) continue;
    Tally tally;
    tally.add(account.requests);
    screen.say(row(name_of(account.authorizer) + ", killed", tally));
    open += tally.open;
  }
  screen.say("");
  print_reasons(screen, "Not sent, so safe to send again, because", all.not_sent_reasons);
  print_reasons(screen, "Maybe sent, so to be reversed, because", all.maybe_sent_reasons);
  if (open > 0) {
    screen.say("  Without outcome, since they were open when their authorizer was killed");
    screen.say(right_aligned(thousands(open), kReasonColumns));
  }
}

void print_costs(Screen& screen, const Figures& figures) {
  screen.say("");
  print_fact(screen, "latency", latency_words(tally_of_survivors(figures)));
  print_fact(screen, "TLS handshakes", handshake_words(figures));
  print_fact(screen, "a client's memory", memory_words(figures));
  print_fact(screen, "hosts' records", record_words(figures));
}

std::string result_line(const Figures& figures) {
  const auto all = tally_of_survivors(figures);
  return "answered=" + std::to_string(all.answered) + " not_sent=" + std::to_string(all.not_sent) +
         " maybe_sent=" + std::to_string(all.maybe_sent) + " processes=" + std::to_string(survivors(figures)) +
         " handshakes=" + std::to_string(figures.hosts.handshakes);
}

}  // namespace tlsmux::demo
