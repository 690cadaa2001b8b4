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

constexpr std::size_t kNameColumns = 24;
constexpr std::size_t kNumberColumns = 11;

Tally tally_of_survivors(const Figures& figures) {
  Tally tally;
  for (const auto& account : figures.accounts) {
    if (!account.killed) tally.add(account.requests);
  }
  return tally;
}

std::size_t survivors(const Figures& figures) {
  return static_cast<std::size_t>(std::ranges::count_if(figures.accounts, [](const auto& each) { return !each.killed; }));
}

std::string row(const std::string& name, const Tally& tally) {
  std::string line = "  " + left_aligned(name, kNameColumns);
  for (const auto count : {tally.requests, tally.answered, tally.not_sent, tally.maybe_sent}) {
    line += right_aligned(thousands(count), kNumberColumns);
  }
  for (const double q : {0.50, 0.99}) line += right_aligned(decimal(tally.percentile_ms(q)) + " ms", kNumberColumns);
  return line;
}

std::string heading() {
  std::string line = "  " + left_aligned("", kNameColumns);
  for (const auto* text : {"requests", "answered", "not sent", "maybe sent", "p50", "p99"}) {
    line += right_aligned(text, kNumberColumns);
  }
  return line;
}

void print_reasons(Screen& screen, const char* outcome, const std::map<std::uint16_t, std::uint64_t>& reasons,
                   const char* advice) {
  for (const auto& [reason, count] : reasons) {
    screen.say("  " + left_aligned(thousands(count) + " " + outcome, kNameColumns) + "because " +
               tmx_reason_text(static_cast<tmx_reason>(reason)) + ": " + advice);
  }
}

void print_fact(Screen& screen, const char* name, const std::vector<std::string>& lines) {
  const char* column = name;
  for (const auto& line : lines) {
    screen.say("  " + screen.bold(left_aligned(column, kNameColumns)) + line);
    column = "";
  }
}

std::vector<std::string> handshake_words(const Figures& figures) {
  const auto made = figures.hosts.handshakes;
  const auto requests = figures.hosts.received;
  const auto each_ms = figures.own.handshake_cpu_ms;
  return {thousands(made) + " made in all, after both restarts too, as the hosts counted",
          "A connection per process takes at least " + std::to_string(kAuthorizers) + ", and " +
              std::to_string(kAuthorizers) + " connections instead of " + std::to_string(kSessions) + ".",
          "A process per request takes " + thousands(requests) + ": " + thousands(requests - std::min(made, requests)) +
              " saved, " + decimal(static_cast<double>(requests) * each_ms / 1000) + " s of processor time at " +
              decimal(each_ms, 2) + " ms each."};
}

std::vector<std::string> memory_words(const Figures& figures) {
  std::vector<std::string> lines;
  if (figures.segment) {
    lines.push_back(std::to_string(figures.segment->client_kb + figures.library_kb) + " KiB: " +
                    std::to_string(figures.segment->client_kb) + " of rings and slots, shared with the engine, and " +
                    std::to_string(figures.library_kb) + " of its own");
    lines.push_back("Besides, all clients map the same " + std::to_string(figures.segment->group_kb) +
                    " KiB of tables; the engine takes " + thousands(figures.engine_kb) + " KiB, once.");
  }
  if (figures.own.heap_kb > 0) {
    lines.push_back("A TLS connection of its own takes " + decimal(figures.own.heap_kb, 0) +
                    " KiB of heap (OpenSSL), measured just now too.");
  }
  return lines;
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
  for (const auto& account : figures.accounts) {
    if (!account.killed) continue;
    Tally tally;
    tally.add(account.requests);
    screen.say(row(name_of(account.authorizer) + ", killed", tally) + "   " +
               screen.dim("and " + std::to_string(tally.open) + " that were open when it died"));
  }
  screen.say("");
  print_reasons(screen, "not sent", all.not_sent_reasons, "safe to send again");
  print_reasons(screen, "maybe sent", all.maybe_sent_reasons, "to be reversed");
}

void print_costs(Screen& screen, const Figures& figures) {
  const auto all = tally_of_survivors(figures);
  const auto worst_ms = all.percentile_ms(1);
  screen.say("");
  print_fact(screen, "latency",
             {"p50 " + decimal(all.percentile_ms(0.5)) + " ms, p99 " + decimal(all.percentile_ms(0.99)) + " ms, longest " +
              decimal(worst_ms) + " ms; the hosts themselves take " + std::to_string(kHostDelayMsMin) + " to " +
              std::to_string(kHostDelayMsMax) + " ms"});
  print_fact(screen, "TLS handshakes", handshake_words(figures));
  print_fact(screen, "memory of a client", memory_words(figures));
  print_fact(screen, "the hosts' own records",
             {thousands(figures.messages_at_a) + " messages at host A, " + thousands(figures.messages_at_b) +
                  " at host B, none twice",
              "All that were answered are there; none that was not sent is."});
}

std::string result_line(const Figures& figures) {
  const auto all = tally_of_survivors(figures);
  return "answered=" + std::to_string(all.answered) + " not_sent=" + std::to_string(all.not_sent) +
         " maybe_sent=" + std::to_string(all.maybe_sent) + " processes=" + std::to_string(survivors(figures)) +
         " handshakes=" + std::to_string(figures.hosts.handshakes);
}

}  // namespace tlsmux::demo
