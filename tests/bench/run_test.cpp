#include <doctest/doctest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/host/host_process.hpp"
#include "tests/host/listening_process.hpp"
#include "tests/support/skip.hpp"

using namespace tlsmux;

namespace {

nlohmann::json row_of(const nlohmann::json& rows, const std::string& workload, const std::string& system) {
  for (const auto& row : rows) {
    if (row.at("workload") == workload && row.at("system") == system) return row;
  }
  FAIL("no row of ", workload, " with ", system);
  return {};
}

}  // namespace

// Whether it works; nothing is said about times.
TEST_CASE("client.bench measures tlsmux and a direct connection without an error") {
  const host::TemporaryFolder folder;
  const auto output = folder.path("out");
  const auto certificates = std::filesystem::path(host::certificate_file("ca.pem")).parent_path().string();
  REQUIRE(host::run_command({std::string(TLSMUX_PROGRAM_FOLDER) + "/tlsmux-bench", "--smoke", "--certificates",
                             certificates, "--output", output, "--workload", "warm,pipeline,fresh,record,ring",
                             "--system", "tlsmux,openssl,mbedtls"}) == 0);
  const auto rows = nlohmann::json::parse(host::read_file(output + "/rows.json"));
  CHECK(rows.size() >= 3 * 3 + 4 + 2);
  for (const auto& row : rows) {
    CAPTURE(row.dump());
    CHECK(row.at("errors") == 0);
    CHECK(row.at("rate_per_s") > 0);
  }
  CHECK(row_of(rows, "record_seal_300x1", "tlsmux").at("p50_us") > 0);
  CHECK(row_of(rows, "ring", "ring_asleep").at("p50_us") > 0);
  CHECK(row_of(rows, "warm", "tlsmux").at("handshakes") == 2);  // as many as the engine has sessions
  CHECK(row_of(rows, "fresh", "tlsmux").at("handshakes") == 2);
  CHECK(row_of(rows, "warm", "openssl").at("handshakes") == 1);
  CHECK(row_of(rows, "fresh", "openssl").at("handshakes") == 2);  // one of each process
  for (const auto* file : {"slices.json", "table.md", "plots.gp", "latency.dat"}) {
    CAPTURE(file);
    CHECK(std::filesystem::file_size(output + "/" + file) > 0);
  }
}

// Whether it works, and what does not depend on the machine: who makes handshakes.
TEST_CASE("client.bench measures an unmodified program on connections of its own and on shared ones") {
  const host::TemporaryFolder folder;
  const auto output = folder.path("out");
  const auto certificates = std::filesystem::path(host::certificate_file("ca.pem")).parent_path().string();
  REQUIRE(host::run_command({std::string(TLSMUX_PROGRAM_FOLDER) + "/tlsmux-bench", "--smoke", "--certificates",
                             certificates, "--output", output, "--workload", "wrapper"}) == 0);
  const auto rows = nlohmann::json::parse(host::read_file(output + "/rows.json"));
  for (const auto& row : rows) {
    CAPTURE(row.dump());
    CHECK(row.at("errors") == 0);
    CHECK(row.at("p50_us") > 0);
  }
  constexpr int kProcesses = 3;  // of each way, the one that takes no part among them
  for (const auto* way : {"own", "own_resumed", "own_preloaded"}) {
    CHECK(row_of(rows, "wrapper", way).at("handshakes") == kProcesses);
  }
  constexpr int kSessions = 2;
  CHECK(row_of(rows, "wrapper", "own_after_asking").at("handshakes") == kProcesses + kSessions);
  for (const auto* way : {"shared", "shared_by_name", "shared_http1"}) {
    CHECK(row_of(rows, "wrapper", way).at("handshakes") == kSessions);
    CHECK(row_of(rows, "wrapper_process", way).at("handshakes") == kSessions);
  }
  for (const auto* workload : {"wrapper_warm", "wrapper_bulk"}) {
    CHECK(row_of(rows, workload, "openssl").at("handshakes") == 1);
    for (const auto* system : {"tlsmux", "stream", "wrapper", "wrapper_leased"}) {
      CHECK(row_of(rows, workload, system).at("handshakes") == kSessions);
    }
  }
  CHECK(host::read_file(output + "/table.md").find("| wrapper | shared | ") != std::string::npos);
}

TEST_CASE("client.bench measures ways to a port, or says why it does not") {
  const host::TemporaryFolder folder;
  const auto output = folder.path("out");
  const auto certificates = std::filesystem::path(host::certificate_file("ca.pem")).parent_path().string();
  REQUIRE(host::run_command({std::string(TLSMUX_PROGRAM_FOLDER) + "/tlsmux-bench", "--smoke", "--certificates",
                             certificates, "--output", output, "--workload", "ports"}) == 0);
  const auto rows = nlohmann::json::parse(host::read_file(output + "/rows.json"));
  const auto table = host::read_file(output + "/table.md");
  if (rows.empty()) {
    CHECK(table.find("without ports: making a network namespace") != std::string::npos);
    test::skip("needs a network namespace of its own");
    return;
  }
  for (const auto& row : rows) CHECK(row.at("errors") == 0);
  for (const auto* workload : {"ports", "ports_udp"}) {
    for (const auto* way : {"tlsmux_leased", "tlsmux_asked", "known_port", "scan_one_socket", "scan_new_sockets"}) {
      CHECK(row_of(rows, workload, way).at("p50_us") > 0);
    }
  }
  for (const auto* row : {"tlsmux_leased_1", "tlsmux_leased_2", "tlsmux_leased_8"}) {
    CHECK(row_of(rows, "ports_claim", row).at("rate_per_s") >= 0);
  }
  CHECK(table.find("| tlsmux_leased | ") != std::string::npos);
}
