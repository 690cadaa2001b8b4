#include "bench/report/markdown.hpp"

#include <cstdarg>
#include <cstdio>

#include "bench/report/targets.hpp"

namespace tlsmux::bench {
namespace {

[[gnu::format(printf, 1, 2)]] std::string formatted(const char* format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  const int length = std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return {text, static_cast<std::size_t>(length)};
}

// With commas between thousands.
std::string number(double value) {
  auto text = formatted("%.0f", value);
  for (auto at = static_cast<std::ptrdiff_t>(text.size()) - 3; at > (text[0] == '-' ? 1 : 0); at -= 3) {
    text.insert(text.begin() + at, ',');
  }
  return text;
}

std::string time_us(double us) { return us < 100 ? formatted("%.1f", us) : number(us); }

std::string row(const Series& series) {
  const auto middle = [&](double Figures::* figure) { return median_of(series, figure); };
  std::string text = "| " + series.workload + " | " + series.system;
  for (const auto figure : {&Figures::p50_us, &Figures::p99_us, &Figures::p999_us})
    text += " | " + time_us(middle(figure));
  text += " | " + number(middle(&Figures::rate_per_s)) + " | " + time_us(middle(&Figures::cpu_us_per_message)) + " | " +
          time_us(middle(&Figures::host_cpu_us_per_message)) + " | ";
  if (series.private_dirty_kb_per_client) text += number(*series.private_dirty_kb_per_client);
  return text + " | " + number(static_cast<double>(series.handshakes)) + " | " +
         number(static_cast<double>(series.errors)) + " |\n";
}

bool is_record(const Series& series) { return series.workload.starts_with("record_"); }

// One line for each operation, with the systems beside each other.
std::string record_table(const Results& results) {
  std::string text;
  std::string last;
  for (const auto& series : results.series) {
    if (!is_record(series) || series.workload == last || series.system != "tlsmux") continue;
    last = series.workload;
    text += "| " + last;
    for (const auto* system : {"tlsmux", "mbedtls", "ipsec_mb"}) {
      const auto* one = results.find(last, system);
      text += " | " + (one != nullptr ? number(1000 * median_of(*one, &Figures::p50_us)) : std::string());
    }
    text += " |\n";
  }
  if (text.empty()) return text;
  return "\nNanoseconds to seal or open one record: record_seal_300x4 is of four slots of 300 bytes. mbedtls is "
         "mbedtls_ssl_write and mbedtls_ssl_read, ipsec_mb the bare call of the library.\n\n"
         "| record | tlsmux | mbedtls | ipsec_mb |\n|---|--:|--:|--:|\n" +
         text;
}

bool is_ports(const Series& series) { return series.workload.starts_with("ports"); }

std::string ns(const Series& series, double Figures::* figure) { return number(1000 * median_of(series, figure)); }

// Of both protocols, beside each other; how much faster than the scan it is.
std::string ports_table(const Results& results) {
  std::string text;
  for (const auto& series : results.series) {
    if (series.workload != "ports") continue;
    text += "| " + series.system;
    for (const auto* workload : {"ports", "ports_udp"}) {
      const auto* one = results.find(workload, series.system);
      const auto* scan = results.find(workload, "scan_one_socket");
      if (one == nullptr || scan == nullptr) continue;
      const auto times = median_of(*scan, &Figures::p50_us) / median_of(*one, &Figures::p50_us);
      text +=
          " | " + ns(*one, &Figures::p50_us) + " | " + ns(*one, &Figures::p99_us) + " | " + formatted("%.1f", times);
    }
    text += " |\n";
  }
  if (text.empty()) return text;
  return "\nNanoseconds from an unbound socket to one with a port of its own, and how many times as fast as a scan "
         "with "
         "one socket. 999 of 1,000 ports are taken; 960 for tlsmux_leased, since with one left nobody gets leases. "
         "known_port is a bare bind to a port that is known to be free.\n\n"
         "| way | TCP p50 | p99 | × scan | UDP p50 | p99 | × scan |\n|---|--:|--:|--:|--:|--:|--:|\n" +
         text;
}

std::string claims_table(const Results& results) {
  std::string text;
  for (const auto& series : results.series) {
    if (series.workload != "ports_claim") continue;
    text += "| " + number(series.clients) + " | " + ns(series, &Figures::p50_us) + " | " +
            ns(series, &Figures::p99_us) + " | " + ns(series, &Figures::p999_us) + " |\n";
  }
  if (text.empty()) return text;
  return "\nNanoseconds to claim a port that is on lease.\n\n| processes | p50 | p99 | p99.9 |\n|--:|--:|--:|--:|\n" +
         text;
}

std::string factor(double value) { return value < 1 ? formatted("%.3f", value) : formatted("%.2f", value); }

std::string text_of(const Interval& ratio) {
  return factor(ratio.middle) + " (" + factor(ratio.low) + " to " + factor(ratio.high) + ")";
}

// Clients', engine's and host's.
std::vector<double> whole_cpu(const Series& series) {
  auto sum = values_of(series, &Figures::cpu_us_per_message);
  const auto host = values_of(series, &Figures::host_cpu_us_per_message);
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += host[i];
  return sum;
}

// The same program on TLS of its own is 1.
std::string wrapper_table(const Results& results) {
  std::string text;
  for (const auto& series : results.series) {
    if (!series.workload.starts_with("wrapper")) continue;
    auto* own = results.find(series.workload, "own");
    if (own == nullptr) own = results.find(series.workload, "openssl");
    if (own == nullptr || own == &series || own->errors > 0 || series.errors > 0) continue;
    text += "| " + series.workload + " | " + series.system;
    for (const auto figure : {&Figures::p50_us, &Figures::p99_us, &Figures::host_cpu_us_per_message}) {
      text += " | " + text_of(bootstrap_median(paired_ratios(values_of(series, figure), values_of(*own, figure))));
    }
    text += " | " + text_of(bootstrap_median(paired_ratios(whole_cpu(series), whole_cpu(*own)))) + " |\n";
  }
  if (text.empty()) return text;
  return "\nUnmodified programs on OpenSSL: times and processor time, where the same program on a TLS connection of "
         "its "
         "own (own, openssl) is 1; of slices that were measured right after each other, median and 95 % confidence "
         "interval. wrapper is from connect to the answer, wrapper_process the whole life of the process.\n\n"
         "| workload | system | p50 | p99 | host's CPU | CPU of all, with the host |\n|---|---|--:|--:|--:|--:|\n" +
         text;
}

std::string row(const Verdict& verdict) {
  const auto& target = *verdict.target;
  const std::string text = "| " + target.workload + " | " + target.system + " | " + target.text + " | " +
                           (target.bound == Bound::at_most ? "≤ " : "≥ ") + factor(target.factor) + " × ";
  if (verdict.rival.empty()) return text + "... | not measured | |\n";
  return text + verdict.rival + " | " + text_of(verdict.ratio) + " | " + (verdict.is_met ? "yes" : "**no**") + " |\n";
}

// Those of targets that are no ratios of slices.
std::string crowd_rows(const Results& results) {
  const auto* ours = results.find("crowd", "tlsmux");
  if (ours == nullptr) return {};
  std::string text;
  if (ours->idle_cpu_percent) {
    text += "| crowd | tlsmux | processor time while all sleep | < 0.2 % | " +
            formatted("%.3f %%", *ours->idle_cpu_percent) + " | " + (*ours->idle_cpu_percent < 0.2 ? "yes" : "**no**") +
            " |\n";
  }
  const auto* theirs = results.find("crowd", "openssl");
  if (theirs != nullptr && theirs->private_dirty_kb_per_client && ours->private_dirty_kb_per_client) {
    const auto ratio = *ours->private_dirty_kb_per_client / *theirs->private_dirty_kb_per_client;
    text += "| crowd | tlsmux | private dirty memory per client | ≤ 0.250 × openssl | " + factor(ratio) + " | " +
            (ratio <= 0.25 ? "yes" : "**no**") + " |\n";
  }
  return text;
}

std::string claim_rows(const Results& results) {
  constexpr double kWantedNs = 100;
  std::string text;
  for (const auto& series : results.series) {
    if (series.workload != "ports_claim") continue;
    const auto measured_ns = 1000 * median_of(series, &Figures::p50_us);
    text += "| ports_claim | " + series.system + " | p50 | < 100 ns | " + number(measured_ns) + " ns | " +
            (measured_ns < kWantedNs ? "yes" : "**no**") + " |\n";
  }
  return text;
}

}  // namespace

std::string markdown(const Results& results, const Conditions& conditions) {
  std::string text =
      "# tlsmux beside the alternatives\n\n" + conditions.machine + ". " + conditions.peers +
      ". TLS 1.3 with AES-128-GCM and X25519 for all. " + conditions.effort +
      "\n\nMedians over the repeats. CPU is of clients and what runs between them and the host; memory is "
      "private and dirty, per client, beyond that of a program that talks to nobody.\n\n"
      "| workload | system | p50 µs | p99 µs | p99.9 µs | per s | CPU µs per message | host's | KiB "
      "per client | handshakes | errors |\n|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n";
  for (const auto& series : results.series) {
    if (!is_record(series) && !is_ports(series)) text += row(series);
  }
  text += wrapper_table(results) + record_table(results) + ports_table(results) + claims_table(results);
  text +=
      "\n## What is to be reached\n\nRatios of slices that were measured right after each other: their median, and "
      "its 95 % confidence interval by bootstrap.\n\n"
      "| workload | system | figure | wanted | measured | reached |\n|---|---|---|---|---|---|\n";
  for (const auto& verdict : judge(results)) text += row(verdict);
  text += crowd_rows(results) + claim_rows(results);
  if (!results.remarks.empty()) text += "\n## Remarks\n\n";
  for (const auto& remark : results.remarks) text += "- " + remark + "\n";
  return text;
}

}  // namespace tlsmux::bench
