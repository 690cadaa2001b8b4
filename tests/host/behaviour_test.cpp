// How the host answers when it does not simply answer.

#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "tests/host/host_process.hpp"
#include "tests/host/test_client.hpp"
#include "tests/host/test_messages.hpp"

using namespace tlsmux::host;

TEST_CASE("host.answers some late while the others do not wait") {
  HostProcess host({"--late-percent", "30", "--late-ms", "1500"});
  constexpr std::uint32_t kCount = 200;
  auto order = answer_order(host, kCount);
  const auto report = host.stop_and_report();
  const auto late = report.count("late");
  CHECK(late > 20);
  CHECK(late < 120);
  CHECK(report.count("answered") == kCount);
  // Those in time keep their order, and so do those that come after them.
  const auto last = order.begin() + static_cast<std::ptrdiff_t>(kCount - late);
  CHECK(std::is_sorted(order.begin(), last));
  CHECK(std::is_sorted(last, order.end()));
  std::ranges::sort(order);
  std::vector<int> all(kCount);
  std::iota(all.begin(), all.end(), 1);
  CHECK(order == all);
}

TEST_CASE("host.shuffles answers in windows, and the last ones too") {
  HostProcess host({"--shuffle", "50", "--shuffle-wait-ms", "20"});
  constexpr std::uint32_t kCount = 120;
  auto order = answer_order(host, kCount);
  CHECK_FALSE(std::ranges::is_sorted(order));
  for (std::size_t i = 0; i < kCount; ++i) CHECK(order[i] <= static_cast<int>((i / 50 + 1) * 50));
  std::ranges::sort(order);
  CHECK(std::ranges::adjacent_find(order) == order.end());
  CHECK(host.stop_and_report().count("shuffled") == kCount);
}

TEST_CASE("host.answers on another session than it was asked on") {
  HostProcess host({"--answer-on-any-session"});
  TestClient one(host.port());
  TestClient other(host.port());
  host.await_report("both handshakes", [](const HostReport& report) {
    return report.count("handshakes_full") == 2 && report.count("handshakes_in_progress") == 0;
  });
  constexpr std::uint32_t kCount = 100;
  for (std::uint32_t i = 1; i <= kCount; ++i) one.send_frame(request(i));
  const auto report = host.await_count("answered", kCount);
  const auto elsewhere = report.count("answered_elsewhere");
  CHECK(elsewhere > 10);
  CHECK(elsewhere < 90);
  int last = 0;
  for (std::uint64_t i = 0; i < elsewhere; ++i) {
    const int trace = std::stoi(field(next_frame(other), 11));
    CHECK(trace > last);
    last = trace;
  }
  for (std::uint64_t i = elsewhere; i < kCount; ++i) next_frame(one);
}

TEST_CASE("host.leaves fields out of its answers") {
  HostProcess host({"--omit-fields", "41,38"});
  TestClient client(host.port());
  const std::string answer = ask(client, request(1));
  CHECK(field(answer, 41).empty());
  CHECK(field(answer, 38).empty());
  CHECK(field(answer, 11) == "000001");
  CHECK_THROWS(HostProcess({"--omit-fields", "129"}));
}

TEST_CASE("host.falls silent after a message, or at once") {
  HostProcess host({"--silent-after", "2", "--echo-keep-alives", "--unsolicited-every", "3"});
  TestClient client(host.port());
  CHECK(field(ask(client, request(1)), 11) == "000001");
  CHECK(field(ask(client, request(2)), 11) == "000002");
  client.send(client.framed(request(3)) + client.framed(""));
  const auto report = host.await_count("keep_alives", 1);
  CHECK(report.count("received") == 3);
  CHECK(report.count("answered") == 2);
  CHECK(report.count("unsolicited") == 0);
  client.close_notify();
  CHECK_FALSE(client.receive_frame().has_value());

  HostProcess mute({"--silent-after", "0", "--keep-alive-every-ms", "1"});
  TestClient ignored(mute.port());
  ignored.send_frame(request(1));
  const auto after = mute.await_count("received", 1);
  CHECK(after.count("answered") == 0);
  CHECK(after.count("keep_alives_sent") == 0);
}

TEST_CASE("host.stops reading when told to") {
  HostProcess host({"--stop-reading-after", "1"});
  TestClient client(host.port());
  CHECK(field(ask(client, request(1)), 11) == "000001");
  const std::string frame = client.framed(std::string(60'000, 'x'));
  std::string all;
  for (int i = 0; i < 300; ++i) all += frame;
  CHECK(client.send_until_refused(all) < all.size());
  CHECK(host.stop_and_report().count("received") == 1);
}

TEST_CASE("host.sends keep-alives") {
  HostProcess host({"--keep-alive-every-ms", "5"});
  TestClient client(host.port());
  for (int i = 0; i < 3; ++i) CHECK(next_frame(client).empty());
  CHECK(host.stop_and_report().count("keep_alives_sent") >= 3);
}
