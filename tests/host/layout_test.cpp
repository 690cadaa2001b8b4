// The host behind every layout of frames.

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/host/envelope.hpp"
#include "tests/host/framing_names.hpp"
#include "tests/host/host_process.hpp"
#include "tests/host/test_client.hpp"
#include "tests/host/test_messages.hpp"

using namespace tlsmux::host;
using namespace std::string_literals;

TEST_CASE("host.echoes frames of every layout, in pieces of every size") {
  for (const auto& name : framing_names()) {
    CAPTURE(name);
    HostProcess host({"--mode", "echo", "--framing", name, "--echo-keep-alives"});
    TestClient client(host.port(), {.framing = framing_named(name).value()});
    const std::size_t longest = name == "vml" ? 2048 : 4096;
    const std::vector<std::string> bodies = {"x", "", std::string(longest, 'y'), std::string(17, 'z')};
    std::string stream;
    for (const auto& body : bodies) stream += client.framed(body);
    for (std::size_t piece = 1; !stream.empty(); piece = piece % 1000 * 3 + 1) {
      client.send(stream.substr(0, piece));
      stream.erase(0, piece);
    }
    for (const auto& body : bodies) CHECK(next_frame(client) == body);
    CHECK(host.report().count("keep_alives") == 1);
  }
}

TEST_CASE("host.counts session control and does not answer it") {
  HostProcess host({"--framing", "vml", "--echo-keep-alives"});
  TestClient client(host.port(), {.framing = framing_named("vml").value()});
  client.send(
      "\x00\x03\x00\x20"s
      "abc");
  CHECK(field(ask(client, request(1)), 11) == "000001");
  const auto report = host.stop_and_report();
  CHECK(report.count("session_controls") == 1);
  CHECK(report.count("received") == 1);
}

TEST_CASE("host.puts split messages together and splits its own") {
  HostProcess host({"--framing", "rbp", "--split-bytes", "50"});
  const Framing rbp = framing_named("rbp").value();
  TestClient client(host.port(), {.framing = rbp});
  const std::string asked = request(7);
  std::string stream;
  append_frame(rbp, asked.substr(0, 10), stream, true);
  append_frame(rbp, asked.substr(10, 20), stream, true);
  append_frame(rbp, asked.substr(30), stream);
  client.send(stream);
  const std::string first_part = client.receive_bytes(6).substr(0, 6);
  CHECK(first_part == "\xd0\x4a\x00\x32\x01\x00"s);
  client.send(stream);

  TestClient other(host.port(), {.framing = rbp});
  const std::string answer = ask(other, asked);
  CHECK(answer.size() > 100);
  CHECK(field(answer, 11) == "000007");
  CHECK(host.await_count("message_parts", 4).count("unparsable") == 0);
  CHECK_THROWS(HostProcess({"--framing", "cs", "--split-bytes", "50"}));
}

TEST_CASE("host.answers with the TPDU's addresses exchanged, and puts its own before what it asks") {
  HostProcess host({"--framing", "nac", "--tpdu", "6000100002", "--unsolicited-every", "2"});
  TestClient client(host.port());
  const std::string there = "\x60\x00\x10\x00\x02"s;
  const std::string back = "\x60\x00\x02\x00\x10"s;
  const std::string answer = ask(client, there + request(1));
  CHECK(answer.substr(0, 5) == back);
  CHECK(field(answer.substr(5), 0) == "0110");
  const std::string unasked = ask(client, there + request(2));
  CHECK(unasked.substr(0, 5) == back);
  CHECK(field(unasked.substr(5), 0) == "0800");
  next_frame(client);
  client.send_frame(there + answer_to(unasked.substr(5)));
  CHECK(ask(client, "\x60\x00\x10\x00\x03"s + request(4)).substr(0, 5) == back);  // the host's next 0800
  CHECK(next_frame(client).substr(0, 5) == "\x60\x00\x03\x00\x10"s);
  client.send_frame("abc");
  const auto report = host.await_count("unparsable", 1);
  CHECK(report.count("tpdu_wrong") == 1);
  CHECK(report.count("unsolicited_answered") == 1);
  CHECK(report.count_of("unparsable_reasons", "the message ends within the TPDU") == 1);
  CHECK_THROWS(HostProcess({"--tpdu", "60001000"}));
}

TEST_CASE("host.answers with BASE I headers, stations exchanged") {
  HostProcess host({"--framing", "vap", "--base1"});
  TestClient client(host.port(), {.framing = framing_named("vap").value()});
  const std::string asked = request(1);
  const std::string header = base1_header(asked.size());
  const std::string answer = ask(client, header + asked);
  CHECK(answer.substr(0, 22) == swapped_base1(header));
  CHECK(field(answer.substr(22), 11) == "000001");
}
