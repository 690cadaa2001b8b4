#include "tests/demo/purchase.hpp"

#include <array>

#include "tests/host/iso8583_ascii.hpp"
#include "tests/host/iso8583_request.hpp"
#include "tests/host/record.hpp"

namespace tlsmux::demo {
namespace {

constexpr std::string_view kEchoTest = "0800";
constexpr std::string_view kEchoTestCode = "301";  // field 70
constexpr std::size_t kTraceNumberLength = 6;

struct Merchant {
  std::string_view id;
  std::string_view type;  // merchant category code
  std::string_view processing_code;
  std::string_view entry_mode;
  std::string_view condition_code;
  std::uint64_t amount_max;  // minor units
};

constexpr std::array<Merchant, 8> kMerchants = {{
    {"SUPERMARKET0001", "5411", "000000", "051", "00", 24'000},
    {"FILLINGSTATION1", "5541", "000000", "051", "00", 12'000},
    {"RESTAURANT00001", "5812", "000000", "071", "00", 18'000},
    {"PHARMACY0000001", "5912", "000000", "071", "00", 6'000},
    {"HOTEL0000000001", "7011", "000000", "051", "00", 95'000},
    {"LOCALTRANSPORT1", "4111", "000000", "071", "00", 900},
    {"ONLINESHOP00001", "5399", "000000", "010", "59", 32'000},
    {"CASHMACHINE0001", "6011", "010000", "051", "00", 40'000},
}};

// Everything about a request that varies. The numbers only have to look random.
struct Details {
  std::string_view type;
  const Merchant* merchant = nullptr;
  std::string account_number;
  std::string terminal;
  std::uint64_t amount = 0;
};

// Fibonacci hashing (Knuth, The Art of Computer Programming, volume 3, section 6.4), with the high bits brought down.
std::uint64_t scramble(std::uint64_t number) {
  number *= 0x9e3779b97f4a7c15;
  number ^= number >> 32;
  number *= 0x9e3779b97f4a7c15;
  return number ^ number >> 29;
}

Details details_of(RequestId id) {
  const auto random = scramble(trace_number(id));
  const auto percent = random % 100;
  const auto& merchant = kMerchants[random / 100 % kMerchants.size()];
  const auto terminal = std::uint64_t{id.authorizer} * 1000 + random / 1000 % 200;
  const auto digits = std::to_string(terminal);
  return {.type = percent < 90   ? "0100"
                  : percent < 95 ? "0200"
                  : percent < 98 ? "0400"
                                 : kEchoTest,
          .merchant = &merchant,
          .account_number = host::test_account_number(random / 1'000'000),
          .terminal = "POS" + std::string(5 - digits.size(), '0') + digits,
          .amount = 100 + random / 10'000 % merchant.amount_max};
}

}  // namespace

std::uint32_t trace_number(RequestId id) { return id.authorizer * kRequestsMax + id.request + 1; }

std::string build_request(RequestId id, std::chrono::sys_seconds time) {
  const auto details = details_of(id);
  if (details.type == kEchoTest) return host::build_network_management(kEchoTestCode, trace_number(id), time);
  return host::build_authorization({.type = details.type,
                                    .account_number = details.account_number,
                                    .processing_code = details.merchant->processing_code,
                                    .amount_minor_units = details.amount,
                                    .trace_number = trace_number(id),
                                    .time = time,
                                    .merchant_type = details.merchant->type,
                                    .entry_mode = details.merchant->entry_mode,
                                    .condition_code = details.merchant->condition_code,
                                    .terminal = details.terminal,
                                    .merchant = details.merchant->id,
                                    .original_data = {}});
}

std::string what_is_wrong_with(std::string_view answer, RequestId id) {
  const auto parsed = host::parse(answer);
  if (!parsed) return host::to_string(parsed.error());
  const auto bytes = build_request(id, {});
  const auto request = host::parse(bytes);
  if (!request) return "the request itself is wrong: " + host::to_string(request.error());
  std::string type(request->type);
  ++type[2];
  if (parsed->type != type) return "its type does not answer the request's";
  for (const unsigned field : {2U, 3U, 4U, 11U, 32U, 41U, 42U, 49U, 70U}) {
    if (parsed->field(field) != request->field(field))
      return "field " + std::to_string(field) + " is not the request's";
  }
  return parsed->has(39) ? "" : "it has no response code";
}

bool is_echo_test(RequestId id) { return details_of(id).type == kEchoTest; }

std::string record_key(RequestId id) {
  const auto details = details_of(id);
  const auto digits = std::to_string(trace_number(id));
  return host::hex(std::string(kTraceNumberLength - digits.size(), '0') + digits +
                   (details.type == kEchoTest ? "" : details.terminal));
}

}  // namespace tlsmux::demo
