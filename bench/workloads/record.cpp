#include "bench/workloads/record.hpp"

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "bench/monotonic_clock.hpp"
#include "bench/process/interrupt.hpp"
#include "bench/record/record_path.hpp"
#include "bench/workloads/contender.hpp"

namespace tlsmux::bench {
namespace {

constexpr std::size_t kSizes[] = {64, 300, 1024, 4096, 16384};
constexpr std::size_t kBatches[] = {1, 4, 16};
constexpr std::size_t kRecordBytesMax = 16384;
constexpr std::size_t kBytesBetweenClocks = 64UL * 1024;  // what a cache holds
constexpr std::size_t kRecordsBetweenClocks = 64;
constexpr std::uint64_t kSliceNs = 2'000'000;

// One shape of record, sealed and opened by one path.
struct Measured {
  RecordPath* path = nullptr;
  Series seal;
  Series open;
};

struct Shape {
  std::size_t slot_bytes = 0;
  std::size_t slots = 0;
  [[nodiscard]] std::size_t bytes() const { return slot_bytes * slots; }
  [[nodiscard]] std::string name() const { return std::to_string(slot_bytes) + "x" + std::to_string(slots); }
  [[nodiscard]] std::size_t together() const {
    return std::clamp<std::size_t>(kBytesBetweenClocks / bytes(), 1, kRecordsBetweenClocks);
  }
};

// Of operations that took so long each.
Figures figures_of(std::vector<std::uint32_t> times_ns, std::size_t slots, std::size_t bytes) {
  Figures figures;
  set_percentiles(figures, times_ns);
  figures.rate_per_s = static_cast<double>(slots) * 1e6 / figures.p50_us;
  figures.megabytes_per_s = static_cast<double>(bytes) / figures.p50_us;
  figures.cpu_us_per_message = figures.p50_us / static_cast<double>(slots);
  return figures;
}

void run_slice(Measured& measured, const Shape& shape, const std::vector<std::byte>& slots) {
  std::vector<std::span<const std::byte>> parts;
  parts.reserve(shape.slots);
  for (std::size_t i = 0; i < shape.slots; ++i) {
    parts.push_back(std::span(slots).subspan(i * shape.slot_bytes, shape.slot_bytes));
  }
  std::vector<std::uint32_t> seal_ns;
  std::vector<std::uint32_t> open_ns;
  const auto together = shape.together();
  for (const auto end_ns = now_ns() + kSliceNs; now_ns() < end_ns;) {
    bool good = true;
    const auto begin_ns = now_ns();
    for (std::size_t i = 0; i < together; ++i) good = measured.path->seal(parts) && good;
    const auto sealed_ns = now_ns();
    for (std::size_t i = 0; i < together; ++i) good = measured.path->open(shape.bytes()) && good;
    const auto opened_ns = now_ns();
    if (!good) throw std::runtime_error("a record was not sealed or not opened");
    seal_ns.push_back(static_cast<std::uint32_t>((sealed_ns - begin_ns + together / 2) / together));
    open_ns.push_back(static_cast<std::uint32_t>((opened_ns - sealed_ns + together / 2) / together));
  }
  measured.seal.slices.push_back(figures_of(seal_ns, shape.slots, shape.bytes()));
  measured.open.slices.push_back(figures_of(open_ns, shape.slots, shape.bytes()));
}

void run_shape(Context& context, const std::vector<std::pair<std::string, RecordPath*>>& paths, const Shape& shape,
               Results& results) {
  std::vector<Measured> all;
  for (const auto& [name, path] : paths) {
    auto& measured = all.emplace_back();
    measured.path = path;
    measured.seal.workload = "record_seal_" + shape.name();
    measured.open.workload = "record_open_" + shape.name();
    measured.seal.system = measured.open.system = name;
  }
  const std::vector<std::byte> slots(shape.bytes(), std::byte{0x30});
  for (std::uint32_t repeat = 0; repeat < context.effort.repeats; ++repeat) {
    for (auto& measured : all) run_slice(measured, shape, slots);
    throw_if_interrupted();
  }
  for (auto& measured : all) {
    results.series.push_back(std::move(measured.seal));
    results.series.push_back(std::move(measured.open));
  }
}

}  // namespace

void run_record(Context& context, Results& results) {
  context.progress.say("record: sealing and opening");
  const auto ours = make_tlsmux_records();
  const auto mbedtls = make_mbedtls_records(context.ground.certificates);
  const auto ipsec_mb = make_ipsec_mb_records();
  std::vector<std::pair<std::string, RecordPath*>> paths = {{"tlsmux", ours.get()}, {"mbedtls", mbedtls.get()}};
  if (ipsec_mb) paths.emplace_back("ipsec_mb", ipsec_mb.get());
  for (const auto size : kSizes) {
    for (const auto slots : kBatches) {
      if (size * slots <= kRecordBytesMax) run_shape(context, paths, {.slot_bytes = size, .slots = slots}, results);
    }
  }
}

}  // namespace tlsmux::bench
