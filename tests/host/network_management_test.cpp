// Sign-on, echo tests, and what the host asks by itself.

#include <doctest/doctest.h>

#include <string>

#include "tests/host/host_process.hpp"
#include "tests/host/test_client.hpp"
#include "tests/host/test_messages.hpp"

using namespace tlsmux::host;

TEST_CASE("host.wants a sign-on on each connection before anything else") {
  HostProcess host({"--sign-on", "connection"});
  TestClient client(host.port());
  client.send(client.framed(request(1)) + client.framed(network_request("301", 2)) +
              client.framed(network_request("001", 3)));
  const std::string answer = next_frame(client);
  CHECK(field(answer, 0) == "0810");
  CHECK(field(answer, 11) == "000003");
  CHECK(field(answer, 39) == "00");
  CHECK(field(answer, 70) == "001");
  CHECK(field(ask(client, request(4)), 11) == "000004");
  CHECK(field(ask(client, network_request("002", 5)), 39) == "00");
  client.send(client.framed(request(6)) + client.framed(network_request("001", 7)));
  CHECK(field(next_frame(client), 11) == "000007");

  TestClient other(host.port());
  other.send(other.framed(request(8)) + other.framed(network_request("001", 9)));
  CHECK(field(next_frame(other), 11) == "000009");
  const auto report = host.stop_and_report();
  CHECK(report.count("sign_ons") == 3);
  CHECK(report.count("sign_offs") == 1);
  CHECK(report.count("without_sign_on") == 4);
  CHECK(report.count("echo_tests") == 0);
  CHECK(report.connections().at(0).sign_ons == 2);
  CHECK(report.connections().at(0).sign_offs == 1);
}

TEST_CASE("host.is content with one sign-on for all connections, or closes") {
  HostProcess host({"--sign-on", "host", "--on-missing-sign-on", "close"});
  TestClient hasty(host.port());
  hasty.send_frame(request(1));
  CHECK(hasty.await_end() == End::close_notify);
  TestClient client(host.port());
  CHECK(field(ask(client, network_request("001")), 39) == "00");
  TestClient other(host.port());
  CHECK(field(ask(other, request(2)), 11) == "000002");
  CHECK(host.stop_and_report().count("without_sign_on") == 1);
}

TEST_CASE("host.refuses sign-ons, for ever or so many times, or does not answer them") {
  HostProcess host({"--sign-on", "connection", "--sign-on-code", "91"});
  TestClient client(host.port());
  for (int i = 0; i < 3; ++i) CHECK(field(ask(client, network_request("001")), 39) == "91");
  CHECK(host.stop_and_report().count("sign_ons_refused") == 3);

  HostProcess reluctant({"--sign-on", "connection", "--sign-on-code", "91", "--sign-on-refusals", "2"});
  TestClient patient(reluctant.port());
  CHECK(field(ask(patient, network_request("001")), 39) == "91");
  CHECK(field(ask(patient, network_request("001")), 39) == "91");
  CHECK(field(ask(patient, network_request("001")), 39) == "00");
  CHECK(field(ask(patient, request(1)), 39) == "00");

  HostProcess mute({"--sign-on", "connection", "--sign-on-code", "none"});
  TestClient waiting(mute.port());
  waiting.send_frame(network_request("001"));
  CHECK(mute.await_count("sign_ons_refused", 1).count("answered") == 0);
  CHECK_THROWS(HostProcess({"--sign-on-code", "123"}));
}

TEST_CASE("host.does not refuse or forget network management when it does requests") {
  HostProcess host({"--sign-on", "connection", "--refuse-percent", "100", "--silent-percent", "0"});
  TestClient client(host.port());
  CHECK(field(ask(client, network_request("001")), 39) == "00");
  CHECK(field(ask(client, network_request("301")), 39) == "00");
  CHECK(field(ask(client, request(1)), 39) == "05");
}

TEST_CASE("host.closes when echo tests come too soon") {
  HostProcess host({"--echo-interval-min-ms", "60000"});
  TestClient client(host.port());
  CHECK(field(ask(client, network_request("301")), 39) == "00");
  CHECK(field(ask(client, request(1)), 39) == "00");
  client.send_frame(network_request("301", 2));
  CHECK(client.await_end() == End::close_notify);
  TestClient other(host.port());  // the interval is that of a connection
  CHECK(field(ask(other, network_request("301")), 39) == "00");
  const auto report = host.stop_and_report();
  CHECK(report.count("echo_tests") == 3);
  CHECK(report.count("echo_tests_too_soon") == 1);

  HostProcess lenient({"--echo-interval-min-ms", "0"});
  TestClient eager(lenient.port());
  for (int i = 0; i < 5; ++i) CHECK(field(ask(eager, network_request("301")), 39) == "00");
}

TEST_CASE("host.asks by itself and checks the answers") {
  HostProcess host({"--unsolicited-every-ms", "2", "--own-message", "key_exchange"});
  TestClient client(host.port());
  const std::string first = next_frame(client);
  CHECK(field(first, 0) == "0800");
  CHECK(field(first, 70) == "101");
  const std::string second = next_frame(client);
  CHECK(field(second, 11) != field(first, 11));
  const std::string third = next_frame(client);
  const std::string fourth = next_frame(client);
  client.send_frame(answer_to(second));
  client.send_frame(answer_to(first));
  client.send_frame(answer_to(first));        // again
  client.send_frame(answer_to(third, "96"));  // refused
  TestClient other(host.port());
  next_frame(other);
  other.send_frame(answer_to(fourth));  // on another session
  const auto report = host.await_count("responses", 5);
  CHECK(report.count("unsolicited_answered") == 2);
  CHECK(report.count("unsolicited_refused") == 1);
  CHECK(report.count("responses_unmatched") == 2);
  CHECK(report.count("unsolicited_unanswered") == report.count("unsolicited") - 3);
}

TEST_CASE("host.sends advices") {
  HostProcess host({"--unsolicited-every", "1", "--own-message", "advice"});
  TestClient client(host.port());
  const std::string advice = ask(client, request(1));
  CHECK(field(advice, 0) == "0820");
  CHECK(field(advice, 70) == "201");
  next_frame(client);
  client.send_frame(answer_to(advice));
  CHECK(host.await_count("unsolicited_answered", 1).count_of("messages_by_type", "0830") == 1);
}
