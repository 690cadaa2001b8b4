// What `tlsmux ports` shows, of made-up tables and a made-up kernel.
#include <doctest/doctest.h>

#include <cstdlib>
#include <span>
#include <string>
#include <vector>

#include "client/cli/ports_compare.hpp"
#include "client/cli/ports_kernel.hpp"
#include "client/cli/ports_report.hpp"
#include "client/cli/ports_text.hpp"
#include "client/cli/screen.hpp"
#include "shm/control_protocol.hpp"
#include "shm/group_part.hpp"
#include "shm/row.hpp"
#include "shm/segment.hpp"

namespace cli = tlsmux::client::cli;
namespace ports = tlsmux::ports;
namespace shm = tlsmux::shm;

namespace {

constexpr std::int64_t kNow = 1'700'000'000;
constexpr std::uint32_t kEnginePid = 50;
constexpr std::uint32_t kBrokerPid = 49;
constexpr std::uint32_t kMember = 1000;
constexpr std::uint32_t kStranger = 4321;

ports::Port tcp(std::uint16_t number) { return {.protocol = ports::Protocol::tcp, .number = number}; }
ports::Port udp(std::uint16_t number) { return {.protocol = ports::Protocol::udp, .number = number}; }

struct Row {
  ports::Port port;
  shm::PortState state{};
  std::uint32_t pid = 0;
  std::string_view program = "java";
  std::string_view label = "";
  std::uint8_t flags = 0;
};

// A group's part, and what the kernel says to it.
class Group {
 public:
  Group() : memory_(kTables.total_bytes() / sizeof(Page)) {
    part_ = shm::GroupPart::format(bytes(), kTables,
                                   {.group = "EBANKING",
                                    .boot_id = {},
                                    .engine_pid = kEnginePid,
                                    .shard_count = 1,
                                    .engine_started_s = kNow - 600,
                                    .restarts = 2});
    part_.header().state = shm::EngineState::running;
    rule({.kind = shm::PortRuleKind::user, .account = kMember});
    rule({.kind = shm::PortRuleKind::unix_group, .account = 2000});
    rule({.kind = shm::PortRuleKind::static_port, .from = 443, .to = 443, .protocols = 1, .label = "https"});
    rule({.kind = shm::PortRuleKind::dynamic_range, .from = 1000, .to = 1999, .protocols = 3});
    facts.broker_pid = kBrokerPid;
    process(kEnginePid, 7);
    process(kBrokerPid, 0);
  }

  void row(const Row& wanted) {
    shm::PortRow row{};
    row.state = wanted.state;
    row.port = wanted.port.number;
    row.protocol = static_cast<std::uint8_t>(ports::bit_of(wanted.port.protocol));
    row.flags = wanted.flags;
    row.pid = wanted.pid;
    row.uid = kMember;
    row.since_s = kNow - 30;
    row.until_s = wanted.state == shm::PortState::quarantine ? kNow + 5 : 0;
    shm::set_text(row.program, wanted.program);
    shm::set_text(row.label, wanted.label);
    shm::write_row(part_.ports()[ports_++], row);
  }

  void process(std::uint32_t pid, std::uint32_t uid, std::vector<gid_t> gids = {100}, std::uint32_t parent = 1) {
    facts.processes[pid] = {.uid = uid, .gids = std::move(gids)};
    facts.parents[pid] = parent;
  }

  // A socket, and who has it; 0: it cannot be told.
  void socket(ports::Port port, std::uint32_t pid, bool is_listening = false, const std::string& program = "java") {
    ++inode_;
    const auto known = facts.processes.find(pid);
    const auto uid = known == facts.processes.end() ? kStranger : known->second.uid;
    facts.sockets.push_back({.port = port,
                             .is_ipv6 = false,
                             .is_listening = is_listening,
                             .is_time_wait = false,
                             .uid = uid,
                             .inode = inode_});
    if (pid == 0) return;
    facts.owners.push_back({.socket_inode = inode_, .pid = pid, .uid = uid, .pidfd_inode = 0, .program = program});
  }

  void summary(const shm::PortSummaryRow& row) { shm::write_row(part_.port_summaries()[0], row); }

