#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "bench/report/markdown.hpp"
#include "bench/report/rows_json.hpp"
#include "bench/report/targets.hpp"

using namespace tlsmux::bench;

namespace {

Series series_of(const std::string& workload, const std::string& system, double rate, double p50_us) {
  Series series;
  series.workload = workload;
  series.system = system;
  series.handshakes = 2;
  for (const double wobble : {0.9, 1.0, 1.1}) {
    series.slices.push_back({.p50_us = p50_us * wobble,
                             .p99_us = 2 * p50_us * wobble,
                             .p999_us = 3 * p50_us * wobble,
                             .rate_per_s = rate * wobble,
                             .megabytes_per_s = rate * wobble * 300 / 1e6,
                             .cpu_us_per_message = 10 * wobble,
                             .host_cpu_us_per_message = 5 * wobble});
  }
  return series;
}

const Verdict& verdict_of(const std::vector<Verdict>& verdicts, const std::string& workload, Rival rival,
                          const std::string& text) {
  const auto found = std::ranges::find_if(verdicts, [&](const Verdict& verdict) {
    return verdict.target->workload == workload && verdict.target->rival == rival && verdict.target->text == text;
  });
  REQUIRE(found != verdicts.end());
  return *found;
}

}  // namespace

TEST_CASE("client.bench writes a row for each system in each workload, with all keys") {
  Results results;
  results.series = {series_of("farm", "tlsmux", 100'000, 300), series_of("ring", "cache_line", 5e6, 0.2)};
  results.series[0].private_dirty_kb_per_client = 70.5;
  const auto rows = nlohmann::json::parse(rows_json(results));
  REQUIRE(rows.size() == 2);
  for (const auto& row : rows) {
    for (const auto* key : {"p50_us", "p99_us", "p999_us", "rate_per_s", "megabytes_per_s", "cpu_us_per_message",
                            "service_cpu_us_per_message", "host_cpu_us_per_message", "handshakes", "errors"}) {
      CAPTURE(key);
      CHECK(row.at(key).is_number());
    }
  }
  CHECK(rows[0].at("workload") == "farm");
  CHECK(rows[0].at("system") == "tlsmux");
  CHECK(rows[0].at("rate_per_s") == 100'000);
  CHECK(rows[0].at("p99_us") == 600);
  CHECK(rows[0].at("private_dirty_kb_per_client") == 70.5);
  CHECK(rows[1].at("private_dirty_kb_per_client").is_null());
}

TEST_CASE("client.bench judges by the best of the rivals") {
  Results results;
  results.series = {series_of("farm", "tlsmux", 100'000, 300), series_of("farm", "openssl", 10'000, 2000),
                    series_of("farm", "mbedtls", 25'000, 1000), series_of("farm", "stunnel", 15'000, 2500)};
  const auto verdicts = judge(results);
  const auto& direct = verdict_of(verdicts, "farm", Rival::direct, "rate");
  CHECK(direct.rival == "mbedtls");
  CHECK(direct.ratio.middle == doctest::Approx(4));
  CHECK_FALSE(direct.is_met);
  const auto& sidecar = verdict_of(verdicts, "farm", Rival::sidecar, "rate");
  CHECK(sidecar.rival == "stunnel");
  CHECK(sidecar.is_met);
  CHECK(std::ranges::none_of(verdicts, [](const Verdict& verdict) { return verdict.target->workload == "pipeline"; }));
}

TEST_CASE("client.bench compares with another build where there is one") {
  Results results;
  results.series = {series_of("confinement_farm", "tlsmux", 98'000, 300),
                    series_of("confinement_farm", "tlsmux_unconfined", 100'000, 300)};
  const auto is_of_other_build = [](const Verdict& verdict) { return verdict.target->rival == Rival::other_build; };
  CHECK(std::ranges::none_of(judge(results), is_of_other_build));
  results.series.push_back(series_of("confinement_farm", "tlsmux_other", 110'000, 300));
  CHECK(std::ranges::count_if(judge(results), is_of_other_build) == 1);
  CHECK_FALSE(verdict_of(judge(results), "confinement_farm", Rival::other_build, "rate").is_met);
  CHECK(verdict_of(judge(results), "confinement_farm", Rival::unconfined, "rate").is_met);
}

TEST_CASE("client.bench takes several sittings together") {
  Results results;
  results.series = {series_of("farm", "tlsmux", 100'000, 300)};
  Results more;
  more.series = {series_of("farm", "openssl", 10'000, 2000), series_of("farm", "tlsmux", 200'000, 300)};
  more.series[1].errors = 1;
  more.series[1].error_text = "wrong answer";
  more.remarks = {"a remark"};
  more.has_failures = true;
  results.join(std::move(more));
  REQUIRE(results.series.size() == 2);
  const auto* both = results.find("farm", "tlsmux");
  REQUIRE(both != nullptr);
  CHECK(both->slices.size() == 6);
  CHECK(both->slices.front().rate_per_s == doctest::Approx(90'000));
  CHECK(both->slices.back().rate_per_s == doctest::Approx(220'000));
  CHECK(both->handshakes == 4);
  CHECK(both->errors == 1);
  CHECK(both->error_text == "wrong answer");
  CHECK(results.find("farm", "openssl") != nullptr);
  CHECK(results.remarks.size() == 1);
  CHECK(results.has_failures);
}

TEST_CASE("client.bench counts nothing as reached that had errors, and no rival that had") {
  Results results;
  results.series = {series_of("farm", "tlsmux", 100'000, 300), series_of("farm", "openssl", 10'000, 2000),
                    series_of("farm", "mbedtls", 25'000, 1000)};
  results.series[2].errors = 1;
  CHECK(verdict_of(judge(results), "farm", Rival::direct, "rate").rival == "openssl");
  results.series[0].errors = 1;
  CHECK_FALSE(verdict_of(judge(results), "farm", Rival::direct, "rate").is_met);
}

TEST_CASE("client.bench shows what an unmodified program takes on a shared session beside one of its own") {
  Results results;
  results.series = {series_of("wrapper", "own", 500, 1000), series_of("wrapper", "shared", 600, 250),
                    series_of("wrapper_warm", "openssl", 500, 100), series_of("wrapper_warm", "wrapper", 600, 200)};
  for (auto& slice : results.series[1].slices) slice.host_cpu_us_per_message = 0;
  const auto text = markdown(results, {.machine = "2 processors", .peers = "OpenSSL 3", .effort = "3 repeats"});
  CHECK(text.find("| wrapper | shared | 0.250 (0.250 to 0.250) | 0.250 (0.250 to 0.250) | 0.000 (0.000 to 0.000) | "
                  "0.667 (0.667 to 0.667) |") != std::string::npos);
  CHECK(text.find("| wrapper_warm | wrapper | 2.00 (2.00 to 2.00) |") != std::string::npos);
}

TEST_CASE("client.bench shows rows, verdicts and remarks to people") {
  Results results;
  results.series = {series_of("farm", "tlsmux", 100'000, 300), series_of("farm", "openssl", 10'000, 2000)};
  results.remarks = {"without nginx: it is not installed"};
  const auto text = markdown(results, {.machine = "2 processors", .peers = "OpenSSL 3", .effort = "3 repeats"});
  CHECK(text.find("| farm | tlsmux | 300 | 600 | 900 | 100,000 | 10.0 | 5.0 |  | 2 | 0 |") != std::string::npos);
  CHECK(text.find("≥ 5.00 × openssl | 10.00 (10.00 to 10.00) | yes") != std::string::npos);
  CHECK(text.find("| farm | tlsmux | rate | ≥ 5.00 × ... | not measured |") != std::string::npos);  // no sidecar
  CHECK(text.find("without nginx") != std::string::npos);
}

TEST_CASE(
    "client.bench shows how many times as fast as a scan each way to a port is, and whether a claim is fast enough") {
  Results results;
  for (const auto* workload : {"ports", "ports_udp"}) {
    results.series.push_back(series_of(workload, "tlsmux_leased", 500'000, 2));
    results.series.push_back(series_of(workload, "scan_one_socket", 1'000, 1000));
  }
  results.series.push_back(series_of("ports_claim", "tlsmux_leased_8", 1e7, 0.1));
  results.series.back().clients = 8;
  const auto text = markdown(results, {.machine = "2 processors", .peers = "OpenSSL 3", .effort = "3 repeats"});
  CHECK(text.find("| tlsmux_leased | 2,000 | 4,000 | 500.0 | 2,000 | 4,000 | 500.0 |") != std::string::npos);
  CHECK(text.find("| 8 | 100 | 200 | 300 |") != std::string::npos);
  CHECK(text.find("≥ 300.00 × scan_one_socket | 500.00 (500.00 to 500.00) | yes") != std::string::npos);
  CHECK(text.find("| ports_claim | tlsmux_leased_8 | p50 | < 100 ns | 100 ns | **no** |") != std::string::npos);
  CHECK(text.find("| ports | tlsmux_asked | rate | ≥ 30.00 × ... | not measured |") != std::string::npos);
}
