#include "config/plan.hpp"

#include <algorithm>
#include <array>
#include <cstddef>

#include "config/change_effects.hpp"
#include "config/json/json_pointer.hpp"
#include "config/settings_tree.hpp"
#include "config/wording.hpp"

namespace tlsmux::config {
namespace {

using Kind = Change::Kind;

// Where in the settings a comparison has arrived.
struct Place {
  std::string pointer_from;
  std::string pointer_to;
  std::string key;  // within the part that the effects are told of, such as tls/ca_file

  [[nodiscard]] Place within(const std::string& key_from, const std::string& key_to) const {
    return {.pointer_from = config::pointer_to(pointer_from, key_from),
            .pointer_to = config::pointer_to(pointer_to, key_to),
            .key = key.empty() ? key_to : key + "/" + key_to};
  }
};

// "endpoints/1/weight" as "endpoints[1].weight".
std::string in_words(std::string_view key) {
  std::string result;
  while (!key.empty()) {
    const std::string_view part = key.substr(0, key.find('/'));
    key.remove_prefix(std::min(part.size() + 1, key.size()));
    const bool is_index = part.find_first_not_of("0123456789") == std::string_view::npos;
    if (is_index) {
      result += "[" + std::string(part) + "]";
    } else {
      result += (result.empty() ? "" : ".") + std::string(part);
    }
  }
  return result;
}

// All of an entry of a list, in one line.
std::string shown(const SettingsNode& node) {
  if (node.kind == SettingsNode::Kind::value) return node.value;
  std::string result;
  for (const SettingsNode& child : node.children) {
    if (!result.empty()) result += ", ";
    const bool nested = child.kind != SettingsNode::Kind::value;
    result += child.key + " " + (nested ? "{" + shown(child) + "}" : shown(child));
  }
  return result;
}

// Values that differ only beyond what is shown of them are not shown.
std::string difference(const std::string& from, const std::string& to) {
  return from == to ? " has changed towards its end" : " " + from + " -> " + to;
}

// What is not the group's any more may be held: PORTS.md.
bool may_lose_ports(Part part, Kind kind, std::string_view key) {
  const bool are_ports = key.starts_with("ports/static/") || key.starts_with("ports/dynamic/");
  return part == Part::group && kind != Kind::added && are_ports && !key.ends_with("/label") &&
         !key.ends_with("/program");
}

// Compares two trees of the same settings.
class Comparison {
 public:
  // `what` names them: upstream "visa".
  Comparison(std::string what, Part part, std::vector<Change>& changes)
      : what_(std::move(what)), part_(part), changes_(changes) {}

  void compare(const SettingsNode& from, const SettingsNode& to, const Place& place) {
    if (from == to) return;
    switch (from.kind) {
      case SettingsNode::Kind::value:
        return add(Kind::changed, place, difference(printable(from.value), printable(to.value)));
      case SettingsNode::Kind::object:
        for (std::size_t i = 0; i < from.children.size(); ++i) {
          compare(from.children[i], to.children[i], place.within(from.children[i].key, to.children[i].key));
        }
        return;
      case SettingsNode::Kind::list: return compare_lists(from.children, to.children, place);
    }
  }

  void add(Kind kind, const Place& place, const std::string& words) {
    const EffectOfSetting& effect = effect_of(part_, place.key);
    changes_.push_back(
        {.kind = kind,
         .pointer = kind == Kind::removed ? place.pointer_from : place.pointer_to,
         .words = what_ + ": " + in_words(place.key) + words +
                  (may_lose_ports(part_, kind, place.key) ? ", sockets on ports that it loses stay" : ""),
         .effect = effect.effect,
         .live = effect.effect != Effect::engine_restart,
         .why_not = std::string(effect.why_not)});
  }

 private:
  using Nodes = std::vector<SettingsNode>;

  static bool holds(const Nodes& nodes, const SettingsNode& entry) {
    return std::ranges::any_of(nodes, [&](const SettingsNode& node) { return node.children == entry.children; });
  }

  // Lists of the same length are compared entry by entry. Of others, what only one has was removed or added; entries
  // that stand there several times need the last line.
  void compare_lists(const Nodes& from, const Nodes& to, const Place& place) {
    if (from.size() == to.size()) return compare_entries(from, to, place);
    const std::size_t before = changes_.size();
    for (const SettingsNode& entry : from) {
      if (holds(to, entry)) continue;
      add(Kind::removed, place.within(entry.key, entry.key), " removed: " + printable(shown(entry)));
    }
    for (const SettingsNode& entry : to) {
      if (holds(from, entry)) continue;
      add(Kind::added, place.within(entry.key, entry.key), " added: " + printable(shown(entry)));
    }
    if (changes_.size() > before) return;
    add(Kind::changed, place, " " + std::to_string(from.size()) + " -> " + std::to_string(to.size()) + " entries");
  }

  void compare_entries(const Nodes& from, const Nodes& to, const Place& place) {
    const bool reordered = std::ranges::is_permutation(from, to, {}, &SettingsNode::children, &SettingsNode::children);
    if (reordered) return add(Kind::changed, place, " in another order");
    for (std::size_t i = 0; i < from.size(); ++i) compare(from[i], to[i], place.within(from[i].key, to[i].key));
  }