  void denial(std::uint64_t number, std::string_view program) {
    shm::PortDenialRow row{};
    row.number = number;
    row.at_s = kNow - 60;
    row.pid = 666;
    row.uid = kStranger;
    row.port = 1001;
    row.protocol = shm::kPortTcp;
    shm::set_text(row.program, program);
    shm::write_row(part_.port_denials()[(number - 1) % kTables.port_denials], row);
  }

  [[nodiscard]] cli::PortsReport report() {
    const auto view = shm::GroupView::open(bytes());
    REQUIRE(view.has_value());
    auto report = cli::read_port_tables({.name = "EBANKING", .mapping = {}, .view = *view}, 0);
    cli::compare(report, facts);
    return report;
  }

  cli::KernelFacts facts;

 private:
  struct alignas(4096) Page {
    std::byte bytes[4096]{};
  };
  struct Rule {
    shm::PortRuleKind kind{};
    std::uint32_t account = 0;
    std::uint16_t from = 0;
    std::uint16_t to = 0;
    std::uint32_t protocols = 0;
    std::string_view label = "";
  };
  static constexpr shm::GroupTables kTables{.clients = 1,
                                            .upstreams = 0,
                                            .sessions = 0,
                                            .endpoints = 0,
                                            .port_rules = 8,
                                            .ports = 32,
                                            .port_denials = 4,
                                            .port_summaries = 1};

  std::span<std::byte> bytes() { return std::as_writable_bytes(std::span(memory_)); }

  void rule(const Rule& wanted) {
    shm::PortConfigurationRow row{};
    row.kind = wanted.kind;
    row.account = wanted.account;
    row.from = wanted.from;
    row.to = wanted.to;
    row.protocols = wanted.protocols;
    shm::set_text(row.label, wanted.label);
    shm::write_row(part_.port_rules()[rules_++], row);
  }

  std::vector<Page> memory_;
  shm::GroupPart part_;
  std::size_t rules_ = 0;
  std::size_t ports_ = 0;
  std::uint64_t inode_ = 100;
};

// "1000/tcp stranger": each difference.
std::vector<std::string> differences(const cli::PortsReport& report) {
  std::vector<std::string> found;
  for (const auto& port : report.ports) {
    for (const auto& each : port.differences) {
      found.push_back(std::to_string(port.port.number) + "/" + std::string(ports::name(port.port.protocol)) + " " +
                      std::string(each.code));
    }
  }
  return found;
}

using Differences = std::vector<std::string>;

}  // namespace

TEST_CASE("client.ports text shows rules, levels, ports, leases and denials") {
  ::setenv("TZ", "UTC", 1);
  Group group;
  group.process(70, kMember);
  group.process(71, kMember, {100}, 70);
  group.row({.port = tcp(443), .state = shm::PortState::bound, .pid = 70, .label = "https", .flags = shm::kPortStatic});
  group.row({.port = tcp(1000), .state = shm::PortState::claimed, .pid = 70});
  group.row({.port = udp(1000), .state = shm::PortState::bound, .pid = 70, .program = "bash"});
  group.row({.port = tcp(1004), .state = shm::PortState::quarantine, .pid = 69});
  for (const std::uint16_t number : std::vector<std::uint16_t>{1010, 1011, 1012, 1020}) {
    group.row({.port = tcp(number), .state = shm::PortState::leased, .pid = 70});
  }
  group.socket(tcp(443), 70, true);
  group.socket(tcp(443), 71);
  group.socket(udp(1000), 71, false, "nc");
  shm::PortSummaryRow summary{};
  summary.dynamic_ports = {1000, 1000};
  summary.dynamic_free = {994, 999};
  summary.claims = 12;
  summary.claims_refused = 1;
  summary.denials = 9;
  summary.denials_lost = 2;
  summary.reservation = shm::PortEnforcement::on;
  summary.guard = shm::PortEnforcement::missing;
  shm::set_text(summary.guard_text, "no CAP_BPF");
  group.summary(summary);
  group.denial(1, "nc");
  group.denial(2, "evil\x1b[2J");
  CHECK(cli::ports_text(group.report(), kNow) ==
        "group EBANKING: engine pid 50, running, started 2023-11-14 22:03:20, RESTARTED 2 times since tlsmuxd was "
        "started\n"
        "members: users 1000; Unix groups 2000\n"
        "\n"
        "DYNAMIC PORTS  FREE    OF\n"
        "1000-1999/tcp   994  1000\n"
        "1000-1999/udp   999  1000\n"
        "\n"
        "levels: api on, preload off, reservation on, holders off, guard MISSING\n"
        "  guard: no CAP_BPF\n"
        "\n"
        "table and kernel agree\n"
        "\n"
        "   PORT      STATE       FOR   PID  PROGRAM  USER  LABEL  REMARK\n"
        "   443/tcp   bound       30 s   70  java     1000  https  static, listens, 2 sockets\n"
        "   1000/tcp  claimed     30 s   70  java     1000  -\n"
        "   1004/tcp  quarantine  30 s   69  java     1000  -      free in 5 s\n"
        "   1000/udp  bound       30 s   70  bash     1000  -      child 71 (nc)\n"
        "\n"
        "on lease to pid 70 (java): 1010-1012,1020/tcp\n"
        "\n"
        "claims 12, refused 1; binds denied by the guard 9, of which 2 not told one by one\n"
        "DENIED    AGO   PID  PROGRAM      USER\n"
        "1001/tcp  60 s  666  evil\\x1b[2J  4321\n"
        "1001/tcp  60 s  666  nc           4321\n"
        "\n"
        "STATIC PORT  LABEL  FOR PROGRAM\n"
        "443/tcp      https  any\n");
}

