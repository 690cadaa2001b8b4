#include "tests/host/test_messages.hpp"

#include <chrono>
#include <stdexcept>

#include "tests/host/iso8583_ascii.hpp"
#include "tests/host/iso8583_request.hpp"

namespace tlsmux::host {
namespace {

constexpr auto kDay = std::chrono::sys_days(std::chrono::year(2026) / 7 / 13);

Message parsed(const std::string& bytes) {
  const auto message = parse(bytes);
  if (!message) throw std::runtime_error("not ISO 8583: " + to_string(message.error()));
  return *message;
}

}  // namespace

std::string request(std::uint32_t trace_number, std::string_view type) {
  const std::string account = test_account_number(trace_number);
  AuthorizationRequest fields;
  fields.type = type;
  fields.account_number = account;
  fields.amount_minor_units = 100 + trace_number;
  fields.trace_number = trace_number;
  fields.time = kDay;
  return build_authorization(fields);
}

std::string network_request(std::string_view information_code, std::uint32_t trace_number) {
  return build_network_management(information_code, trace_number, kDay);
}

std::string answer_to(const std::string& request, std::string_view response_code) {
  Message message = parsed(request);
  std::string type(message.type);
  ++type[2];
  message.type = type;
  message.set(39, response_code);
  std::string bytes;
  if (const auto built = build(message, bytes); !built) throw std::runtime_error(to_string(built.error()));
  return bytes;
}

std::string field(const std::string& message, unsigned number) {
  const Message fields = parsed(message);
  return std::string(number == 0 ? fields.type : fields.field(number));
}

std::string next_frame(TestClient& client) {
  auto frame = client.receive_frame();
  if (!frame) throw std::runtime_error("the connection ended where an answer was expected");
  return *frame;
}

std::string ask(TestClient& client, std::string_view message) {
  client.send_frame(message);
  return next_frame(client);
}

std::vector<int> answer_order(const HostProcess& host, std::uint32_t count) {
  TestClient client(host.port());
  std::string all;
  for (std::uint32_t i = 1; i <= count; ++i) all += client.framed(request(i));
  client.send(all);
  std::vector<int> order;
  for (std::uint32_t i = 1; i <= count; ++i) order.push_back(std::stoi(field(next_frame(client), 11)));
  return order;
}

}  // namespace tlsmux::host
