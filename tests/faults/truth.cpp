#include "tests/faults/truth.hpp"

#include <algorithm>
#include <set>

#include <doctest/doctest.h>

#include "tests/host/record.hpp"

namespace tlsmux::test {
namespace {

// Nothing: it is true.
std::string lie_of(const Ended& ended, const Receipt& receipt, const std::string& message) {
  if (receipt.times > 1) return "was received " + std::to_string(receipt.times) + " times";
  const bool is_another = receipt.bytes != message.size() || receipt.hash != host::fnv1a64(message);
  if (receipt.times == 1 && is_another) return "was received as another message";
  switch (ended.outcome) {
    case TMX_ANSWERED:
      if (receipt.times == 0) return "is ANSWERED, and no host has received it";
      return ended.answer == message ? "" : "is ANSWERED with what is not the answer to it";
    case TMX_NOT_SENT: return receipt.times == 0 ? "" : "is NOT_SENT, and a host has received it";
    case TMX_MAYBE_SENT: return "";
    default: return "has no outcome that exists";
  }
}

}  // namespace

std::vector<std::string> find_lies(const std::vector<Ended>& all, const std::map<std::string, Receipt>& receipts,
                                   std::size_t message_bytes) {
  std::vector<std::string> lies;
  std::set<std::uint64_t> tags;
  const auto add = [&](const Ended& ended, const std::string& lie) {
    if (!lie.empty()) lies.push_back("request " + std::to_string(ended.tag) + " " + lie);
  };
  for (const auto& ended : all) {
    if (!tags.insert(ended.tag).second) {
      add(ended, "has ended twice");
      continue;
    }
    const auto message = keyed_message(ended.tag, message_bytes);
    const auto found = receipts.find(host::hex(message.substr(0, 16)));
    add(ended, lie_of(ended, found != receipts.end() ? found->second : Receipt{}, message));
  }
  // As many tags as there are, from 1 on: one that is greater stands for one that is missing.
  for (const auto tag : tags) {
    if (tag < 1 || tag > tags.size()) lies.push_back("request " + std::to_string(tag) + " was never made");
  }
  return lies;
}

void check_truth(const std::vector<Ended>& all, const std::map<std::string, Receipt>& receipts,
                 std::size_t message_bytes) {
  for (const auto& lie : find_lies(all, receipts, message_bytes)) FAIL_CHECK(lie);
}

std::size_t count_ended(const std::vector<Ended>& all, tmx_outcome outcome) {
  return static_cast<std::size_t>(std::ranges::count_if(all, [&](const Ended& one) { return one.outcome == outcome; }));
}

}  // namespace tlsmux::test