TEST_CASE("client.ports differences between the table and the kernel are told") {
  Group group;
  group.process(70, kMember);
  group.process(80, kStranger);
  group.process(81, kStranger, {100, 2000});
  group.row({.port = tcp(443), .state = shm::PortState::bound, .pid = 70, .flags = shm::kPortStatic});
  group.row({.port = tcp(1000), .state = shm::PortState::bound, .pid = 70});
  group.row({.port = tcp(1001), .state = shm::PortState::bound, .pid = 70});
  group.row({.port = tcp(1002), .state = shm::PortState::quarantine, .pid = 70});
  group.row({.port = tcp(1003), .state = shm::PortState::external, .pid = 80});
  group.row({.port = udp(1004), .state = shm::PortState::leased, .pid = 70});
  group.socket(tcp(443), 70);
  group.socket(tcp(1001), 81);
  group.socket(tcp(1002), 70);
  group.socket(tcp(1003), 80);
  group.socket(udp(1004), 70);
  group.socket(tcp(1500), 81, true, "x\ny");
  group.socket(udp(1501), 0);
  const auto report = group.report();
  CHECK(differences(report) == Differences{"1000/tcp not_held", "1001/tcp owner_differs", "1002/tcp held_in_quarantine",
                                           "1003/tcp stranger", "1500/tcp not_in_table", "1501/udp not_in_table"});
  CHECK(cli::count_differences(report) == 6);
  CHECK(report.sockets_hidden == 1);
  const auto text = cli::ports_text(report, kNow);
  CAPTURE(text);
  CHECK(text.contains("!  1500/tcp  -           -      81  x\\x0ay"));
  CHECK(text.contains("\n! 1500/tcp not_in_table: held by pid 81 (x\\x0ay, uid 4321), and not in the table\n"));
  CHECK(text.contains("\n! 1501/udp not_in_table: held by a socket of uid 4321, and not in the table\n"));
  CHECK(text.contains("\nDIFFERENCES between table and kernel: 6\n"));
  CHECK(text.contains("of 1 socket it cannot be told which process has it; more is told to root\n"));
}

TEST_CASE("client.ports of strangers who hold what the table gives to members are told") {
  Group group;
  group.process(80, kStranger);
  group.row({.port = tcp(1000), .state = shm::PortState::bound, .pid = 80});
  group.row({.port = tcp(1001), .state = shm::PortState::bound, .pid = 80, .flags = shm::kPortGrandfathered});
  group.row({.port = tcp(1002), .state = shm::PortState::bound, .pid = kEnginePid, .flags = shm::kPortEngine});
  group.row({.port = tcp(1003), .state = shm::PortState::external, .pid = 90});
  group.socket(tcp(1000), 80);
  group.socket(tcp(1001), 80);
  group.socket(tcp(1002), kEnginePid);
  group.socket(tcp(1003), 0);
  CHECK(differences(group.report()) == Differences{"1000/tcp stranger", "1003/tcp stranger"});
}

