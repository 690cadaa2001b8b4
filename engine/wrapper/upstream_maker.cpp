#include "engine/wrapper/upstream_maker.hpp"

#include <algorithm>

#include "config/made_upstreams.hpp"
#include "config/wording.hpp"

namespace tlsmux::engine::wrapper {
namespace {

constexpr const char* kFull = "full";
constexpr const char* kName = "name";

// No name of a model has a slash.
std::string failed(const std::string& model) { return "/" + model; }

}  // namespace

std::optional<std::string> UpstreamMaker::find_or_make(const config::SslWrapperRule& rule, std::string_view server_name,
                                                       std::uint32_t pid, std::uint32_t uid) {
  const auto host = config::host_of_server_name(server_name);
  auto name = host ? config::name_of_made(*host, rule.port) : std::nullopt;
  if (!name) {
    tell(kName, server_name, host ? "with its port it is too long for the name of an upstream" : "it is no host name",
         "connections by names of the kind are not shared");
    return std::nullopt;
  }
  const auto& config = config_();
  if (std::ranges::find(config.upstreams, *name, &config::UpstreamSettings::name) != config.upstreams.end())
    return name;
  const auto* const model = config::model_of(config, rule);
  // These live in the configuration that is replaced.
  const auto model_name = rule.upstream;
  if (model == nullptr || !make(*model, *host, rule.port)) return std::nullopt;
  log_.info("upstream_made", {{"upstream", *name}, {"model", model_name}, {"pid", pid}, {"uid", uid}});
  return name;
}

bool UpstreamMaker::make(const config::UpstreamSettings& model, const std::string& host, std::uint16_t port) {
  const auto& config = config_();
  // What has failed is not tried again for each program that asks: it reads files.
  if (told_.contains(failed(model.name))) return false;
  if (std::ranges::count_if(config.upstreams, config::is_made) >= config.ssl_wrapper.created_max) {
    tell(kFull, host, "there are as many as /ssl_wrapper/created_max allows",
         "connections by names that have no upstream yet are not shared");
    return false;
  }
  const auto name = model.name;
  if (const auto added = add_(config::made_upstream(model, host, port), name); !added) {
    tell(failed(name), host, added.error(), "until a refresh, nothing more is made from model " + name);
    return false;
  }
  return true;
}

void UpstreamMaker::tell(const std::string& reason, std::string_view name, std::string_view why,
                         std::string_view means) {
  if (!told_.insert(reason).second) return;
  log_.warning("upstream_not_made",
               {{"server_name", config::printable(name)},
                {"why", why},
                {"means", means},
                {"needs", "a refresh with other rules; until then no more of the kind is logged"}});
}

}  // namespace tlsmux::engine::wrapper
