#include "engine/mux/engine_messages.hpp"

namespace tlsmux::engine::mux {
namespace {

EngineMessages::Templates compile(const config::Iso8583Settings& iso8583,
                                  const std::vector<config::MessageSettings>& messages) {
  EngineMessages::Templates templates;
  templates.reserve(messages.size());
  for (const auto& message : messages) templates.emplace_back(iso8583, message);
  return templates;
}

}  // namespace

EngineMessages::EngineMessages(const config::UpstreamSettings& settings)
    : sign_on_(compile(settings.correlation.iso8583, settings.sign_on.messages)),
      sign_off_(compile(settings.correlation.iso8583, settings.sign_off.messages)) {
  const auto& iso8583 = settings.correlation.iso8583;
  if (!settings.heartbeat.message.mti.empty()) heartbeat_.emplace(iso8583, settings.heartbeat.message);
  auto_replies_.reserve(settings.auto_replies.size());
  for (const auto& reply : settings.auto_replies) auto_replies_.emplace_back(iso8583, reply);
}

}  // namespace tlsmux::engine::mux