TEST_CASE("client.ports owners are told from later processes with their pid") {
  Group group;
  group.process(70, kMember);
  group.row({.port = tcp(1000), .state = shm::PortState::bound, .pid = 70});
  group.socket(tcp(1000), 70);
  group.facts.owners[0].pidfd_inode = 4712;
  auto report = group.report();
  CHECK(differences(report).empty());
  report.ports[0].pidfd_inode = 4711;
  report.ports[0].holders.clear();
  report.ports[0].sockets = 0;
  cli::compare(report, group.facts);
  CHECK(differences(report) == Differences{"1000/tcp owner_differs"});
}

TEST_CASE("client.ports holders of the broker's are nobody's claim") {
  Group group;
  shm::PortSummaryRow summary{};
  summary.holders = shm::PortEnforcement::on;
  group.summary(summary);
  group.socket(tcp(1000), kBrokerPid);  // seen by root
  group.socket(tcp(1001), 0);           // and by others
  auto report = group.report();
  CHECK(report.ports.empty());
  CHECK(report.holder_sockets == 2);
  group.socket(tcp(1002), 0, true);
  CHECK(differences(group.report()) == Differences{"1002/tcp not_in_table"});
}

TEST_CASE("client.ports are not called free where the kernel does not tell") {
  Group group;
  group.row({.port = tcp(1000), .state = shm::PortState::bound, .pid = 70});
  group.row({.port = udp(1000), .state = shm::PortState::bound, .pid = 70});
  group.facts.sees_bound_sockets = false;
  CHECK(differences(group.report()) == Differences{"1000/udp not_held"});
  group.facts.trouble = "no netlink here";
  const auto report = group.report();
  CHECK(differences(report).empty());
  CHECK_FALSE(report.ports[0].is_held.has_value());
  CHECK(cli::ports_text(report, kNow).contains("\nWARNING: not compared with the kernel: no netlink here\n"));
}

TEST_CASE("client.ports JSON has stable keys and no bytes that are none") {
  Group group;
  group.process(80, kStranger);
  group.row({.port = tcp(1000), .state = shm::PortState::bound, .pid = 80, .program = "a\xff\x1b\x7f\xc2\x9b"});
  group.socket(tcp(1000), 80, false, "a\xff\x1b\x7f\xc2\x9b");
  const auto json = cli::ports_json({group.report()}, cli::JsonLines::one);
  CHECK(json.starts_with(
      R"({"groups":[{"group":"EBANKING","engine_answers":true,"engine_pid":50,)"
      R"("engine_state":"running","engine_started_s":1699999400,"restarts":2,"heartbeat_age_ns":0,"engine_process":null,)"
      R"("kernel":{"trouble":"","sees_bound_sockets":true,"sockets_hidden":0,"holder_sockets":0},)"
      R"("rules":{"users":[{"uid":1000,"user":""}],"unix_groups":[{"gid":2000,"unix_group":""}],)"
      R"("static":[{"port":443,"protocols":["tcp"],"label":"https","program":""}],)"
      R"("dynamic":[{"from":1000,"to":1999,"protocols":["tcp","udp"]}]},)"));
  CHECK(json.contains(R"("ports":[{"port":1000,"protocol":"tcp","state":"bound","flags":[],"pid":80,"uid":1000,)"
                      R"("user":"","program":"a\ufffd\u001b\u007f\u009b","label":"",)"));
  CHECK(json.contains(R"("holders":[{"pid":80,"uid":4321,"user":"","program":"a\ufffd\u001b\u007f\u009b",)"
                      R"("is_member":false,"is_descendant":false}],"hidden_uids":[],"differences":[{"code":"stranger",)"
                      R"("text":"pid 80 (a\\xff\\x1b\\x7f\\xc2\\x9b, uid 4321) is no member of the group"}]}],)"));
  CHECK(json.find_first_not_of(" !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~\n"
                               "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") == std::string::npos);
}

TEST_CASE("client.ports pages are cut to the terminal") {
  CHECK(cli::fitted("one\ntwo\n", 24, 80) == "one\ntwo");
  CHECK(cli::fitted("one\n\nthree\n", 3, 4) == "one\n\nthre");
  CHECK(cli::fitted("1\n2\n3\n4\n", 3, 80) == "1\n2\n... and 2 lines that do not fit here");
  CHECK(cli::fitted("", 3, 80).empty());
}
