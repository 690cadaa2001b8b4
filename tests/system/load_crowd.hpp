#pragma once

// Load clients of which any may be killed, and is followed by another.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/system/fault_loop.hpp"
#include "tests/system/load_process.hpp"

namespace tlsmux::test {

class LoadCrowd {
 public:
  // `make_order` says what the client of this number does. The crowd adds where it stops, and where its ledger is: in
  // `folder`.
  LoadCrowd(std::string folder, std::function<LoadOrder(std::uint32_t client)> make_order);

  void add(std::size_t clients);
  LoadProcess& some(Chance& chance) { return *chance.one_of(clients_); }
  void kill_one(Chance& chance);
  // Has all end when their requests have, and adds up what they report. Fails the test if one reports trouble.
  LoadReport finish();

  // Of all clients since the last call, the dead ones too: what they had been told must be true.
  std::vector<std::string> take_ledgers();

 private:
  std::string folder_;
  std::function<LoadOrder(std::uint32_t client)> make_order_;
  std::unique_ptr<StopSign> stop_;
  std::vector<std::unique_ptr<LoadProcess>> clients_;
  std::vector<std::string> ledgers_;
  std::uint32_t last_client_ = 0;
};

}  // namespace tlsmux::test
