// What a client process does with outcomes, once its library has found them.

#include <algorithm>

#include "tests/simulation/client_process.hpp"
#include "tests/simulation/message.hpp"

namespace tlsmux::simulation {
namespace {

constexpr std::size_t kGivenUpMax = 4;

}  // namespace

// Sometimes not everything: what the library has found is not yet what the application has polled.
bool ClientProcess::report(Channel& channel) {
  if (channel.outcomes.empty()) return false;
  auto& random = context_.random;
  if (random.below(4) == 0) report_out_of_turn(channel);
  while (!channel.outcomes.empty() && random.below(8) != 0) report_one(channel, channel.outcomes.pop());
  channel.attached->publish_seen();
  return true;
}

void ClientProcess::report_all(Channel& channel) {
  while (!channel.outcomes.empty()) report_one(channel, channel.outcomes.pop());
  channel.attached->publish_seen();
}

// As tmx_call does it.
void ClientProcess::report_out_of_turn(Channel& channel) {
  if (channel.last_pushed.epoch == 0) return;
  if (const auto outcome = channel.outcomes.take(channel.last_pushed)) report_one(channel, *outcome);
}

void ClientProcess::report_one(Channel& channel, const client::RequestOutcome& outcome) {
  if (outcome.is_notice()) return hear(channel, outcome);
  const std::span answer(outcome.data, outcome.length);
  context_.trace("request " + std::to_string(outcome.tag) + " ends: " +
                 std::string(shm::outcome_name(outcome.outcome)) + " " + std::string(shm::reason_name(outcome.reason)));
  channel.attached->hand_over(outcome);
  context_.ledger.ended(outcome.tag, outcome.outcome, outcome.reason, answer);
  std::erase(channel.open, outcome.tag);
  const bool is_given_up = outcome.reason == shm::Reason::deadline || outcome.reason == shm::Reason::cancelled;
  if (outcome.outcome == shm::Outcome::maybe_sent && is_given_up) {
    channel.given_up.push_back(outcome.tag);
    if (channel.given_up.size() > kGivenUpMax) channel.given_up.erase(channel.given_up.begin());
  }
  if (outcome.outcome == shm::Outcome::answered) {
    channel.held.push_back({.use = outcome.answer.use, .bytes = answer, .digest = digest_of(answer)});
  }
}

bool ClientProcess::release(Channel& channel) {
  if (channel.held.empty()) return false;
  std::swap(context_.random.pick(channel.held), channel.held.back());
  const auto answer = channel.held.back();
  channel.held.pop_back();
  if (!mad_ && digest_of(answer.bytes) != answer.digest) throw Violation("an answer changes while it is being read");
  if (!channel.attached->release(answer.use)) throw Violation("an answer cannot be released");
  if (engine_ != nullptr && !channel.closing) lend(channel);
  return true;
}

}  // namespace tlsmux::simulation
