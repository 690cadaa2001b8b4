// Messages of our test host's library, understood and answered by an ISO 8583 library of other authors.

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/host/iso8583_ascii.hpp"
#include "tests/host/test_client.hpp"
#include "tests/host/test_messages.hpp"
#include "tests/interop/node_host.hpp"

namespace tlsmux::test {
namespace {

FieldValues values_of(const host::Message& message) {
  FieldValues values = {{0, std::string(message.type)}};
  for (unsigned number = 2; number <= host::kFieldMax; ++number) {
    if (message.has(number)) values[number] = message.field(number);
  }
  return values;
}

FieldValues values_of(const std::string& bytes) {
  const auto message = host::parse(bytes);
  REQUIRE_MESSAGE(message.has_value(), to_string(message.error()));
  return values_of(*message);
}

std::string bytes_of(const FieldValues& values) {
  host::Message message;
  for (const auto& [number, value] : values) {
    if (number == 0) {
      message.type = value;
    } else {
      message.set(number, value);
    }
  }
  std::string bytes;
  const auto built = host::build(message, bytes);
  REQUIRE_MESSAGE(built.has_value(), to_string(built.error()));
  return bytes;
}

// A value that its field allows, different for different fields.
std::string sample_value(unsigned number) {
  const auto& spec = host::field_spec(number);
  const std::size_t length = spec.length_digits == 0 ? spec.length : 1 + number % spec.length;
  const auto repeated = [&](char c) { return std::string(length, c); };
  switch (spec.kind) {
    case host::FieldKind::numeric: return repeated(static_cast<char>('1' + number % 9));
    case host::FieldKind::hexadecimal: return repeated("0123456789ABCDEF"[number % 16]);
    case host::FieldKind::alphanumeric:
    case host::FieldKind::text: return repeated(static_cast<char>('A' + number % 26));
    case host::FieldKind::track: return repeated("123456789="[number % 10]);
    case host::FieldKind::signed_amount: return "C" + repeated('7').substr(1);
    case host::FieldKind::month_day: return "1231";
    case host::FieldKind::year_month: return "3011";
    case host::FieldKind::time: return "235958";
    case host::FieldKind::month_day_time: return "0228010203";
  }
  return {};
}

// The library wants digits in these. 65 and 127 it has another use for.
bool is_number_there(unsigned number) {
  return number == 34 || number == 36 || number == 40 || number == 49 || number == 51 || number == 118 ||
         number == 119 || number == 121 || number == 122;
}
bool is_unlike(unsigned number) { return number == 65 || number == 127; }

FieldValues sample_message(const std::string& type, const std::vector<unsigned>& numbers) {
  FieldValues values = {{0, type}};
  for (const unsigned number : numbers) {
    values[number] = sample_value(number);
    if (is_number_there(number)) values[number].assign(values[number].size(), '5');
  }
  return values;
}

// What a request is answered with.
FieldValues answer_values(FieldValues request) {
  ++request[0][2];
  request[39] = "00";
  return request;
}

// One request, there and back.
void check_round_trip(NodeHost& node, host::TestClient& client, const FieldValues& request) {
  const std::string answer = ask(client, bytes_of(request));
  CHECK(node.received().back() == request);
  CHECK(values_of(answer) == answer_values(request));
}

}  // namespace

TEST_CASE("iso8583.a library of other authors understands each field of ours and we each of its") {
  if (NodeHost::is_missing()) return;
  NodeHost node;
  host::TestClient client(node.port());
  for (unsigned number = 2; number <= host::kFieldMax; ++number) {
    CAPTURE(number);
    if (number == 39 || is_unlike(number)) continue;
    check_round_trip(node, client, sample_message("0100", {3, number, 41}));
  }
}

TEST_CASE("iso8583.a library of other authors understands long messages and every kind of request") {
  if (NodeHost::is_missing()) return;
  NodeHost node;
  host::TestClient client(node.port());
  std::vector<unsigned> primary;
  std::vector<unsigned> all;
  for (unsigned number = 2; number <= host::kFieldMax; ++number) {
    if (number == 39 || is_unlike(number)) continue;
    if (number <= 64) primary.push_back(number);
    all.push_back(number);
  }
  check_round_trip(node, client, sample_message("0100", primary));
  check_round_trip(node, client, sample_message("0200", all));
  for (const std::string type : {"0100", "0200", "0400", "0420"}) {
    CAPTURE(type);
    check_round_trip(node, client, values_of(host::request(17, type)));
  }
  for (const std::string code : {"001", "002", "301"}) {
    CAPTURE(code);
    check_round_trip(node, client, values_of(host::network_request(code, 18)));
  }
}

TEST_CASE("iso8583.a library of other authors asks and understands our answer") {
  if (NodeHost::is_missing()) return;
  NodeHost node(1);
  host::TestClient client(node.port());
  const std::string asked = ask(client, host::request(1));
  CHECK(host::field(asked, 0) == "0800");
  CHECK(host::field(asked, 70) == "301");
  CHECK(host::field(host::next_frame(client), 0) == "0110");
  client.send_frame(host::answer_to(asked));
  CHECK(host::field(ask(client, host::request(2)), 0) == "0800");  // sent after it has read our answer
  const auto received = node.received();
  REQUIRE(received.size() == 3);
  CHECK(received[1] == values_of(host::answer_to(asked)));
}

}  // namespace tlsmux::test
