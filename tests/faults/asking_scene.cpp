#include "tests/faults/asking_scene.hpp"

#include <doctest/doctest.h>

namespace tlsmux::test {

void AskingScene::start_engine(std::uint16_t port, const std::function<void(config::Config&)>& change,
                               const EngineLaunch& launch) {
  config = engine_config(folder, {port});
  set_keyed(config.upstreams[0]);
  if (change) change(config);
  engine = std::make_unique<EngineProcess>(folder, config, launch);
}

void AskingScene::begin() {
  engine->await_sessions(1);
  requester = std::make_unique<Requester>(config);
}

void AskingScene::submit(std::uint64_t count, std::uint32_t timeout_ms) {
  for (std::uint64_t i = 0; i < count; ++i) {
    ++submitted;
    requester->submit_surely(keyed_message(submitted, message_bytes), submitted, timeout_ms);
  }
}

std::vector<Ended> AskingScene::take(std::size_t count) {
  const auto taken = requester->take(count);
  all.insert(all.end(), taken.begin(), taken.end());
  return taken;
}

std::vector<Ended> AskingScene::ask(std::uint64_t count, std::uint32_t timeout_ms) {
  submit(count, timeout_ms);
  return take(count);
}

void AskingScene::await_received(std::uint64_t count) const {
  await([&] { return count_receipts(receipts()) == count; });
}

UpstreamFacts AskingScene::facts() const { return upstream_facts(config.groups[0].name, config.upstreams[0].name); }

void AskingScene::check_all() const {
  CHECK(all.size() == submitted);
  check_truth(all, receipts(), message_bytes);
}

void AskingScene::end() {
  CHECK(engine->stop() == 0);
  check_all();
}

}  // namespace tlsmux::test
