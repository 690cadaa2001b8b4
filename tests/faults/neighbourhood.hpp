#pragma once

// A host with keys, an engine, and two clients that must not notice what others do.

#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/faults/rig.hpp"
#include "tests/system/load_process.hpp"
#include "tests/system/proc_files.hpp"
#include "tests/system/shared_object.hpp"

namespace tlsmux::test {

// Beside the hostile clients there is one neighbour in the same group and one in another, which must not
// notice anything.
class Neighbourhood {
 public:
  explicit Neighbourhood(const std::vector<std::string>& host_arguments,
                         const std::function<void(config::Config&)>& change = {})
      : rig_(host_arguments, [&](config::Config& config) {
          set_keyed(config.upstreams[0]);
          auto other = config.groups[0];
          other.name = unique_group();
          config.groups.push_back(other);
          config.upstreams[0].groups.push_back(other.name);
          if (change) change(config);
        }) {
    for (const std::uint32_t client : {1, 2}) {
      auto order = load_order(rig_.config, client);
      order.group = rig_.config.groups[client - 1].name;
      order.stop = stop_.descriptor();
      order.upstreams = upstreams_of_all(rig_.config);
      order.in_flight_max = 4;
      order.answered = &*answered_;
      neighbours_.push_back(std::make_unique<LoadProcess>(order));
    }
    engine_pid_ = rig_.engine().engine_pid();
    await([&] {
      const auto facts = group_facts(rig_.group());
      return facts.clients.size() == 1 && group_facts(rig_.config.groups[1].name).clients.size() == 1;
    });
  }

  Rig& rig() { return rig_; }
  [[nodiscard]] const config::Config& config() const { return rig_.config; }

  // Whether each neighbour is still at work, as it is while all its answers are right.
  [[nodiscard]] bool neighbours_work() const {
    return std::ranges::none_of(neighbours_, [](const auto& one) {
      siginfo_t ended{};
      return ::waitid(P_PID, static_cast<id_t>(one->pid()), &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
             ended.si_pid != 0;
    });
  }

  // Answers that they have had, all together.
  [[nodiscard]] std::uint64_t neighbours_answered() const { return answered_->load(); }

  // What neighbours may be told instead of an answer: NOT_SENT with this reason.
  void tolerate(tmx_reason reason) { tolerated_ = reason; }

  // The engine is the same, it has nothing of the hostile clients any more, and the neighbours had all their answers.
  void check_and_stop() {
    await([&] { return count_mappings(engine_pid_, "memfd:tlsmux-client") == neighbours_.size(); });
    CHECK(group_facts(rig_.group()).engine_pid == static_cast<std::uint32_t>(engine_pid_));
    stop_.raise();
    for (auto& neighbour : neighbours_) {
      const auto report = neighbour->report();
      CHECK(report.submitted > 0);
      const auto tolerated = report.not_sent_reasons[static_cast<std::size_t>(tolerated_)];
      CHECK_MESSAGE(report.answered + tolerated == report.submitted, words_of(report));
    }
    CHECK(rig_.engine().log().count("event=engine_died") == 0);
    rig_.stop();
  }

 private:
  static std::vector<std::string> upstreams_of_all(const config::Config& config) {
    std::vector<std::string> names;
    for (const auto& upstream : config.upstreams) {
      if (upstream.groups.size() == config.groups.size()) names.push_back(upstream.name);
    }
    return names;
  }

  Rig rig_;
  SharedObject<std::atomic<std::uint64_t>> answered_;
  StopSign stop_;
  std::vector<std::unique_ptr<LoadProcess>> neighbours_;
  pid_t engine_pid_ = -1;
  tmx_reason tolerated_ = TMX_REASON_NONE;
};

}  // namespace tlsmux::test
