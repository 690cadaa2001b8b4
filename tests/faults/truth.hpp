#pragma once

// Outcomes of requests made with keyed_message(tag), held against what the hosts have recorded.

#include <map>
#include <string>
#include <vector>

#include "tests/system/host_record.hpp"
#include "tests/system/requester.hpp"

namespace tlsmux::test {

// In words, what is not true of these: each tag from 1 on has exactly one outcome; what was ANSWERED reached a host once and
// as it was written, and the answer is that to it (the hosts echo); what is NOT_SENT reached no host; nothing reached one
// twice.
std::vector<std::string> find_lies(const std::vector<Ended>& all, const std::map<std::string, Receipt>& receipts,
                                   std::size_t message_bytes = 64);
// Fails the test if there are any.
void check_truth(const std::vector<Ended>& all, const std::map<std::string, Receipt>& receipts,
                 std::size_t message_bytes = 64);

// How many have this outcome, for whatever reason.
std::size_t count_ended(const std::vector<Ended>& all, tmx_outcome outcome);

}  // namespace tlsmux::test
