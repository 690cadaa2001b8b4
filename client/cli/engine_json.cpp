#include "client/cli/engine_json.hpp"

#include <nlohmann/json.hpp>

namespace tlsmux::client::cli {

nlohmann::ordered_json engine_json(const EngineFacts& engine) {
  using Json = nlohmann::ordered_json;
  return {{"group", engine.group},
          {"engine_answers", engine.answers},
          {"engine_pid", engine.pid},
          {"engine_state", engine.state},
          {"engine_started_s", engine.started_s},
          {"restarts", engine.restarts},
          {"heartbeat_age_ns", engine.heartbeat_age_ns},
          {"engine_process", engine.process ? Json(name_of(*engine.process)) : Json()}};
}

}  // namespace tlsmux::client::cli
