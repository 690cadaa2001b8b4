#include "tests/system/load_crowd.hpp"

#include <utility>

namespace tlsmux::test {
namespace {

void add_up(LoadReport& all, const LoadReport& one) {
  all.submitted += one.submitted;
  all.answered += one.answered;
  all.not_sent += one.not_sent;
  all.maybe_sent += one.maybe_sent;
  all.refused_submissions += one.refused_submissions;
  for (std::size_t i = 0; i < all.not_sent_reasons.size(); ++i) {
    all.not_sent_reasons[i] += one.not_sent_reasons[i];
    all.maybe_sent_reasons[i] += one.maybe_sent_reasons[i];
  }
}

}  // namespace

LoadCrowd::LoadCrowd(std::string folder, std::function<LoadOrder(std::uint32_t client)> make_order)
    : folder_(std::move(folder)), make_order_(std::move(make_order)) {}

void LoadCrowd::add(std::size_t clients) {
  if (!stop_) stop_ = std::make_unique<StopSign>();
  for (; clients > 0; --clients) {
    auto order = make_order_(++last_client_);
    order.stop = stop_->descriptor();
    order.ledger = folder_ + "/ledger-" + std::to_string(last_client_);
    ledgers_.push_back(order.ledger);
    clients_.push_back(std::make_unique<LoadProcess>(order));
  }
}

void LoadCrowd::kill_one(Chance& chance) {
  const auto victim = clients_.begin() + static_cast<std::ptrdiff_t>(chance.below(clients_.size()));
  (*victim)->kill();
  clients_.erase(victim);
  add(1);
}

LoadReport LoadCrowd::finish() {
  LoadReport all;
  if (!stop_) return all;
  stop_->raise();
  for (auto& client : clients_) add_up(all, client->report());
  clients_.clear();
  stop_.reset();
  return all;
}

std::vector<std::string> LoadCrowd::take_ledgers() { return std::exchange(ledgers_, {}); }

}  // namespace tlsmux::test
