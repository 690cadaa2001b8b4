#include "config/plan_json.hpp"

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

namespace tlsmux::config {
namespace {

using Json = nlohmann::ordered_json;

Json list_of(std::span<const Change> changes) {
  auto list = Json::array();
  for (const Change& change : changes) {
    Json entry = {{"kind", word_of(change.kind)},
                  {"pointer", change.pointer},
                  {"words", change.words},
                  {"effect", word_of(change.effect)},
                  {"live", change.live}};
    if (!change.live) entry["why_not"] = change.why_not;
    list.push_back(std::move(entry));
  }
  return list;
}

Json lines_of(std::string_view text) {
  auto list = Json::array();
  while (!text.empty()) {
    const auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (!line.empty()) list.push_back(line);
  }
  return list;
}

std::string text_of(const Json& document) {
  constexpr int kIndent = 2;
  // Values come from texts that may not be UTF-8.
  return document.dump(kIndent, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string plan_json(std::span<const Change> changes) {
  return text_of({{"changes", list_of(changes)}, {"live", all_live(changes)}});
}

std::string refresh_json(std::span<const Change> changes, bool applied, std::string_view errors,
                         std::string_view warnings) {
  auto error_list = lines_of(errors);
  const bool live = error_list.empty() && all_live(changes);
  return text_of({{"applied", applied},
                  {"errors", std::move(error_list)},
                  {"warnings", lines_of(warnings)},
                  {"changes", list_of(changes)},
                  {"live", live}});
}

}  // namespace tlsmux::config