  std::string what_;
  Part part_;
  std::vector<Change>& changes_;
};

// A file may have changed under the same name.
void compare_spec_contents(const UpstreamSettings& from, const UpstreamSettings& to, const Place& place,
                           Comparison& comparison) {
  const Iso8583Settings& old_settings = from.correlation.iso8583;
  const Iso8583Settings& new_settings = to.correlation.iso8583;
  if (old_settings.spec != new_settings.spec || old_settings.fields == new_settings.fields) return;
  const bool same =
      old_settings.fields != nullptr && new_settings.fields != nullptr && *old_settings.fields == *new_settings.fields;
  if (same) return;
  const Place spec = place.within("correlation", "correlation").within("iso8583", "iso8583").within("spec", "spec");
  comparison.add(Kind::changed, spec, " " + in_quotes(new_settings.spec) + " has another content");
}

void compare_spec_contents(const GroupSettings& /*from*/, const GroupSettings& /*to*/, const Place& /*place*/,
                           Comparison& /*comparison*/) {}

// `list` is "/groups", `noun` is "group".
template <class Named>
void compare_named(const std::vector<Named>& from, const std::vector<Named>& to, const std::string& list,
                   const std::string& noun, Part part, std::vector<Change>& changes) {
  const auto position = [](const std::vector<Named>& all, const std::string& name) {
    return static_cast<std::size_t>(std::ranges::find(all, name, &Named::name) - all.begin());
  };
  const auto add = [&](Kind kind, const std::string& name, std::size_t index) {
    const bool loses_clients = part == Part::group && kind == Kind::removed;
    changes.push_back({.kind = kind,
                       .pointer = pointer_to(list, index),
                       .words = noun + " " + in_quotes(name) + " " + std::string(word_of(kind)) +
                                (loses_clients ? ", its clients are detached and its orphans dropped" : ""),
                       .effect = Effect::immediate,
                       .live = true,
                       .why_not = {}});
  };
  for (std::size_t i = 0; i < from.size(); ++i) {
    if (position(to, from[i].name) == to.size()) add(Kind::removed, from[i].name, i);
  }
  for (std::size_t i = 0; i < to.size(); ++i) {
    const std::size_t before = position(from, to[i].name);
    if (before == from.size()) {
      add(Kind::added, to[i].name, i);
      continue;
    }
    Comparison comparison(noun + " " + in_quotes(to[i].name), part, changes);
    const Place place{.pointer_from = pointer_to(list, before), .pointer_to = pointer_to(list, i), .key = {}};
    comparison.compare(settings_tree(from[before]), settings_tree(to[i]), place);
    compare_spec_contents(from[before], to[i], place, comparison);
  }
}

}  // namespace

std::vector<Change> plan(const Config& from, const Config& to) {
  std::vector<Change> changes;
  Comparison engine("engine", Part::engine, changes);
  engine.compare(settings_tree(from.engine), settings_tree(to.engine),
                 {.pointer_from = "/engine", .pointer_to = "/engine", .key = {}});
  compare_named(from.groups, to.groups, "/groups", "group", Part::group, changes);
  compare_named(from.upstreams, to.upstreams, "/upstreams", "upstream", Part::upstream, changes);
  Comparison wrapper("ssl_wrapper", Part::ssl_wrapper, changes);
  wrapper.compare(settings_tree(from.ssl_wrapper), settings_tree(to.ssl_wrapper),
                  {.pointer_from = "/ssl_wrapper", .pointer_to = "/ssl_wrapper", .key = {}});
  return changes;
}

bool all_live(std::span<const Change> changes) { return std::ranges::all_of(changes, &Change::live); }

std::string plan_text(std::span<const Change> changes) {
  if (changes.empty()) return "nothing changes\n";
  std::string text;
  for (const Change& change : changes) {
    text += change.words + " (" + std::string(effect_in_words(change.effect));
    text += change.live ? ")\n" : ": " + change.why_not + "; see " + change.pointer + ")\n";
  }
  const auto count = changes.size();
  const auto not_live = static_cast<std::size_t>(std::ranges::count(changes, false, &Change::live));
  text += std::to_string(count) + (count == 1 ? " change" : " changes");
  if (not_live == 0)
    return text + (count == 1 ? ", which" : ", all of which") + " can be applied to a running engine\n";
  const std::string which = count == 1 ? ", which" : ", of which " + std::to_string(not_live);
  return text + which + " cannot be applied to a running engine: restart tlsmuxd, or " + "take " +
         (not_live == 1 ? "it" : "them") + " back\n";
}

std::string_view effect_in_words(Effect effect) {
  switch (effect) {
    case Effect::immediate: return "at once";
    case Effect::new_clients: return "for clients that attach from then on";
    case Effect::new_channels: return "for channels that are opened from then on";
    case Effect::new_streams: return "for streams that are opened from then on";
    case Effect::new_sessions: return "for new sessions";
    case Effect::new_sessions_replace: return "sessions are replaced in good order";
    case Effect::upstream_restart: return "the upstream is drained and started anew";
    case Effect::engine_restart: return "needs a restart";
  }
  return "";
}

}  // namespace tlsmux::config
